//! A server is away while there is light load.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::load::Load;
use super::servers::{PrivateServers, Server};
use super::service::Service;
use super::site::Site;
use super::{Harness, Message, Received, eventually};

/// Carts of a light load.
pub const CARTS: usize = 150;

/// A light load for a unit of a product each.
pub fn light_load(site: &Site, product: Uuid) -> Load {
    Load::start(site, product, CARTS)
}

/// Awaits the outcome of every cart, and demands that each holds what it asked for, once.
pub async fn outcomes(harness: &mut Harness, product: Uuid, carts: &[Message]) -> Vec<Received> {
    let events = harness.next_outcomes_of(carts).await;
    harness.assert_level(product, 1000 - CARTS as u64, CARTS as u64).await;
    events
}

/// Starts a service while a server is away, and that server after it.
pub async fn start_before(servers: &PrivateServers, server: Server, site: &Site, name: &str) -> Service {
    servers.stop(server).await;
    let service = site.start_service().await;
    service.logged("waiting for").await;
    let (status, missing) = service.readyz().await;
    assert_eq!(status, 503);
    assert!(missing.contains(name), "{name} is not in {missing:?}");
    servers.start(server).await;
    service.ready().await;
    service
}

/// Waits until `/readyz` names what is missing.
pub async fn until_missing(service: &Service, name: &str) {
    eventually(&format!("/readyz names {name}"), async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains(name)
    })
    .await;
}

/// Work goes on by itself so soon after the end of a fault.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Waits until the service is ready once a fault has ended, which must be soon.
pub async fn ready_again(service: &Service) {
    let ended = Instant::now();
    service.ready().await;
    let took = ended.elapsed();
    eprintln!("ready again after {took:?}");
    assert!(took < RECOVERY_MAX, "{took:?}");
}
