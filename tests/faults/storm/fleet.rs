//! What the storm is over: replicas of the service, each behind proxies of its own, and the servers.

use std::time::Duration;

use super::load::SharedHistory;
use crate::kit::Proxy;
use crate::support::conformance::{names_the_customer, tells};
use crate::support::names::Names;
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;

/// A replica, and its ways to the servers.
#[derive(Debug)]
pub struct Replica {
    pub service: Service,
    pub database: Proxy,
    pub amqp: Proxy,
}

/// All of it. Dropped in this order: the service before its servers.
#[derive(Debug)]
pub struct Fleet {
    pub replicas: Vec<Replica>,
    pub site: Site,
    pub servers: PrivateServers,
    pub history: SharedHistory,
}

/// What a replica of a storm has beside the defaults: a log that is short enough to be kept, and a lease that is over
/// while the storm still rages, so that replicas see to each other's events more often.
const SETTINGS: [(&str, &str); 2] = [
    ("INVENTORY__LOG__FILTER", "warn,inventory_service::service=info"),
    ("INVENTORY__OUTBOX__LEASE_SECONDS", "3"),
];

impl Fleet {
    /// Servers, and so many replicas that are ready.
    pub async fn start(replicas: usize) -> Self {
        let servers = PrivateServers::new("storm");
        let urls = servers.start_all().await;
        let site = Site::create(urls, Names::of_the_contract()).await;
        let mut fleet = Self { replicas: Vec::new(), site, servers, history: SharedHistory::default() };
        for _ in 0..replicas {
            let database = Proxy::before(&fleet.site.database.url).await;
            let amqp = Proxy::before(&fleet.site.servers.amqp_url).await;
            let service = fleet.launch(&database, &amqp).await;
            fleet.replicas.push(Replica { service, database, amqp });
        }
        for replica in &fleet.replicas {
            replica.service.ready().await;
        }
        fleet
    }

    async fn launch(&self, database: &Proxy, amqp: &Proxy) -> Service {
        let urls = [("DATABASE_URL", database.url.as_str()), ("AMQP_URL", amqp.url.as_str())];
        self.site.start_service_with(&[&urls[..], &SETTINGS[..]].concat()).await
    }

    /// Starts a replica that has ended.
    pub async fn relaunch(&mut self, replica: usize) {
        self.read_log(replica);
        let Replica { database, amqp, .. } = &self.replicas[replica];
        self.replicas[replica].service = self.launch(database, amqp).await;
    }

    /// Looks for what must not be in a log.
    fn read_log(&self, replica: usize) {
        let log = self.replicas[replica].service.log();
        let passwords = self.site.servers.passwords();
        let is_bad = |line: &&str| {
            line.contains("panicked")
                || line.contains(" ERROR ")
                || names_the_customer(line)
                || passwords.iter().any(|password| tells(line, password))
        };
        for line in log.lines().filter(is_bad) {
            self.history.lock().note(format!("in the log of a replica: {line}"));
        }
    }

    /// Closes every connection to RabbitMQ by force, as an administrator would.
    pub async fn close_connections(&self) {
        self.servers.rabbitmqctl(&["close_all_connections", "storm"]).await;
    }

    /// Stops a server cleanly, or as a power cut would.
    pub async fn end_server(&self, server: Server, is_clean: bool) {
        if is_clean { self.servers.stop(server).await } else { self.servers.kill(server).await }
    }

    /// Waits until all that was sent is decided, published and settled.
    pub async fn settle(&self, patience: Duration) {
        let decided = async || {
            let sent = i64::try_from(self.history.lock().commands()).unwrap();
            let left = "SELECT count(*) FROM outbox";
            let outcomes = "SELECT count(*) FROM command_outcome";
            self.site.database.number(outcomes).await >= sent && self.site.database.number(left).await == 0
        };
        let settling = async {
            while !decided().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(patience, settling).await.is_err() {
            self.history.lock().note(format!("not all is decided and published within {patience:?}"));
        }
    }

    /// Ends every replica, which must end well.
    pub async fn stop(&mut self) {
        for replica in 0..self.replicas.len() {
            self.replicas[replica].service.stop().await;
            self.read_log(replica);
        }
    }
}
