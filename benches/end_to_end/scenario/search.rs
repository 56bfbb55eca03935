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

/// What is tried: from few at once to more than the service takes.
pub const TRIED: [Setting; 5] = [
    Setting { prefetch: 256, batch: 64 },
    Setting { prefetch: 1024, batch: 64 },
    Setting { prefetch: 1024, batch: 256 },
    Setting { prefetch: 2048, batch: 512 },
    Setting { prefetch: 4096, batch: 1024 },
];

/// A setting, and how fast the no-op worker was with it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The setting.
    #[serde(flatten)]
    pub setting: Setting,
    /// Commands a second.
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
    let mut tried = Vec::new();
    for setting in TRIED {
        progress
            .begin(&format!("no-op worker: {} at once, {} unacknowledged", setting.batch, setting.prefetch));
        let subject = Subject::idle(stage, "noop", setting).await?;
        let gauge = Gauge { stage, workers: subject.ids() };
        let work = saturate(&gauge, source, &short).await?;
        subject.stop(stage).await?;
        tried.push(Tried { setting, per_second: work.per_second });
        progress.end(&format!("{:.0} commands/s", work.per_second));
    }
    tried.sort_by(|a, b| b.per_second.total_cmp(&a.per_second));
    Ok(tried)
}
