//! A TCP proxy of our own between the service and a server, in which the network does what it does on bad days.
//!
//! Two ways to make trouble: [`Weather`] is how it is from now on, for every connection, those to come as well; a
//! [`Blow`] strikes once. What has struck is counted in [`Seen`], so that a test waits for it and not for a while.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::link::Link;
use crate::support::within;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Clear,
    /// Everything passes so much later.
    Delay(Duration),
    /// So many bytes pass in a second, each way, on each connection.
    Throttle { bytes_per_second: u32 },
    /// Nothing passes and nothing is said: neither bytes nor ends of connections. Connections are still accepted, and
    /// wait. What was held passes when it is over.
    BlackHole,
    /// Connections are reset as soon as they are made. Those that are there go on.
    Refusing,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToService,
}

/// What strikes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// Every connection is reset (RST).
    Reset,
    /// Every connection is at its end for whoever reads what goes this way; the other way stays open.
    HalfClose(Direction),
    /// Nothing passes on any connection that is there, ever again, and nobody is told: the server behind it is gone. Whoever
    /// comes anew is served.
    Silence,
    /// Of what next goes this way on any connection the last byte is missing, so a frame is cut; then that connection is
    /// reset.
    CutFrame(Direction),
    /// The next COMMIT of any connection reaches PostgreSQL, and its reply does not come back: that connection is reset
    /// once it is there.
    LoseCommitReply,
}

/// What has been seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections that came from the service.
    pub connections: usize,
    /// COMMITs on their way to PostgreSQL.
    pub commits: usize,
    /// Times that something was ready to pass and a black hole held it.
    pub held: usize,
    /// Connections that were reset here, whatever for.
    pub resets: usize,
    /// Connections that were closed one way.
    pub half_closes: usize,
    /// Frames that were cut.
    pub frames_cut: usize,
    /// Replies to COMMIT that came from PostgreSQL and went no further.
    pub commit_replies_lost: usize,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) weather: watch::Sender<Weather>,
    /// For every connection that is there.
    pub(super) blows: broadcast::Sender<Blow>,
    /// What waits for the next connection that it fits.
    pub(super) traps: watch::Sender<Vec<Blow>>,
    pub(super) seen: watch::Sender<Seen>,
}

impl Shared {
    /// Takes one of these traps, where it is set.
    pub(super) fn spring(&self, trap: Blow) -> bool {
        self.traps.send_if_modified(|traps| {
            let position = traps.iter().position(|set| *set == trap);
            position.inspect(|position| _ = traps.remove(*position)).is_some()
        })
    }

    /// Waits out a black hole.
    pub(super) async fn hold(&self) {
        let mut weather = self.weather.subscribe();
        if *weather.borrow() == Weather::BlackHole {
            self.count(|seen| seen.held += 1);
            let _ = weather.wait_for(|weather| *weather != Weather::BlackHole).await;
        }
    }

    pub(super) fn count(&self, note: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(note);
    }
}

/// The proxy; its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    /// The server's URL, with the proxy's address in it.
    pub url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server that a URL names.
    pub async fn before(server_url: &str) -> Self {
        let authority = authority(server_url);
        let server = lookup_host(authority).await.unwrap().next().expect("an address of the server");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            weather: watch::Sender::new(Weather::Clear),
            blows: broadcast::Sender::new(16),
            traps: watch::Sender::default(),
            seen: watch::Sender::default(),
        });
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&shared)));
        Self { url: server_url.replace(authority, &address.to_string()), shared, accepting }
    }

    /// How the network is from now on.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Strikes once.
    pub fn strike(&self, blow: Blow) {
        match blow {
            // Where nobody is connected nobody is struck.
            Blow::Reset | Blow::HalfClose(_) | Blow::Silence => _ = self.shared.blows.send(blow),
            Blow::CutFrame(_) | Blow::LoseCommitReply => {
                self.shared.traps.send_modify(|traps| traps.push(blow));
            }
        }
    }

    /// Takes back every blow that has not struck yet.
    pub fn disarm(&self) {
        self.shared.traps.send_modify(Vec::clear);
    }

    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        *self.shared.seen.borrow()
    }

    /// Waits until this much has been seen.
    pub async fn until(&self, awaited: &str, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.shared.seen.subscribe();
        *within(awaited, seen.wait_for(is_so)).await.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Host and port in a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    rest.rsplit_once('@').map_or(rest, |(_, authority)| authority)
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    // Aborted with this task when the proxy is dropped.
    let mut links = tokio::task::JoinSet::new();
    loop {
        let (service, _) = listener.accept().await.unwrap();
        while links.try_join_next().is_some() {}
        shared.count(|seen| seen.connections += 1);
        links.spawn(serve(service, server, Arc::clone(&shared)));
    }
}

async fn serve(service: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    if *shared.weather.borrow() == Weather::Refusing {
        shared.count(|seen| seen.resets += 1);
        // Where it is gone already nothing is to be reset.
        let _ = service.set_zero_linger();
        return;
    }
    shared.hold().await;
    // A blow strikes this connection from here on.
    let blows = [shared.blows.subscribe(), shared.blows.subscribe()];
    match TcpStream::connect(server).await {
        Ok(server) => Link { service, server, shared }.run(blows).await,
        // As the server itself would say.
        Err(_) => _ = service.set_zero_linger(),
    }
}
