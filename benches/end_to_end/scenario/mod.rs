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
mod search;
mod subject;
mod turn;

use uuid::Uuid;

use crate::arguments::{Arguments, Plan};
use crate::failure::Failure;
use crate::load::{Broker, Carts, Invoices, Mixed, Source};
use crate::progress::Progress;
use crate::stage::Stage;

use gauge::Gauge;
use preparation::Goods;
use subject::{Setting, Subject};

pub use measurement::{Answers, Cpu, Latency, Measurement, Work};
pub use paced::LOADS;
pub use round_trips::RoundTrips;
pub use search::Tried;
pub use turn::Turn;

/// Everything that a run found out.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Settings of the no-op worker, the best first.
    pub noop: Vec<Tried>,
    /// The turns.
    pub measurements: Vec<Measurement>,
    /// How often the service waits for PostgreSQL.
    pub round_trips: Option<RoundTrips>,
}

/// A run.
struct Run<'a> {
    stage: &'a Stage,
    broker: Broker,
    goods: Goods,
    plan: Plan,
    progress: Progress,
    noop: Setting,
    /// Products of the database with much history.
    old_products: Vec<Uuid>,
    findings: Findings,
}

/// Measures what is wanted.
pub async fn measure(stage: &Stage, arguments: &Arguments) -> Result<Findings, Failure> {
    let plan = arguments.plan();
    let turns: Vec<Turn> = Turn::ALL.into_iter().filter(|turn| turn.is_wanted(arguments)).collect();
    let needs_noop = turns.iter().any(|turn| matches!(turn, Turn::Ceiling | Turn::NoopLatency));
    let settings = if needs_noop { search::TRIED.len() } else { 0 };
    let has_history = turns.contains(&Turn::Growth);
    let counts_round_trips = turns.contains(&Turn::Spread);
    let extra = 1 + u64::from(has_history) + u64::from(counts_round_trips) + settings as u64;
    let progress = Progress::of(extra + turns.len() as u64 * u64::from(plan.rounds));
    progress.begin("schema, topology and stock");
    let goods = preparation::prepare(stage).await?;
    progress.end("ready");
    let broker = Broker::open(&stage.servers.amqp_url).await?;
    let findings = Findings { noop: Vec::new(), measurements: Vec::new(), round_trips: None };
    let noop = search::TRIED[0];
    let mut run = Run { stage, broker, goods, plan, progress, noop, old_products: Vec::new(), findings };
    if needs_noop {
        run.search().await?;
    }
    if has_history {
        run.make_history().await?;
    }
    if counts_round_trips {
        run.count_round_trips().await?;
    }
    let (paced, saturated): (Vec<Turn>, Vec<Turn>) = turns.into_iter().partition(|turn| turn.is_paced());
    for turns in [saturated, paced] {
        run.rounds(&turns).await?;
    }
    run.progress.finish();
    Ok(run.findings)
}

impl Run<'_> {
    async fn search(&mut self) -> Result<(), Failure> {
        let mut source = self.spread();
        self.findings.noop = search::search(self.stage, &mut source, &self.plan, &self.progress).await?;
        if let Some(best) = self.findings.noop.first() {
            self.noop = best.setting;
        }
        Ok(())
    }

    async fn make_history(&mut self) -> Result<(), Failure> {
        self.progress.begin("history, which takes minutes");
        self.old_products = history::make(self.stage, &self.plan, &self.progress).await?;
        self.progress.end("written");
        Ok(())
    }

    async fn count_round_trips(&mut self) -> Result<(), Failure> {
        self.progress.begin("round trips");
        let counted = round_trips::count(self.stage, &mut self.spread()).await?;
        self.progress.end(&format!("{:.1} a batch", counted.per_batch));
        self.findings.round_trips = Some(counted);
        Ok(())
    }

    async fn rounds(&mut self, turns: &[Turn]) -> Result<(), Failure> {
        for round in 1..=self.plan.rounds {
            for turn in turns {
                self.progress.begin(&format!("round {round}: {}", turn.title()));
                let measurement = self.take(*turn, round).await?;
                self.broker.check_clean().await?;
                self.progress.end(&measurement.to_string());
                self.findings.measurements.push(measurement);
            }
        }
        Ok(())
    }

    async fn take(&self, turn: Turn, round: u32) -> Result<Measurement, Failure> {
        let mut measurement = Measurement::of(turn, round);
        if turn == Turn::Backlog {
            let mut source = self.spread();
            let (work, memory) =
                backlog::drain(self.stage, &mut source, self.plan.backlog, self.noop).await?;
            (measurement.work, measurement.peak_memory_bytes) = (Some(work), memory);
            return Ok(measurement);
        }
        let mut subject = Subject::start(self.stage, turn, self.noop).await?;
        let gauge = Gauge { stage: self.stage, workers: subject.ids() };
        if let Err(failure) = self.fill(&mut measurement, &gauge).await {
            // Where the process is gone, its own words say more.
            subject.check()?;
            return Err(failure);
        }
        measurement.peak_memory_bytes = gauge.peak_memory();
        subject.stop(self.stage).await?;
        Ok(measurement)
    }

    async fn fill(&self, measurement: &mut Measurement, gauge: &Gauge<'_>) -> Result<(), Failure> {
        let products = &self.goods.products;
        match measurement.turn {
            Turn::Queries | Turn::Responder => {
                let (work, answers) = asking::ask(gauge, products, &self.plan).await?;
                (measurement.work, measurement.queries) = (Some(work), Some(answers));
            }
            Turn::LoadedQueries => {
                let mut source = self.spread();
                let (work, answers) =
                    asking::ask_under_load(gauge, &mut source, products, &self.plan).await?;
                (measurement.work, measurement.queries) = (Some(work), Some(answers));
            }
            Turn::Mixed => {
                let mut source = Mixed::of(self.spread());
                let (work, answers) = asking::ask_modestly(gauge, &mut source, products, &self.plan).await?;
                (measurement.work, measurement.queries) = (Some(work), Some(answers));
            }
            Turn::Latency | Turn::NoopLatency => {
                let url = &self.stage.servers.amqp_url;
                measurement.paces =
                    paced::follow(url, &mut self.spread(), self.capacity()?, &self.plan).await?;
            }
            turn => measurement.work = Some(self.saturate(turn, gauge).await?),
        }
        Ok(())
    }

    async fn saturate(&self, turn: Turn, gauge: &Gauge<'_>) -> Result<Work, Failure> {
        match turn {
            Turn::Flash | Turn::BaselineFlash => {
                self.closed(gauge, Carts::over(&self.goods.products[..1], 1)).await
            }
            Turn::Growth => self.closed(gauge, Carts::over(&self.old_products, 2)).await,
            Turn::Carts => self.closed(gauge, Invoices::of(&self.goods.invoices)).await,
            _ => self.closed(gauge, self.spread()).await,
        }
    }

    async fn closed(&self, gauge: &Gauge<'_>, mut source: impl Source) -> Result<Work, Failure> {
        closed::saturate(gauge, &mut source, &self.plan).await
    }

    /// Two lines, over all products.
    fn spread(&self) -> Carts {
        let products: &[Uuid] = &self.goods.products;
        Carts::over(products, 2)
    }

    /// What the service can do, as this run has found.
    fn capacity(&self) -> Result<f64, Failure> {
        let spread = self.findings.measurements.iter().filter(|measurement| measurement.turn == Turn::Spread);
        let rates = spread.filter_map(|measurement| Some(measurement.work.as_ref()?.per_second)).collect();
        let median = crate::spread::Spread::of(rates).map(|spread| spread.median);
        median.ok_or_else(|| Failure::Wrong("the capacity is not known".to_owned()))
    }
}
