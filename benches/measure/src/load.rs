//! Load: connections that each publish, wait for the answer and publish again.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::http::whole_answer;
use crate::request::{Proof, Requests};
use crate::table::percentile;

/// Publishes that a connection may send before it would repeat another's path.
const APART: usize = 2_000_000;
/// Before anything counts: connections are made, statements prepared.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How somebody publishes to site `default`.
#[derive(Clone)]
pub(crate) struct Load {
    /// The service's, or that of a server that does nothing.
    pub(crate) address: String,
    pub(crate) proof: Proof,
    pub(crate) connections: usize,
    /// Threads of this client.
    pub(crate) threads: usize,
    /// Publishes a second of all connections together; none: as many as are answered.
    pub(crate) pace: Option<f64>,
    /// How long it counts.
    pub(crate) length: Duration,
}

/// What came of it.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Publishes that were answered, the warm-up's too.
    pub(crate) all: usize,
}

impl Load {
    /// With the token and on one thread, as many as are answered.
    pub(crate) fn new(address: &str, connections: usize, length: Duration) -> Self {
        Self {
            address: address.to_owned(),
            proof: Proof::Token,
            connections,
            threads: 1,
            pace: None,
            length,
        }
    }

    /// Runs it. Every answer must be 202.
    pub(crate) fn run(&self) -> Result<Figures, Failure> {
        let threads = self.threads.clamp(1, self.connections);
        let connected = Arc::new(Barrier::new(threads));
        let clients: Vec<_> = (0..threads)
            .map(|thread| {
                let (load, connected) = (self.clone(), Arc::clone(&connected));
                std::thread::spawn(move || load.client(thread, threads, &connected))
            })
            .collect();
        let mut all = Vec::new();
        let mut answered = 0;
        for client in clients {
            let times = client.join().map_err(|_| "a client panicked")??;
            answered += times.answered;
            all.extend(times.counted);
        }
        all.sort_unstable();
        let ms = |percent| f64::from(percentile(&all, percent)) / 1e6;
        Ok(Figures {
            per_second: all.len() as f64 / self.length.as_secs_f64(),
            p50_ms: ms(50.0),
            p99_ms: ms(99.0),
            all: answered,
        })
    }

    /// One thread and its share of the connections.
    fn client(&self, thread: usize, threads: usize, connected: &Barrier) -> Result<Times, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let address: SocketAddr = self.address.parse()?;
            let mut streams = Vec::new();
            for number in (thread..self.connections).step_by(threads) {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                streams.push((number, stream));
            }
            connected.wait();
            let from = Instant::now() + WARM_UP;
            let until = from + self.length;
            let mut clients = JoinSet::new();
            for (number, stream) in streams {
                let requests = Requests::new(&self.proof, number * APART);
                let pause = self.pace.map(|pace| {
                    let apart = self.connections as f64 / pace;
                    let first = number as f64 / self.connections as f64 * apart;
                    (
                        Instant::now() + Duration::from_secs_f64(first),
                        Duration::from_secs_f64(apart),
                    )
                });
                clients.spawn(publish(stream, requests, pause, from, until));
            }
            let mut all = Times::default();
            let joining = async {
                while let Some(times) = clients.join_next().await {
                    let times = times??;
                    all.answered += times.answered;
                    all.counted.extend(times.counted);
                }
                Ok::<(), Failure>(())
            };
            let timeout = WARM_UP + self.length + TIMEOUT;
            tokio::time::timeout(timeout, joining)
                .await
                .map_err(|_| format!("an answer took more than {TIMEOUT:?}"))??;
            Ok(all)
        })
    }
}

#[derive(Default)]
struct Times {
    answered: usize,
    /// Nanoseconds of each that came between `from` and `until`.
    counted: Vec<u32>,
}

async fn publish(
    mut stream: TcpStream,
    mut requests: Requests,
    mut pause: Option<(Instant, Duration)>,
    from: Instant,
    until: Instant,
) -> Result<Times, Failure> {
    let mut times = Times::default();
    let mut bytes = vec![0; 16 << 10];
    let mut began = Instant::now();
    while began < until {
        if let Some((due, apart)) = &mut pause {
            tokio::time::sleep_until((*due).into()).await;
            *due += *apart;
            began = Instant::now();
        }
        stream.write_all(requests.next()).await?;
        let mut filled = 0;
        let (status, end) = loop {
            let read = stream.read(&mut bytes[filled..]).await?;
            if read == 0 {
                return Err("the connection was closed before its answer".into());
            }
            filled += read;
            if let Some((status, _, end)) = whole_answer(&bytes[..filled]) {
                break (status, end);
            }
        };
        if status != 202 {
            let told = String::from_utf8_lossy(&bytes[..end]);
            return Err(format!("a publish was not accepted: {told}").into());
        }
        let now = Instant::now();
        if now >= from && now < until {
            let took = now.duration_since(began).as_nanos();
            times.counted.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        times.answered += 1;
        began = now;
    }
    Ok(times)
}
