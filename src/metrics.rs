//! Prometheus metrics: what the people who run the service at night look at.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All metrics of a service. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    messages: Family<MessageLabels, Counter>,
    batch_commands: Histogram,
    batch_steps: Family<StepLabels, Histogram, fn() -> Histogram>,
    transactions_retried: Family<ReasonLabels, Counter>,
    commands_waiting: Gauge,
    outbox_backlog: Gauge,
    outbox_oldest_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
    events_published: Counter,
    dead_letters: Family<CodeLabels, Counter>,
    replies_dropped: Counter,
    reconnects: Family<ConnectionLabels, Counter>,
    holds_lapsed: Counter,
    expiry_lag_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
}

/// A step of handling a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Step {
    /// Reading the messages.
    Decode,
    /// Locking and loading what the batch touches.
    Load,
    /// Deciding.
    Decide,
    /// Writing what changed.
    Persist,
    /// Making it so.
    Commit,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    r#type: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    connection: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("inventory"),
            messages: Family::default(),
            batch_commands: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            batch_steps: Family::new_with_constructor(seconds_histogram as fn() -> Histogram),
            transactions_retried: Family::default(),
            commands_waiting: Gauge::default(),
            outbox_backlog: Gauge::default(),
            outbox_oldest_seconds: Gauge::default(),
            events_published: Counter::default(),
            dead_letters: Family::default(),
            replies_dropped: Counter::default(),
            reconnects: Family::default(),
            holds_lapsed: Counter::default(),
            expiry_lag_seconds: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

/// From 50 microseconds to 1.6 seconds.
fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register("messages", "Messages by type and outcome", self.messages.clone());
        registry.register("batch_commands", "Commands a transaction", self.batch_commands.clone());
        registry.register_with_unit(
            "batch_step",
            "Time of the steps of a batch",
            Unit::Seconds,
            self.batch_steps.clone(),
        );
        registry.register(
            "transactions_retried",
            "Transactions tried again, by reason",
            self.transactions_retried.clone(),
        );
        registry.register(
            "commands_waiting",
            "Commands that wait because somebody else has locked what they need, or because they take too long",
            self.commands_waiting.clone(),
        );
        registry.register(
            "outbox_backlog_events",
            "Events promised but not yet confirmed, those of up to 10000 rows of the outbox",
            self.outbox_backlog.clone(),
        );
        registry.register_with_unit(
            "outbox_oldest",
            "Age of the oldest event in the outbox",
            Unit::Seconds,
            self.outbox_oldest_seconds.clone(),
        );
        registry.register(
            "events_published",
            "Events confirmed by the broker",
            self.events_published.clone(),
        );
        registry.register("dead_letters", "Messages that could not be understood", self.dead_letters.clone());
        registry.register(
            "replies_dropped",
            "Replies given up because the broker did not take them in time",
            self.replies_dropped.clone(),
        );
        registry.register(
            "holds_lapsed",
            "Holds whose time was over, given back by the sweep",
            self.holds_lapsed.clone(),
        );
        registry.register_with_unit(
            "expiry_lag",
            "How late the sweep was with the first hold that it found lapsed",
            Unit::Seconds,
            self.expiry_lag_seconds.clone(),
        );
        registry.register("reconnects", "Connections to RabbitMQ made again", self.reconnects.clone());
    }

    /// A message of this type came to this outcome.
    pub fn message(&self, message_type: &'static str, outcome: impl Into<String>) {
        self.messages(message_type, outcome, 1);
    }

    /// So many messages of this type came to this outcome.
    pub fn messages(&self, message_type: &'static str, outcome: impl Into<String>, messages: u64) {
        let labels = MessageLabels { r#type: message_type, outcome: outcome.into() };
        self.messages.get_or_create(&labels).inc_by(messages);
    }

    /// A transaction took so many commands.
    pub fn batch(&self, commands: usize) {
        #[expect(clippy::cast_precision_loss, reason = "batches are small")]
        self.batch_commands.observe(commands as f64);
    }

    /// A step took so long.
    pub fn step(&self, step: Step, took: Duration) {
        self.batch_steps.get_or_create(&StepLabels { step }).observe(took.as_secs_f64());
    }

    /// A transaction has to be tried again.
    pub fn retried(&self, reason: &'static str) {
        self.transactions_retried.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// So many commands wait for a lock, or because they take too long.
    pub fn waiting(&self, commands: usize) {
        self.commands_waiting.set(i64::try_from(commands).unwrap_or(i64::MAX));
    }

    /// So much waits in the outbox.
    pub fn outbox(&self, rows: i64, oldest_seconds: f64) {
        self.outbox_backlog.set(rows);
        self.outbox_oldest_seconds.set(oldest_seconds);
    }

    /// The broker has confirmed so many events.
    pub fn published(&self, events: usize) {
        self.events_published.inc_by(events as u64);
    }

    /// A message went to the dead letters.
    pub fn dead_letter(&self, code: &'static str) {
        self.dead_letters.get_or_create(&CodeLabels { code }).inc();
    }

    /// So many replies were given up.
    pub fn replies_dropped(&self, replies: usize) {
        self.replies_dropped.inc_by(replies as u64);
    }

    /// So many lapsed holds were given back.
    pub fn lapsed(&self, holds: usize) {
        self.holds_lapsed.inc_by(holds as u64);
    }

    /// The sweep was so late.
    pub fn expiry_lag(&self, seconds: f64) {
        self.expiry_lag_seconds.set(seconds);
    }

    /// A connection was made again.
    pub fn reconnected(&self, connection: &'static str) {
        self.reconnects.get_or_create(&ConnectionLabels { connection }).inc();
    }

    /// The OpenMetrics text that Prometheus reads.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
