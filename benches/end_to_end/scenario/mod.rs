//! What is measured: turns, in rounds, so that whatever the machine does meanwhile happens to all.

mod asking;
mod backlog;
mod closed;
mod gauge;
mod history;
mod measurement;
mod paced;
mod preparation;
mod round_trips;
mod run;
mod search;
mod subject;
mod turn;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::stage::Stage;

pub use measurement::{Answers, Cpu, Latency, Measurement, Work};
pub use paced::LOADS;
pub use round_trips::RoundTrips;
pub use search::Tried;
pub use turn::Turn;

/// Everything that a run found out.
#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Settings of the no-op worker, the best first.
    pub noop: Vec<Tried>,
    /// The turns, in the order in which they were taken.
    pub measurements: Vec<Measurement>,
    /// How often the service waits for PostgreSQL.
    pub round_trips: Option<RoundTrips>,
}

/// Measures what is wanted.
pub async fn measure(stage: &Stage, arguments: &Arguments) -> Result<Findings, Failure> {
    run::Run::prepare(stage, arguments).await?.measure().await
}
