//! A service that runs for one test, and what must hold at the end of every one.

use std::collections::HashMap;
use std::path::PathBuf;

use uuid::Uuid;

use super::client::Client;
use super::conformance::{names_the_customer, tells};
use super::deployment::{Deployment, Lease};
use super::names::Names;
use super::servers::Servers;
use super::service::Service;
use super::site::Site;
use super::{Message, Received, eventually};

/// Settings of a service that waits for a lock for longer than anything else takes.
pub const PATIENT: [(&str, &str); 3] = [
    ("INVENTORY__DATABASE__LOCK_TIMEOUT_MS", "600000"),
    ("INVENTORY__DATABASE__STATEMENT_TIMEOUT_MS", "600000"),
    ("INVENTORY__DATABASE__TRANSACTION_TIMEOUT_MS", "600000"),
];

/// How a service is set up for a test that needs another than the usual one.
#[derive(Debug)]
pub struct Setup {
    servers: Servers,
    names: Names,
    replicas: usize,
    settings: Vec<(String, String)>,
}

impl Setup {
    /// One replica with the default settings, on the shared servers.
    pub fn new() -> Self {
        Self { servers: Servers::shared(), names: Names::unique(), replicas: 1, settings: Vec::new() }
    }

    /// On other servers, with the names of the contract.
    pub fn with_default_names_on(servers: Servers) -> Self {
        Self { servers, names: Names::of_the_contract(), ..Self::new() }
    }

    /// So many replicas.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// With a setting, such as `INVENTORY__LIMITS__LINES`.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With replicas that wait for a lock for longer than anything else takes.
    pub fn patient(self) -> Self {
        PATIENT.into_iter().fold(self, |setup, (name, value)| setup.with(name, value))
    }

    /// Starts it; returns once all replicas are ready.
    pub async fn start(self) -> Harness {
        let mut site = Site::create(self.servers, self.names).await;
        site.settings.extend(self.settings);
        Harness::of(Deployment::start(site, self.replicas).await).await
    }
}

/// A service that runs, and a client that talks to it.
#[derive(Debug)]
pub struct Harness {
    pub client: Client,
    deployment: Deployment,
    /// Where the service is one that tests hand on.
    lease: Option<Lease>,
    /// What was in the log before this test.
    logged_before: usize,
}

impl Harness {
    /// One replica with the default settings, which this test has to itself.
    pub async fn start() -> Self {
        let (lease, deployment) = Lease::begin().await;
        let logged_before = deployment.services.iter().map(|service| service.log().len()).sum();
        Self { lease: Some(lease), logged_before, ..Self::of(deployment).await }
    }

    /// Of services that run already.
    pub async fn of(deployment: Deployment) -> Self {
        let client = Client::connect(&deployment.site.servers.amqp_url, &deployment.site.names).await;
        Self::with(client, deployment)
    }

    /// The same with a client that is connected already.
    pub fn with(client: Client, deployment: Deployment) -> Self {
        Self { client, deployment, lease: None, logged_before: 0 }
    }

    /// The place where the service runs.
    pub fn site(&self) -> &Site {
        &self.deployment.site
    }

    /// The replicas.
    pub fn services(&mut self) -> &mut Vec<Service> {
        assert!(self.lease.is_none(), "the usual service is not to be touched: set up one of your own");
        &mut self.deployment.services
    }

    /// Starts another replica.
    pub async fn add_replica(&mut self) {
        self.add_replica_with(&[]).await;
    }

    /// The same with other settings than the first.
    pub async fn add_replica_with(&mut self, settings: &[(&str, &str)]) {
        let service = self.site().start_service_with(settings).await;
        service.ready().await;
        self.services().push(service);
    }

    /// A new product with so many units on hand.
    pub async fn product(&self, on_hand: u64) -> Uuid {
        self.products([on_hand]).await[0]
    }

    /// New products with so many units on hand, in ascending order of their ids.
    pub async fn products<const N: usize>(&self, on_hand: [u64; N]) -> [Uuid; N] {
        let mut products = on_hand.map(|_| Uuid::new_v4());
        products.sort();
        let lines: Vec<(Uuid, u64)> = products.into_iter().zip(on_hand).collect();
        self.site().count(&lines).await;
        products
    }

    /// Waits until every event that was promised is published.
    pub async fn until_all_is_published(&self) {
        let database = &self.deployment.site.database;
        let promised = async || database.number("SELECT count(*) FROM outbox").await;
        eventually("an empty outbox", async || promised().await == 0).await;
    }

    /// Waits until so many commands of this database have been decided, and everything about them is published.
    pub async fn until_all_are_decided(&self, commands: usize) {
        let database = &self.deployment.site.database;
        let decided = async || database.number("SELECT count(*) FROM command_outcome").await;
        let awaited = format!("{commands} decided commands");
        eventually(&awaited, async || decided().await == i64::try_from(commands).unwrap()).await;
        self.until_all_is_published().await;
    }

    /// Waits until no hold is about to lapse, for who stops the service and looks at the books then: `verify` finds
    /// those that are overdue.
    pub async fn until_short_holds_have_lapsed(&self) {
        let lapsing = "SELECT count(*) FROM reservation WHERE state = 'HELD' AND expires_at < now() + interval '1 minute'";
        let database = &self.deployment.site.database;
        eventually("no hold that lapses soon", async || database.number(lapsing).await == 0).await;
    }

    /// All that was logged since this test began.
    pub fn log(&self) -> String {
        let log: String = self.deployment.services.iter().map(Service::log).collect();
        log[self.logged_before..].to_owned()
    }

    /// Demands that nobody found anything to complain about.
    pub fn assert_quiet_log(&self) {
        let log = self.log();
        let is_complaint = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        // That something takes long is no fault where the machine is slow.
        let complaints: Vec<&str> =
            log.lines().filter(is_complaint).filter(|line| !line.contains("slow statement")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Demands what must hold at the end of every test: every message was settled; what every reserve came to, every reply
    /// and dead letter was awaited by the test; the books balance; nothing confidential is in the log; and a service of
    /// the test's own ends with 0.
    pub async fn finish(mut self) {
        if self.lease.is_some() {
            self.let_the_service_catch_up().await;
        } else {
            if !self.deployment.services.is_empty() {
                // Afterwards nobody is there to publish what another process wrote.
                self.until_all_is_published().await;
            }
            self.deployment.stop().await;
        }
        self.finish_stopped().await;
    }

    /// The same where something was killed or away: what was not known to be done was done once more, so events
    /// may come twice. Gives those that nobody awaited.
    pub async fn finish_after_an_outage(mut self) -> Vec<Received> {
        // What a replica left behind, and what a lost channel gave back, is found only by one that runs.
        self.until_all_is_published().await;
        self.until_no_queue_has_any().await;
        self.deployment.stop().await;
        let again = self.client.events.rest().await;
        self.finish_stopped().await;
        again
    }

    async fn finish_stopped(mut self) {
        self.assert_all_is_settled().await;
        self.assert_books_balance().await;
        self.assert_discreet_log();
        if let Some(lease) = self.lease {
            lease.end(self.deployment).await;
        }
    }

    /// What was sent before a message is settled once the next after it is answered.
    async fn let_the_service_catch_up(&mut self) {
        for _ in 0..2 {
            let last = Message::reserve(Uuid::new_v4(), &[(Uuid::nil(), 1)]);
            let last = last.with_reply_to(&self.client.replies.queue);
            self.outcome_of(&last).await;
            self.next_reply_to(&last).await;
        }
    }

    async fn assert_all_is_settled(&mut self) {
        self.until_all_is_published().await;
        // Looked over as they are taken out; to await them is for the tests that are about them.
        self.client.movements.rest().await;
        assert_in_order(&self.client.stock.rest().await);
        let rest = (self.client.events.rest().await, self.client.replies.rest().await);
        assert!(rest.0.is_empty() && rest.1.is_empty(), "events and replies that nobody awaited: {rest:#?}");
        self.until_no_queue_has_any().await;
    }

    async fn until_no_queue_has_any(&self) {
        let Names { commands, queries, dead_letter, .. } = &self.deployment.site.names;
        for queue in [commands, queries, dead_letter] {
            eventually(&format!("an empty {queue}"), async || self.client.depth(queue).await == 0).await;
        }
    }

    async fn assert_books_balance(&self) {
        let verified = self.site().inventory(&["verify"]).await;
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }

    fn assert_discreet_log(&self) {
        let log = self.log();
        assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
        for password in self.site().servers.passwords() {
            assert!(!tells(&log, &password), "a password is in the log");
        }
        let told: Vec<&str> = log.lines().filter(|line| names_the_customer(line)).collect();
        assert!(told.is_empty(), "the customer is in the log: {told:#?}");
    }
}

/// Demands that each product's stock runs out and comes back in the order of the versions. What was told before
/// may be told again.
pub fn assert_in_order(events: &[Received]) {
    let mut told: HashMap<&str, Vec<(u64, &str)>> = HashMap::new();
    for event in events {
        let told = told.entry(event.text("productId")).or_default();
        let version = event.json["version"].as_u64().unwrap();
        let kind = if version.is_multiple_of(2) { "StockDepleted" } else { "StockReplenished" };
        assert_eq!(event.kind(), kind, "{event:?}");
        let is_next = told.last().is_none_or(|(last, _)| version == last + 1);
        assert!(is_next || told.contains(&(version, event.id())), "{event:?} after {told:?}");
        if is_next {
            told.push((version, event.id()));
        }
    }
}

/// A file of a test's own.
pub fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", Uuid::new_v4()));
    std::fs::write(&path, content).unwrap();
    path
}
