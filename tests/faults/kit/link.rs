//! One connection through the proxy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::broadcast;

use super::proxy::{Blow, Direction, Shared, Weather};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Parts of a second in which a throttled connection passes something.
const THROTTLE_STEPS: u32 = 20;

/// COMMIT as the service says it, and as PostgreSQL answers it (the tag of `CommandComplete`):
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
const COMMIT: &[u8] = b"COMMIT\0";

/// The end of a reply to a COMMIT that came to nothing.
const ROLLBACK: &[u8] = b"ROLLBACK\0";

/// Why a connection ends.
enum End {
    /// Both sides have closed it, or one is gone.
    Closed,
    Reset,
}

/// A connection, and its other half.
pub(super) struct Link {
    pub(super) service: TcpStream,
    pub(super) server: TcpStream,
    pub(super) shared: Arc<Shared>,
}

/// One way of it.
struct Way<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    direction: Direction,
    shared: &'a Shared,
    /// Whether the reply to a COMMIT is to be lost; both ways know.
    is_losing: &'a AtomicBool,
}

impl Link {
    /// Passes on what both sides say, as far as the weather lets it.
    pub(super) async fn run(mut self, blows: [broadcast::Receiver<Blow>; 2]) {
        let [blows_there, blows_back] = blows;
        let is_losing = AtomicBool::new(false);
        let shared = &*self.shared;
        let (from_service, to_service) = self.service.split();
        let (from_server, to_server) = self.server.split();
        let way = |from, to, direction| Way { from, to, direction, shared, is_losing: &is_losing };
        let there = way(from_service, to_server, Direction::ToServer).run(blows_there);
        let back = way(from_server, to_service, Direction::ToService).run(blows_back);
        // One way may be closed while the other goes on; a reset or an error ends both.
        if matches!(tokio::try_join!(there, back), Err(End::Reset)) {
            shared.count(|seen| seen.resets += 1);
            for side in [&self.service, &self.server] {
                // Where it is gone already nothing is to be reset.
                let _ = side.set_zero_linger();
            }
        }
    }
}

impl Way<'_> {
    async fn run(mut self, blows: broadcast::Receiver<Blow>) -> Result<(), End> {
        let blow = tokio::select! {
            biased;
            blow = struck(blows, self.direction) => blow,
            end = self.carry() => return end,
        };
        match blow {
            Blow::Silence => std::future::pending().await,
            Blow::HalfClose(_) => {
                self.shared.count(|seen| seen.half_closes += 1);
                Ok(self.to.shutdown().await?)
            }
            _ => Err(End::Reset),
        }
    }

    /// Passes on all that is said, and then that there is no more.
    async fn carry(&mut self) -> Result<(), End> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let limit = at_once(*self.shared.weather.borrow());
            let read = self.from.read(&mut chunk[..limit]).await?;
            self.brave_the_weather(read).await;
            if read == 0 {
                return Ok(self.to.shutdown().await?);
            }
            self.pass(&chunk[..read]).await?;
        }
    }

    async fn brave_the_weather(&self, bytes: usize) {
        let weather = *self.shared.weather.borrow();
        match weather {
            Weather::Delay(delay) => tokio::time::sleep(delay).await,
            Weather::Throttle { bytes_per_second } => {
                tokio::time::sleep(Duration::from_secs(bytes as u64) / bytes_per_second).await;
            }
            Weather::BlackHole => self.shared.hold().await,
            Weather::Clear | Weather::Refusing => {}
        }
    }

    async fn pass(&mut self, chunk: &[u8]) -> Result<(), End> {
        if chunk.len() > 1 && self.shared.spring(Blow::CutFrame(self.direction)) {
            self.to.write_all(&chunk[..chunk.len() - 1]).await?;
            self.shared.count(|seen| seen.frames_cut += 1);
            return Err(End::Reset);
        }
        match self.direction {
            Direction::ToServer if holds(chunk, COMMIT) => {
                self.shared.count(|seen| seen.commits += 1);
                let is_losing = self.shared.spring(Blow::LoseCommitReply);
                self.is_losing.fetch_or(is_losing, Ordering::Relaxed);
            }
            Direction::ToService if self.is_losing.load(Ordering::Relaxed) => {
                return if holds(chunk, COMMIT) || holds(chunk, ROLLBACK) {
                    Err(self.lost())
                } else {
                    Ok(())
                };
            }
            _ => {}
        }
        Ok(self.to.write_all(chunk).await?)
    }

    fn lost(&self) -> End {
        self.shared.count(|seen| seen.commit_replies_lost += 1);
        End::Reset
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Waits until this way is struck.
async fn struck(mut blows: broadcast::Receiver<Blow>, direction: Direction) -> Blow {
    loop {
        match blows.recv().await {
            Ok(blow @ (Blow::Reset | Blow::Silence)) => return blow,
            Ok(blow @ Blow::HalfClose(struck)) if struck == direction => return blow,
            _ => {}
        }
    }
}

/// Bytes that are passed on together.
fn at_once(weather: Weather) -> usize {
    match weather {
        Weather::Throttle { bytes_per_second } => (bytes_per_second / THROTTLE_STEPS).max(1) as usize,
        _ => CHUNK,
    }
    .min(CHUNK)
}

fn holds(chunk: &[u8], text: &[u8]) -> bool {
    chunk.windows(text.len()).any(|window| window == text)
}
