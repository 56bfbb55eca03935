//! No file descriptor is left.

use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use uuid::Uuid;

use crate::kit::{Blow, Proxy, Vitals};
use crate::support::deployment::Deployment;
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, eventually};

/// Fewer than every process has open.
const TOO_FEW: u64 = 3;

/// Times that the log must say it before it is looked at how busy the service is.
const COMPLAINTS: usize = 12;

/// Sets how many descriptors the service may have from now on.
fn limit(service: &Service, descriptors: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(service.pid()), Resource::Nofile, Rlimit { current: descriptors, maximum }).unwrap();
}

#[tokio::test]
async fn without_descriptors_it_says_so_and_waits() {
    let site = Site::shared().await;
    let rabbitmq = Proxy::before(&site.servers.amqp_url).await;
    let postgresql = Proxy::before(&site.database.url).await;
    let urls = [("AMQP_URL", rabbitmq.url.as_str()), ("DATABASE_URL", postgresql.url.as_str())];
    let service = site.start_service_with(&urls).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(10).await;
    harness.outcome_of(&Message::reserve(Uuid::new_v4(), &[(product, 1)])).await.reservation();

    let usual = getrlimit(Resource::Nofile).current;
    limit(&harness.services()[0], Some(TOO_FEW));
    let (before, began) = (Vitals::of(&harness.services()[0]), Instant::now());
    rabbitmq.strike(Blow::Reset);
    postgresql.strike(Blow::Reset);
    let service = &harness.services()[0];
    eventually("that the log says what is missing", async || {
        service.log().matches("Too many open files").count() >= COMPLAINTS
    })
    .await;
    let (busy, time) = (Vitals::of(service).busy.saturating_sub(before.busy), began.elapsed());
    assert!(busy < time / 2, "busy for {busy:?} of {time:?}: it must not spin");
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.client.send(&command).await;

    limit(&harness.services()[0], usual);
    harness.next_outcome_of(&command).await.reservation();
    harness.services()[0].ready().await;
    harness.assert_level(product, 8, 2).await;
    harness.finish_after_an_outage().await;
}
