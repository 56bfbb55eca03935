//! RabbitMQ has no memory or no disk left, and takes nothing that is published.

use std::time::Duration;

use super::Scene;
use super::broker::Broker;
use crate::support::eventually;
use crate::support::load::carts_for;
use crate::support::sender::Sender;

/// More commands than the service takes in while their events do not leave.
const BACKLOG: usize = 4000;

/// What may wait in memory is bounded: this is what commands, events and threads may take on top of what an idle service
/// does, in a build with debug assertions.
const MORE_MEMORY_MAX_KB: u64 = 60_000;

/// Longest wait for a broker that does not say why it does not answer.
const TIMEOUT_MS: u64 = 500;

/// Alarms while there is much to do, for longer than the service would wait for a broker that says nothing.
async fn alarm(set: &[&str], reset: &[&str]) {
    let timeout = TIMEOUT_MS.to_string();
    let scene = Scene::open(Broker::take().await, &[("INVENTORY__AMQP__TIMEOUT_MS", &timeout)]).await;
    let idle = scene.service.memory_kb();
    scene.service.pause();
    let carts = carts_for(scene.product, BACKLOG);
    Sender::new(&scene.site.servers.amqp_url, &scene.site.names).send(&carts).await;
    scene.broker.ctl(set).await;
    scene.service.resume();
    eventually("/readyz says that nothing is taken", async || {
        let (status, missing) = scene.service.readyz().await;
        status == 503 && missing.contains("takes no events (memory or disk alarm)")
    })
    .await;
    let threads = scene.service.threads("lapin-io-loop");
    tokio::time::sleep(Duration::from_millis(4 * TIMEOUT_MS)).await;
    assert_eq!(scene.service.threads("lapin-io-loop"), threads, "connections are left behind");
    assert!(!scene.service.log().contains("failed"), "the connection is kept");
    let memory = scene.service.memory_kb();
    assert!(memory < idle + MORE_MEMORY_MAX_KB, "{idle} KB when idle, {memory} KB");
    assert!(scene.site.database.number("SELECT count(*) FROM outbox").await > 0, "events wait");

    scene.broker.ctl(reset).await;
    let over = std::time::Instant::now();
    scene.service.ready().await;
    super::broker::took(over.elapsed());
    scene.finish(&carts).await;
}

#[tokio::test]
async fn what_a_memory_alarm_holds_up_goes_on_after_it() {
    alarm(&["set_vm_memory_high_watermark", "0"], &["set_vm_memory_high_watermark", "0.4"]).await;
}

#[tokio::test]
async fn what_a_disk_alarm_holds_up_goes_on_after_it() {
    alarm(&["set_disk_free_limit", "1000000GB"], &["set_disk_free_limit", "50MB"]).await;
}
