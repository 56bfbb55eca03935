//! Connects that fail leave nothing behind: no thread, no descriptor, no memory.

use futures_util::future::join_all;

use crate::kit::{Blow, Proxy, Vitals, Weather};
use crate::support::eventually;
use crate::support::scale::size;
use crate::support::service::Service;
use crate::support::site::Site;

/// What memory may differ by without anybody having left something behind: the allocator keeps some of what was in use.
const MEMORY_MIB: usize = 64;

/// Connects to PostgreSQL that fail; whoever asks for readiness has one made.
const TO_POSTGRESQL: usize = 120;

/// Fewer, because RabbitMQ is left alone for longer after each.
fn to_rabbitmq() -> usize {
    size(16, 1000)
}

/// Connections to PostgreSQL that it keeps at most.
const POOL: usize = 4;

/// Has all connections made that it may keep: how many it has otherwise differs from moment to moment.
async fn fill_pool(service: &Service, site: &Site) {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'inventory-service'";
    eventually("as many connections as are kept", async || {
        join_all((0..2 * POOL).map(|_| service.readyz())).await;
        site.database.number(sql).await == i64::try_from(POOL).unwrap()
    })
    .await;
}

async fn assert_nothing_is_left(service: &Service, before: Vitals) {
    // A connection that is made anew has the threads and descriptors of the one before.
    eventually("as many threads and descriptors as before", async || {
        let now = Vitals::of(service);
        now.threads <= before.threads + 2 && now.descriptors <= before.descriptors + 2
    })
    .await;
    let now = Vitals::of(service);
    eprintln!("connects that fail: {before:?} before, {now:?} after");
    assert!(now.memory_mib <= before.memory_mib + MEMORY_MIB, "{before:?} before, {now:?} after");
}

#[tokio::test]
async fn connects_that_are_refused_or_not_answered_leave_nothing_behind() {
    let site = Site::shared().await;
    let rabbitmq = Proxy::before(&site.servers.amqp_url).await;
    let postgresql = Proxy::before(&site.database.url).await;
    let settings = [
        ("AMQP_URL", rabbitmq.url.as_str()),
        ("DATABASE_URL", postgresql.url.as_str()),
        ("INVENTORY__AMQP__CONNECT_TIMEOUT_MS", "1000"),
        ("INVENTORY__DATABASE__CONNECT_TIMEOUT_MS", "200"),
        ("INVENTORY__DATABASE__MAX_CONNECTIONS", &POOL.to_string()),
    ];
    let mut service = site.start_service_with(&settings).await;
    service.ready().await;
    fill_pool(&service, &site).await;
    let before = Vitals::of(&service);

    for weather in [Weather::Refusing, Weather::BlackHole] {
        let so_far = rabbitmq.seen().connections;
        rabbitmq.set(weather);
        postgresql.set(weather);
        rabbitmq.strike(Blow::Reset);
        postgresql.strike(Blow::Reset);
        for _ in 0..TO_POSTGRESQL / 2 {
            assert_eq!(service.readyz().await.0, 503);
        }
        let awaited = so_far + to_rabbitmq() / 2;
        eventually("connects to RabbitMQ", async || rabbitmq.seen().connections >= awaited).await;
        rabbitmq.set(Weather::Clear);
        postgresql.set(Weather::Clear);
        service.ready().await;
    }
    assert!(postgresql.seen().connections >= TO_POSTGRESQL / 2, "{:?}", postgresql.seen());
    assert_nothing_is_left(&service, before).await;
    service.stop().await;
}
