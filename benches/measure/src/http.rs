//! As much HTTP/1.1 as measuring takes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::Failure;

/// No answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Status and length of the answer at the start of `bytes`, once all of it is there. Answers have a
/// content-length.
pub(crate) fn whole_answer(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut status = 0;
    let mut length = 0;
    for (n, line) in bytes[..head].split(|byte| *byte == b'\n').enumerate() {
        if n == 0 {
            status = number(line.get(9..12)?)?;
        } else if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            length = number(line[15..].trim_ascii())?;
        }
    }
    let end = head + length;
    (bytes.len() >= end).then_some((u16::try_from(status).ok()?, head, end))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
}

impl Connection {
    pub(crate) fn to(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            host: address.to_owned(),
        })
    }

    /// Sends a request and returns when its answer is there. `headers` are whole lines.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Answer, Failure> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            self.host,
            body.len()
        );
        self.send(request.as_bytes())
            .map_err(|error| format!("{method} {path}: {error}").into())
    }

    fn send(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        self.stream.write_all(request)?;
        let mut bytes = Vec::new();
        let mut part = [0; 16 << 10];
        loop {
            let read = match self.stream.read(&mut part) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Err("the connection was closed before its answer".into());
            }
            bytes.extend_from_slice(&part[..read]);
            if let Some((status, head, end)) = whole_answer(&bytes) {
                return Ok(Answer {
                    status,
                    head: String::from_utf8_lossy(&bytes[..head]).into_owned(),
                    body: bytes[head..end].to_vec(),
                });
            }
        }
    }
}
