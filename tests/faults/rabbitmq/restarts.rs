//! RabbitMQ goes, cleanly or not, and comes back on the same data.

use super::Scene;
use super::broker::broker;
use crate::support::eventually;
use crate::support::servers::Server;

async fn go_and_come_back(is_clean: bool) {
    let scene = Scene::open(broker().await, &[]).await;
    scene.broker.remember_queues().await;
    let mut load = scene.load(200);
    load.confirmed(50).await;
    let servers = &scene.broker;
    if is_clean {
        servers.stop(Server::RabbitMq).await;
    } else {
        servers.kill(Server::RabbitMq).await;
    }
    eventually("/readyz names what is missing", async || {
        let (status, missing) = scene.service.readyz().await;
        status == 503 && missing.contains("RabbitMQ")
    })
    .await;
    servers.start(Server::RabbitMq).await;
    scene.recovers(&load).await;
    let carts = load.end().await;
    scene.finish(&carts).await;
}

#[tokio::test]
async fn what_a_stopped_rabbitmq_holds_up_goes_on_after_it() {
    go_and_come_back(true).await;
}

#[tokio::test]
async fn what_a_killed_rabbitmq_holds_up_goes_on_after_it() {
    go_and_come_back(false).await;
}

/// A queue may come back later than its server: until then RabbitMQ answers whoever wants it with 541.
#[tokio::test]
async fn a_queue_that_is_not_there_yet_is_tried_again() {
    let scene = Scene::open(broker().await, &[]).await;
    let mut load = scene.load(200);
    load.confirmed(50).await;
    let on_member = |what: &str| {
        format!(
            "{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{}\">>)), \
             {what}(quorum_queues, amqqueue:get_pid(Queue)).",
            scene.site.names.commands
        )
    };
    scene.broker.rabbitmqctl(&["eval", &on_member("ra:stop_server")]).await;
    scene.broker.rabbitmqctl(&["close_all_connections", "a test"]).await;
    scene.service.logged("INTERNAL_ERROR").await;
    scene.broker.rabbitmqctl(&["eval", &on_member("ra:restart_server")]).await;
    scene.recovers(&load).await;
    let carts = load.end().await;
    scene.finish(&carts).await;
}
