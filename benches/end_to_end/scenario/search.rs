//! The ceiling is the best that a worker can do: its setting is found by trying.

use serde::Serialize;

use super::closed::saturate;
use super::gauge::Gauge;
use super::subject::{Setting, Subject};
use crate::arguments::Plan;
use crate::failure::Failure;
use crate::load::Source;
use crate::progress::Progress;
use crate::stage::Stage;

/// What is tried: from few at once to more than the service takes; each less than what is outstanding.
pub const TRIED: [Setting; 4] = [
    Setting { prefetch: 256, batch: 64 },
    Setting { prefetch: 1024, batch: 64 },
    Setting { prefetch: 1024, batch: 256 },
    Setting { prefetch: 2048, batch: 512 },
];

/// Each is tried more than once: one moment is like no other.
const PASSES: u32 = 2;

/// How often something is tried.
pub fn steps() -> u64 {
    u64::from(PASSES) * TRIED.len() as u64
}

/// A setting, and how fast the no-op worker was with it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The setting.
    #[serde(flatten)]
    pub setting: Setting,
    /// Commands a second, on average.
    pub per_second: f64,
}

/// Tries all, shortly; the best comes first.
pub async fn search(
    stage: &Stage,
    source: &mut impl Source,
    plan: &Plan,
    progress: &Progress,
) -> Result<Vec<Tried>, Failure> {
    let short = Plan { warm_up: plan.warm_up / 2, window: plan.window.min(plan.warm_up), ..plan.clone() };
    let mut tried = TRIED.map(|setting| Tried { setting, per_second: 0.0 });
    for _ in 0..PASSES {
        for Tried { setting, per_second } in &mut tried {
            let Setting { prefetch, batch } = *setting;
            progress.begin(&format!("no-op worker: {batch} at once, {prefetch} unacknowledged"));
            let subject = Subject::idle(stage, "noop", *setting).await?;
            let gauge = Gauge { stage, workers: subject.ids() };
            let work = saturate(&gauge, source, &short).await?;
            subject.stop(stage).await?;
            *per_second += work.per_second / f64::from(PASSES);
            progress.end(&format!("{:.0} commands/s", work.per_second));
        }
    }
    tried.sort_by(|a, b| b.per_second.total_cmp(&a.per_second));
    Ok(tried.to_vec())
}
