//! RabbitMQ has no memory or no disk left, and takes nothing that is published.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Scene;
use super::broker::{broker, took};
use crate::kit::Vitals;
use crate::support::load::carts_for;
use crate::support::service::Service;
use crate::support::{Message, eventually};

/// More commands than the service takes in while their events do not leave.
const BACKLOG: usize = 1500;

/// What may wait in memory is bounded: this is what commands, events and threads may take on top of what an idle service
/// does, in a build with debug assertions.
const MORE_MEMORY_MAX_MIB: usize = 60;

/// Longest wait for a broker that does not say why it does not answer.
const TIMEOUT_MS: u64 = 2000;

/// Longer than a service is paused here: RabbitMQ would give its commands to another.
const HEARTBEAT: (&str, &str) = ("INVENTORY__AMQP__HEARTBEAT_SECONDS", "60");

const ALARMS: [[&[&str]; 2]; 2] = [
    [&["set_vm_memory_high_watermark", "0"], &["set_vm_memory_high_watermark", "0.4"]],
    [&["set_disk_free_limit", "1000000GB"], &["set_disk_free_limit", "50MB"]],
];

/// Each comes while there is much to do, and lasts longer than the service would wait for a broker that says nothing.
#[tokio::test]
async fn what_a_memory_or_disk_alarm_holds_up_goes_on_after_it() {
    let timeout = TIMEOUT_MS.to_string();
    let scene = Scene::open(broker().await, &[("INVENTORY__AMQP__TIMEOUT_MS", &timeout), HEARTBEAT]).await;
    let idle = Vitals::of(&scene.service).memory_mib;
    let mut carts = Vec::new();
    for [set, reset] in ALARMS {
        scene.service.pause();
        let more = carts_for(scene.product, BACKLOG);
        scene.send(&more).await;
        carts.extend(more);
        scene.broker.rabbitmqctl(set).await;
        scene.service.resume();
        hold_out(&scene, idle).await;

        scene.broker.rabbitmqctl(reset).await;
        let over = Instant::now();
        scene.service.ready().await;
        scene.until_decided(carts.len()).await;
        took(over.elapsed());
    }
    scene.finish(&carts).await;
}

/// Demands that the service keeps its connection for as long as nothing is taken on it, and that no more than is bounded
/// gathers in its memory.
async fn hold_out(scene: &Scene, idle_mib: usize) {
    let service = &scene.service;
    eventually("/readyz says that nothing is taken", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains("takes no events (memory or disk alarm)")
    })
    .await;
    let (threads, failures) = (service.threads("lapin-io-loop"), failures(service));
    tokio::time::sleep(Duration::from_millis(2 * TIMEOUT_MS)).await;
    assert!(service.threads("lapin-io-loop") <= threads, "connections are left behind");
    assert_eq!(self::failures(service), failures, "the connection is kept");
    let mib = Vitals::of(service).memory_mib;
    assert!(mib < idle_mib + MORE_MEMORY_MAX_MIB, "{idle_mib} MiB when idle, {mib} MiB");
    assert!(scene.site.database.number("SELECT count(*) FROM outbox").await > 0, "events wait");
}

fn failures(service: &Service) -> usize {
    service.log().matches("publishing failed").count()
}

/// Parts that are consumed, one by one, of a larger hold.
const PARTS: i64 = 60;

/// It lasts longer than any transaction may. What is done once more by mistake is done twice where a command has no id.
#[tokio::test]
async fn an_alarm_longer_than_a_deadline_of_the_database_makes_nothing_happen_twice() {
    let settings = [
        ("INVENTORY__DATABASE__TRANSACTION_TIMEOUT_MS", "3000"),
        ("INVENTORY__BATCH__COMMANDS", "1"),
        HEARTBEAT,
    ];
    let mut scene = Scene::open(broker().await, &settings).await;
    let hold = Uuid::new_v4().to_string();
    let reserve = Message::reserve(Uuid::new_v4(), &[(scene.product, 2 * PARTS.unsigned_abs())]);
    scene.send(&[reserve.with("reservationId", hold.as_str())]).await;
    scene.until_decided(1).await;

    scene.service.pause();
    let part = Message::consume(&hold).of(&[(scene.product, 1)]).without_id();
    scene.send(&vec![part; PARTS.try_into().unwrap()]).await;
    let [[set, reset], _] = ALARMS;
    scene.broker.rabbitmqctl(set).await;
    scene.service.resume();
    // The age of the outbox is told while nothing leaves.
    eventually("events wait for long", async || {
        scene.service.metric("inventory_outbox_oldest_seconds").await >= 5
    })
    .await;
    scene.broker.rabbitmqctl(reset).await;
    scene.service.ready().await;
    let consumed = "SELECT coalesce(sum(units), 0)::bigint FROM reservation, unnest(consumed) AS units";
    eventually("all parts are consumed", async || scene.site.database.number(consumed).await >= PARTS).await;
    scene.service.stop().await;
    assert_eq!(scene.site.database.number(consumed).await, PARTS);
    assert!(!scene.service.log().contains("waiting for the database"), "the database did nothing wrong");
}

/// Lapsed holds, each given back in a transaction of its own: more than there is room for while their events do not leave.
const LAPSING: usize = 40;

#[tokio::test]
async fn holds_lapse_while_their_events_cannot_leave() {
    let scene = Scene::open(broker().await, &[("INVENTORY__BATCH__LINES", "1")]).await;
    let carts: Vec<Message> =
        carts_for(scene.product, LAPSING).into_iter().map(|cart| cart.with("holdSeconds", 3)).collect();
    scene.send(&carts).await;
    scene.until_decided(LAPSING).await;
    let [[set, reset], _] = ALARMS;
    scene.broker.rabbitmqctl(set).await;
    let held = "SELECT count(*) FROM reservation WHERE state = 'HELD'";
    eventually("all have lapsed", async || scene.site.database.number(held).await == 0).await;

    scene.broker.rabbitmqctl(reset).await;
    scene.service.ready().await;
    scene.until_all_is_told().await;
}

/// What it owes RabbitMQ is kept elsewhere, and an alarm may last.
#[tokio::test]
async fn terminated_during_an_alarm_it_ends_with_0() {
    let mut scene = Scene::open(broker().await, &[HEARTBEAT]).await;
    scene.service.pause();
    let carts: Vec<Message> =
        carts_for(scene.product, 10).into_iter().map(|cart| cart.with_reply_to("it-nobody")).collect();
    scene.send(&carts).await;
    let [[set, reset], _] = ALARMS;
    scene.broker.rabbitmqctl(set).await;
    scene.service.resume();
    scene.until_decided(carts.len()).await;
    eventually("nothing is taken", async || scene.service.readyz().await.1.contains("takes no events")).await;
    scene.service.stop().await;

    scene.broker.rabbitmqctl(reset).await;
    scene.service = scene.site.start_service().await;
    scene.finish(&carts).await;
}
