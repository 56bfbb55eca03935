//! Listens to what passes between the service and PostgreSQL, to count the round trips: exactly, and without PostgreSQL
//! having to be told anything.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// `ReadyForQuery` ends every answer of PostgreSQL that somebody waits for, see
/// <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
const READY_FOR_QUERY: u8 = b'Z';

/// PostgreSQL's answer to the question for TLS, which is no message but a single byte: no.
const NO_TLS: u8 = b'N';

/// A way to PostgreSQL on which is counted. Closed when dropped.
#[derive(Debug)]
pub struct Tap {
    /// The way: PostgreSQL's URL with another port.
    pub url: String,
    round_trips: Arc<AtomicU64>,
    listening: JoinHandle<()>,
}

impl Tap {
    /// Opens one to where this URL leads.
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let address =
            url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).map(|(address, _)| address);
        let address = address
            .ok_or_else(|| Failure::Wrong("no address in the URL of PostgreSQL".to_owned()))?
            .to_owned();
        let url = url.replace(&address, &format!("127.0.0.1:{port}"));
        let round_trips = Arc::new(AtomicU64::new(0));
        let listening = tokio::spawn(listen(listener, address, Arc::clone(&round_trips)));
        Ok(Self { url, round_trips, listening })
    }

    /// Round trips so far.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, address: String, round_trips: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&address).await else { continue };
        // What is passed on late would count as slow.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        tokio::spawn(pass_on(from_server, to_client, Arc::clone(&round_trips)));
        tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, round_trips: Arc<AtomicU64>) {
    let (mut buffer, mut messages) = (vec![0; 65_536], Messages::default());
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let count = messages.count_in(&buffer[..length]);
        round_trips.fetch_add(count, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

/// Where in the stream of messages we are: each is a byte for its kind, four for its length, and the rest.
#[derive(Debug, Default)]
struct Messages {
    has_begun: bool,
    head: Vec<u8>,
    rest: usize,
}

impl Messages {
    fn count_in(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        if !self.has_begun && bytes.first() == Some(&NO_TLS) {
            bytes = &bytes[1..];
        }
        self.has_begun = true;
        while let Some((first, after)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                (self.rest, bytes) = (self.rest - skipped, &bytes[skipped..]);
                continue;
            }
            self.head.push(*first);
            bytes = after;
            if let [kind, a, b, c, d] = self.head[..] {
                count += u64::from(kind == READY_FOR_QUERY);
                let length = u32::from_be_bytes([a, b, c, d]);
                self.rest = usize::try_from(length).unwrap_or_default().saturating_sub(4);
                self.head.clear();
            }
        }
        count
    }
}
