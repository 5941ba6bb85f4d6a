//! The listener for operators: it answers however crowded the other one is.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Database, Replica, Sandbox, send, variables};

#[tokio::test]
async fn health_and_metrics_answer_while_every_connection_is_taken() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    for (name, value) in [("OPS_LISTEN_ADDR", "127.0.0.1:0"), ("MAX_CONNECTIONS", "4")] {
        variables.insert(name.into(), value.into());
    }
    let replica = Replica::start_with(&variables).await;
    let operations = replica.find("operations=").unwrap();
    let crowded = url::Url::parse(&replica.api.base).unwrap();
    let crowded = format!("127.0.0.1:{}", crowded.port().unwrap());
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&crowded).await.unwrap();
        let head = "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    for (path, status) in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 200),
        ("/sign-in", 404),
    ] {
        let request = http::Request::get(format!("http://{operations}{path}"))
            .body(axum::body::Body::empty())
            .unwrap();
        assert_eq!(send(request).await.status, status, "{path}");
    }
    // Whoever sends a whole request gets through there too.
    replica.api.publish_path("/about").await;
}
