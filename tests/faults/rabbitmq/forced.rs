//! RabbitMQ closes a connection or a channel by force.

use super::Scene;
use super::broker::{KILL_CHANNELS, broker};
use crate::support::client::connect;
use crate::support::eventually;
use crate::support::load::carts_for;

#[tokio::test]
async fn connections_and_channels_that_are_closed_by_force_are_made_again() {
    let scene = Scene::open(broker().await, &[]).await;
    let mut load = scene.load(500);
    for (confirmed, command) in [(50, ["close_all_connections", "a test"]), (250, ["eval", KILL_CHANNELS])] {
        load.confirmed(confirmed).await;
        let before = scene.service.log().matches("consuming failed").count();
        scene.broker.rabbitmqctl(&command).await;
        eventually("both consumers are cut off", async || {
            scene.service.log().matches("consuming failed").count() >= before + 2
        })
        .await;
        scene.recovers(&load).await;
    }
    let carts = load.end().await;
    scene.finish(&carts).await;
}

/// What has not been acknowledged in time comes again, and is recognized.
#[tokio::test]
async fn a_channel_that_is_closed_for_want_of_acknowledgements_is_opened_again() {
    let broker = broker().await;
    let times = |timeout: &str, tick: &str| {
        format!(
            "application:set_env(rabbit, consumer_timeout, {timeout}), \
             application:set_env(rabbit, channel_tick_interval, {tick})."
        )
    };
    broker.rabbitmqctl(&["eval", &times("1000", "250")]).await;
    let scene = Scene::open(broker, &[]).await;

    let lock = scene.site.database.lock_stock(scene.product).await;
    let carts = carts_for(scene.product, 20);
    scene.send(&carts).await;
    scene.site.database.until_somebody_waits_for_a_lock().await;
    let (_connection, channel) = connect(&scene.site.servers.amqp_url).await;
    let commands = scene.site.names.commands.as_str();
    eventually("the commands are back in their queue", async || {
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(commands.into(), options, lapin::types::FieldTable::default());
        declared.await.unwrap().message_count() == 20
    })
    .await;
    // RabbitMQ knows it before the service does.
    eventually("/readyz says that the connection for commands is gone", async || {
        let (status, missing) = scene.service.readyz().await;
        status == 503 && missing.contains("commands")
    })
    .await;
    scene.broker.rabbitmqctl(&["eval", &times("1800000", "60000")]).await;
    drop(lock);
    scene.service.logged("PRECONDITION_FAILED").await;
    scene.service.ready().await;
    scene.finish(&carts).await;
}
