//! A small server that answers each request with the next of its replies, and keeps the requests.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) enum Reply {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// Nothing; the connection is closed.
    Close,
    /// Nothing; the connection is reset.
    Reset,
    /// Nothing, forever.
    Hang,
}

impl Reply {
    pub(super) fn http(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\
                 x-amzn-RequestId: 7f9b2c1e\r\nConnection: close\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }
}

pub(super) struct Canned {
    pub(super) endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Canned {
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let server = tokio::spawn(async move {
            let mut held = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().push(request);
                match reply {
                    // A client may have enough before all is written.
                    Reply::Bytes(bytes) => drop(stream.write_all(&bytes).await),
                    Reply::Close => {}
                    Reply::Reset => stream.set_zero_linger().unwrap(),
                    Reply::Hang => held.push(stream),
                }
            }
            // One more request would be a retry of the SDK's: it must be seen, not refused.
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                seen.lock().push(request);
            }
        });
        Self {
            endpoint,
            requests,
            server,
        }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}
