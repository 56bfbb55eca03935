//! A cluster of three nodes. Quorum queues need two of them; a classic queue is gone for as long as its node is.
//!
//! Its start alone takes a quarter of a minute: it is there with `scripts/test --full`.

use std::time::Instant;

use super::broker::{Scene, Shared, took};
use crate::support::eventually;
use crate::support::scale::size;
use crate::support::servers::{PrivateServers, Server};

/// Nodes that do not answer are noticed soon.
const SETTINGS: [(&str, &str); 2] =
    [("INVENTORY__AMQP__HEARTBEAT_SECONDS", "2"), ("INVENTORY__AMQP__CONNECT_TIMEOUT_MS", "3000")];

/// Three nodes.
struct Cluster {
    // The others have joined the first, so it ends last.
    others: [PrivateServers; 2],
    /// Where the service connects first, declares its queues, and so leads them.
    first: PrivateServers,
}

static CLUSTER: Shared<Cluster> = Shared::new();

impl Cluster {
    fn new(number: usize) -> Self {
        let node = |name: &str| PrivateServers::new(&format!("cluster-{number}-{name}"));
        Self { others: [node("b"), node("c")], first: node("a") }
    }

    async fn start(&self) {
        self.first.start(Server::RabbitMq).await;
        let [b, c] = &self.others;
        tokio::join!(b.start_joined(&self.first), c.start_joined(&self.first));
    }

    fn nodes(&self) -> [&PrivateServers; 3] {
        [&self.first, &self.others[0], &self.others[1]]
    }

    /// One URL for all of them, as the service has it.
    fn url(&self) -> String {
        let urls = self.nodes().map(|node| node.url("AMQP_URL"));
        let (login, _) = urls[0].rsplit_once('@').unwrap();
        let host = |url: &String| url.rsplit_once('@').unwrap().1.trim_end_matches("/%2f").to_owned();
        format!("{login}@{}/%2f", urls.each_ref().map(host).join(","))
    }
}

/// A service on the cluster. Senders and subscribers are connected to the second node, which stays.
async fn scene() -> Option<Scene<Cluster>> {
    if !size(false, true) {
        eprintln!("only with scripts/test --full");
        return None;
    }
    let cluster = CLUSTER.take(Cluster::new).await;
    cluster.start().await;
    let (url, servers) = (cluster.url(), cluster.others[0].with_shared_other(Server::RabbitMq));
    let scene = Scene::on(servers, cluster, &[&SETTINGS[..], &[("AMQP_URL", url.as_str())]].concat()).await;
    for node in scene.broker.nodes() {
        node.remember_queues().await;
    }
    Some(scene)
}

#[tokio::test]
async fn commands_go_on_while_the_node_that_led_their_queue_is_dead() {
    let Some(scene) = scene().await else { return };
    let leaders = scene.broker.others[0].rabbitmqctl(&["-q", "list_queues", "name", "leader"]).await;
    let leader = leaders.lines().find(|line| line.starts_with(&scene.site.names.commands)).unwrap();
    let port =
        scene.broker.first.url("AMQP_URL").trim_end_matches("/%2f").rsplit_once(':').unwrap().1.to_owned();
    assert!(leader.contains(&format!("inv-{port}@")), "{leader}");

    let mut load = scene.load(400);
    load.confirmed(50).await;
    scene.broker.first.kill(Server::RabbitMq).await;
    let dead = Instant::now();
    eventually("commands are decided", async || {
        let (status, missing) = scene.service.readyz().await;
        status == 503 && !missing.contains("commands") && !missing.contains("events")
    })
    .await;
    let decided = scene.decided().await;
    eventually("more of them", async || scene.decided().await > decided + 20).await;
    took(dead.elapsed());
    // Queries are in a classic queue.
    assert!(scene.service.readyz().await.1.contains("queries"), "{:?}", scene.service.readyz().await);
    scene.broker.first.start(Server::RabbitMq).await;
    scene.service.ready().await;
    let carts = load.end().await;
    scene.finish(&carts).await;
}

#[tokio::test]
async fn a_node_that_goes_and_comes_back_is_hardly_noticed() {
    let Some(scene) = scene().await else { return };
    let mut load = scene.load(200);
    load.confirmed(50).await;
    scene.broker.others[1].stop(Server::RabbitMq).await;
    let carts = load.end().await;
    eventually("all is decided by the others", async || scene.decided().await == carts.len()).await;
    assert_eq!(scene.service.readyz().await, (200, "ready\n".to_owned()));
    scene.broker.others[1].start(Server::RabbitMq).await;
    scene.finish(&carts).await;
}

#[tokio::test]
async fn a_minority_waits_for_the_others() {
    let Some(scene) = scene().await else { return };
    let mut load = scene.load(200);
    load.confirmed(50).await;
    scene.broker.first.pause(Server::RabbitMq).await;
    scene.broker.others[1].pause(Server::RabbitMq).await;
    eventually("/readyz misses RabbitMQ", async || {
        let (status, missing) = scene.service.readyz().await;
        status == 503 && missing.contains("commands")
    })
    .await;
    scene.broker.others[1].resume(Server::RabbitMq).await;
    scene.broker.first.resume(Server::RabbitMq).await;
    scene.recovers(&load).await;
    let carts = load.end().await;
    scene.finish(&carts).await;
}
