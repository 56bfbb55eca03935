//! What takes its turn, and what needs what.

use serde::Serialize;

use crate::arguments::{Arguments, Scenario};

/// A turn: one worker under one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Turn {
    /// The worker that does nothing, under the load of `Spread`.
    Ceiling,
    /// The service: two lines, over all products.
    Spread,
    /// The plain worker, under the load of `Spread`.
    Baseline,
    /// The service: one line, one product.
    Flash,
    /// The plain worker, under the load of `Flash`.
    BaselineFlash,
    /// The service: invoices.
    Carts,
    /// The service: reserves, releases, consumes; queries beside them.
    Mixed,
    /// Two services, under the load of `Spread`.
    Replicas,
    /// The service with much history, under the load of `Spread`.
    Growth,
    /// The service: queries only.
    Queries,
    /// The responder that does nothing, under the load of `Queries`.
    Responder,
    /// The service: queries while commands run as in `Spread`.
    LoadedQueries,
    /// The responder and the worker that do nothing, under the load of `LoadedQueries`.
    LoadedResponder,
    /// The service, with commands that wait.
    Backlog,
    /// The service at a pace below its capacity.
    Latency,
    /// The worker that does nothing, at the same pace.
    NoopLatency,
}

impl Turn {
    /// All of them, each once.
    pub const ALL: [Self; 16] = [
        Self::Ceiling,
        Self::Spread,
        Self::Baseline,
        Self::Flash,
        Self::BaselineFlash,
        Self::Carts,
        Self::Growth,
        Self::Replicas,
        Self::Mixed,
        Self::Backlog,
        Self::Queries,
        Self::Responder,
        Self::LoadedQueries,
        Self::LoadedResponder,
        Self::Latency,
        Self::NoopLatency,
    ];

    /// A round. Machines are faster and slower from minute to minute, so what a ratio is of stands side by side: that is
    /// why `Spread` comes again and again.
    pub const ROUND: [Self; 16] = [
        Self::Ceiling,
        Self::Spread,
        Self::Baseline,
        Self::BaselineFlash,
        Self::Flash,
        Self::Spread,
        Self::Carts,
        Self::Growth,
        Self::Spread,
        Self::Replicas,
        Self::Mixed,
        Self::Queries,
        Self::Responder,
        Self::LoadedQueries,
        Self::LoadedResponder,
        Self::Backlog,
    ];

    /// A round of those that wait until the capacity is known.
    pub const PACED_ROUND: [Self; 2] = [Self::Latency, Self::NoopLatency];

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Ceiling => "ceiling (no-op)",
            Self::Spread => "spread",
            Self::Baseline => "baseline, spread",
            Self::Flash => "flash sale",
            Self::BaselineFlash => "baseline, flash",
            Self::Carts => "real carts",
            Self::Mixed => "mixed",
            Self::Replicas => "two replicas",
            Self::Growth => "growth",
            Self::Queries => "queries",
            Self::Responder => "queries, no-op",
            Self::LoadedQueries => "queries under load",
            Self::LoadedResponder => "no-op under load",
            Self::Backlog => "backlog",
            Self::Latency => "latency",
            Self::NoopLatency => "latency, no-op",
        }
    }

    /// Whether it is the service that is measured.
    #[must_use]
    pub fn is_of_service(self) -> bool {
        let others = [
            Self::Ceiling,
            Self::Baseline,
            Self::BaselineFlash,
            Self::Responder,
            Self::LoadedResponder,
            Self::NoopLatency,
        ];
        !others.contains(&self)
    }

    /// Whether these arguments ask for it, or for a ratio that needs it.
    #[must_use]
    pub fn is_wanted(self, arguments: &Arguments) -> bool {
        use Scenario as S;
        let reasons: &[S] = match self {
            Self::Ceiling => &[S::Ceiling, S::Spread],
            Self::Spread => &[S::Spread, S::Flash, S::Carts, S::Baseline, S::Latency, S::Growth, S::Replicas],
            Self::Baseline => &[S::Baseline, S::Spread],
            Self::Flash => &[S::Flash],
            Self::BaselineFlash => &[S::Baseline, S::Flash],
            Self::Carts => &[S::Carts],
            Self::Mixed => &[S::Mixed],
            Self::Replicas => &[S::Replicas],
            Self::Growth => &[S::Growth],
            Self::Queries | Self::Responder | Self::LoadedQueries | Self::LoadedResponder => &[S::Queries],
            Self::Backlog => &[S::Backlog],
            Self::Latency | Self::NoopLatency => &[S::Latency],
        };
        reasons.iter().any(|reason| arguments.wants(*reason))
    }
}
