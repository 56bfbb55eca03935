//! A run: what is prepared for all turns, and the turns.

use uuid::Uuid;

use super::gauge::Gauge;
use super::measurement::{Measurement, Work};
use super::preparation::{self, Goods};
use super::subject::{Setting, Subject};
use super::turn::Turn;
use super::{Findings, asking, backlog, closed, history, paced, round_trips, search};
use crate::arguments::{Arguments, Plan};
use crate::failure::Failure;
use crate::load::{Broker, Carts, Invoices, Mixed, Source};
use crate::progress::Progress;
use crate::spread::Spread;
use crate::stage::Stage;

/// A run.
pub struct Run<'a> {
    stage: &'a Stage,
    broker: Broker,
    goods: Goods,
    plan: Plan,
    progress: Progress,
    round: Vec<Turn>,
    paced_round: Vec<Turn>,
    noop: Setting,
    /// Products of the database with much history.
    old_products: Vec<Uuid>,
    findings: Findings,
}

impl<'a> Run<'a> {
    /// Prepares what all turns begin with.
    pub async fn prepare(stage: &'a Stage, arguments: &Arguments) -> Result<Self, Failure> {
        let plan = arguments.plan();
        let wanted = |turns: &[Turn]| {
            let mut turns: Vec<Turn> =
                turns.iter().copied().filter(|turn| turn.is_wanted(arguments)).collect();
            turns.dedup();
            turns
        };
        let (round, paced_round) = (wanted(&Turn::ROUND), wanted(&Turn::PACED_ROUND));
        let turns = (round.len() + paced_round.len()) as u64 * u64::from(plan.rounds);
        let progress = Progress::of(1 + turns + search::steps() + 2);
        progress.begin("schema, topology and stock");
        let goods = preparation::prepare(stage).await?;
        progress.end("ready");
        let broker = Broker::open(&stage.servers.amqp_url).await?;
        let (noop, old_products, findings) = (search::TRIED[0], Vec::new(), Findings::default());
        Ok(Self { stage, broker, goods, plan, progress, round, paced_round, noop, old_products, findings })
    }

    /// Takes all turns.
    pub async fn measure(mut self) -> Result<Findings, Failure> {
        if self.takes(Turn::Ceiling) || self.takes(Turn::NoopLatency) {
            self.search().await?;
        }
        if self.takes(Turn::Growth) {
            self.make_history().await?;
        }
        if self.takes(Turn::Spread) {
            self.count_round_trips().await?;
        }
        for turns in [self.round.clone(), self.paced_round.clone()] {
            self.take_rounds(&turns).await?;
        }
        self.progress.finish();
        Ok(self.findings)
    }

    fn takes(&self, turn: Turn) -> bool {
        self.round.contains(&turn) || self.paced_round.contains(&turn)
    }

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

    async fn take_rounds(&mut self, turns: &[Turn]) -> Result<(), Failure> {
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
            Turn::LoadedQueries | Turn::LoadedResponder => {
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
        let median = Spread::of(rates).map(|spread| spread.median);
        median.ok_or_else(|| Failure::Wrong("the capacity is not known".to_owned()))
    }
}
