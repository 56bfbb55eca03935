//! What the tests stand on: the real binary, a database and names of its own for each test, and a plain AMQP
//! client. Every wait is for something that happens, and ends with an error that says what did not.

#![allow(dead_code, reason = "two test programs share this, and neither uses all of it")]

pub mod author;
pub mod books;
pub mod client;
pub mod clock;
pub mod conformance;
pub mod crowd;
pub mod database;
pub mod deployment;
pub mod dialogue;
pub mod dice;
pub mod harness;
pub mod history;
pub mod http;
pub mod inbox;
pub mod load;
pub mod message;
pub mod names;
pub mod outage;
pub mod process;
pub mod received;
pub mod scale;
pub mod sender;
pub mod servers;
pub mod service;
pub mod site;
pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

pub use harness::{Harness, Setup};
pub use message::Message;
pub use received::Received;

/// Longest wait for anything: far more than it takes, for a machine that does much else.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Pause between two looks at what does not tell.
const GLANCE: Duration = Duration::from_millis(15);

/// Awaits something that is bound to happen.
pub async fn within<T>(awaited: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(PATIENCE, happens).await;
    happened.unwrap_or_else(|_| panic!("awaited {awaited} for {PATIENCE:?} in vain"))
}

/// Looks until it is so.
pub async fn eventually(awaited: &str, is_so: impl AsyncFn() -> bool) {
    eventually_some(awaited, async || is_so().await.then_some(())).await;
}

/// Looks until there is something.
pub async fn eventually_some<T>(awaited: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "awaited {awaited} for {PATIENCE:?} in vain");
        tokio::time::sleep(GLANCE).await;
    }
}

/// Takes something away, in a thread of its own: the test's own tasks may be gone already. What cannot be taken
/// away is said, and stays.
fn cleanup(work: impl Future<Output = Result<(), Box<dyn std::error::Error>>> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("not cleaned up: {error}"),
            Err(_) => eprintln!("not cleaned up within {PATIENCE:?}"),
        }
    });
    if thread.join().is_err() {
        eprintln!("not cleaned up");
    }
}
