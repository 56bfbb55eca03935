//! Below capacity: how long a command takes, counted from when it was due.

use super::measurement::{Latency, Pace};
use crate::arguments::Plan;
use crate::failure::Failure;
use crate::load::{Load, Schedule, Source};

/// Parts of the capacity.
pub const LOADS: [f64; 4] = [0.10, 0.25, 0.50, 0.75];

/// Measures at every part of this capacity, in one life of the worker.
pub async fn follow(
    url: &str,
    source: &mut impl Source,
    capacity: f64,
    plan: &Plan,
) -> Result<Vec<Pace>, Failure> {
    let mut paces = Vec::new();
    for load in LOADS {
        let (per_second, latency) = (capacity * load, pace(url, source, capacity * load, plan).await?);
        paces.push(Pace { load, per_second, latency });
    }
    Ok(paces)
}

async fn pace(url: &str, source: &mut impl Source, rate: f64, plan: &Plan) -> Result<Latency, Failure> {
    let schedule = Schedule::new(rate, plan.warm_up, plan.window);
    let mut load = Load::open(url, source.lines(), Some(schedule)).await?;
    load.follow(source, schedule).await?;
    load.drain().await?;
    let latency = Latency::from(&load.tally().latencies.histogram());
    load.close().await?;
    Ok(latency)
}
