//! The ratios that the service is judged by, and what they ought to be.

use serde::Serialize;

use crate::scenario::{Findings, Measurement, Turn, Work};
use crate::spread::Spread;

/// Which way is good, and how far is far enough.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// As large as can be.
    AtLeast {
        /// What it must be.
        bound: f64,
        /// What would be good.
        goal: f64,
    },
    /// As small as can be.
    AtMost {
        /// What it must be.
        bound: f64,
        /// What would be good.
        goal: f64,
    },
}

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// How many times as much.
    Ratio,
    /// Time.
    Milliseconds,
    /// Memory: 1,048,576 bytes.
    Mebibytes,
}

/// How well a target is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Better than it must be, and as good as would be good.
    Goal,
    /// As good as it must be.
    Met,
    /// Not as good as it must be.
    Missed,
}

/// A figure with a target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// What people call it.
    pub name: &'static str,
    /// Of the rounds.
    pub value: Spread,
    /// What of.
    pub unit: Unit,
    /// What it ought to be.
    pub target: Target,
    /// Whether it is, by the median.
    pub verdict: Verdict,
}

/// The turns of one round.
struct Round<'a>(Vec<&'a Measurement>);

type OfRound = fn(&Round) -> Option<f64>;

/// Name, unit, target, and how it follows from a round.
const FIGURES: [(&str, Unit, Target, OfRound); 11] = [
    ("spread / ceiling", Unit::Ratio, at_least(0.70, 0.85), |r| r.ratio(Turn::Spread, Turn::Ceiling)),
    ("spread / baseline", Unit::Ratio, at_least(3.0, 5.0), |r| r.ratio(Turn::Spread, Turn::Baseline)),
    ("flash sale / spread", Unit::Ratio, at_least(0.95, 1.1), |r| r.ratio(Turn::Flash, Turn::Spread)),
    ("flash sale / baseline", Unit::Ratio, at_least(8.0, 15.0), |r| {
        r.ratio(Turn::Flash, Turn::BaselineFlash)
    }),
    ("lines of real carts / lines of spread", Unit::Ratio, at_least(1.5, 3.0), |r| {
        r.ratio_of_lines(Turn::Carts, Turn::Spread)
    }),
    ("p99 at 25 % load / no-op", Unit::Ratio, at_most(3.0, 2.0), |r| {
        Some(r.p99_at_a_quarter(Turn::Latency)? / r.p99_at_a_quarter(Turn::NoopLatency)?)
    }),
    ("queries / no-op", Unit::Ratio, at_least(0.7, 0.9), |r| r.ratio(Turn::Queries, Turn::Responder)),
    ("query p99 under full load", Unit::Milliseconds, at_most(25.0, 10.0), |r| {
        Some(r.of(Turn::LoadedQueries)?.queries.as_ref()?.latency.p99)
    }),
    ("growth / spread", Unit::Ratio, at_least(0.9, 0.98), |r| r.ratio(Turn::Growth, Turn::Spread)),
    ("two replicas / one", Unit::Ratio, at_least(0.9, 1.0), |r| r.ratio(Turn::Replicas, Turn::Spread)),
    ("peak memory of the service", Unit::Mebibytes, at_most(96.0, 48.0), |r| r.peak_memory()),
];

const fn at_least(bound: f64, goal: f64) -> Target {
    Target::AtLeast { bound, goal }
}

const fn at_most(bound: f64, goal: f64) -> Target {
    Target::AtMost { bound, goal }
}

/// All figures that these findings allow.
#[must_use]
pub fn of(findings: &Findings) -> Vec<Figure> {
    let last = findings.measurements.iter().map(|measurement| measurement.round).max().unwrap_or_default();
    let of_round = |round| findings.measurements.iter().filter(move |m| m.round == round).collect();
    let rounds: Vec<Round> = (1..=last).map(|round| Round(of_round(round))).collect();
    let figure = |(name, unit, target, of): (_, _, Target, OfRound)| {
        let value = Spread::of(rounds.iter().filter_map(of).collect())?;
        // Memory is not a matter of luck: the worst round counts.
        let counts = if unit == Unit::Mebibytes { value.max } else { value.median };
        Some(Figure { name, value, unit, target, verdict: target.verdict(counts) })
    };
    FIGURES.into_iter().filter_map(figure).collect()
}

impl Target {
    fn verdict(self, value: f64) -> Verdict {
        let (is_met, is_goal) = match self {
            Self::AtLeast { bound, goal } => (value >= bound, value >= goal),
            Self::AtMost { bound, goal } => (value <= bound, value <= goal),
        };
        if is_goal {
            Verdict::Goal
        } else if is_met {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }
}

impl Round<'_> {
    fn of(&self, turn: Turn) -> Option<&Measurement> {
        self.0.iter().copied().find(|measurement| measurement.turn == turn)
    }

    fn ratio(&self, of: Turn, to: Turn) -> Option<f64> {
        self.of_neighbours(of, to, |work| work.per_second)
    }

    fn ratio_of_lines(&self, of: Turn, to: Turn) -> Option<f64> {
        self.of_neighbours(of, to, |work| work.lines_per_second)
    }

    /// Of the two that stand closest to each other.
    fn of_neighbours(&self, of: Turn, to: Turn, value: fn(&Work) -> f64) -> Option<f64> {
        let places = |turn| self.0.iter().enumerate().filter(move |(_, m)| m.turn == turn);
        let pairs = places(of).flat_map(|of| places(to).map(move |to| (of, to)));
        let ((_, of), (_, to)) = pairs.min_by_key(|((of, _), (to, _))| of.abs_diff(*to))?;
        Some(value(of.work.as_ref()?) / value(to.work.as_ref()?))
    }

    fn p99_at_a_quarter(&self, turn: Turn) -> Option<f64> {
        let pace = self.of(turn)?.paces.iter().find(|pace| (pace.load - 0.25).abs() < 0.01)?;
        Some(pace.latency.p99)
    }

    #[expect(clippy::cast_precision_loss, reason = "far below what an f64 holds exactly")]
    fn peak_memory(&self) -> Option<f64> {
        let services = self.0.iter().filter(|measurement| measurement.turn.is_of_service());
        let peak = services.filter_map(|measurement| measurement.peak_memory_bytes).max()?;
        Some(peak as f64 / 1_048_576.0)
    }
}
