//! What is measured: started fresh for every turn.

use super::turn::Turn;
use crate::failure::Failure;
use crate::stage::{Process, Service, Stage, TEMPLATE};

/// The plain worker's database, as every turn begins with it.
pub const BASELINE_TEMPLATE: &str = "template_of_baseline";
/// The database with much history.
pub const HISTORY: &str = "history";
const OF_TURN: &str = "turn";

/// The no-op worker's best setting, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Unacknowledged messages at most.
    pub prefetch: u16,
    /// Messages handled together at most.
    pub batch: usize,
}

/// Of the responder: that of the service's queries.
const RESPONDER: Setting = Setting { prefetch: 256, batch: 256 };

/// Processes at work.
#[derive(Debug, Default)]
pub struct Subject {
    services: Vec<Service>,
    workers: Vec<Process>,
}

/// A database for the service as every turn begins with it; gives its URL.
pub async fn fresh_database(stage: &Stage) -> Result<String, Failure> {
    stage.databases.create(OF_TURN, TEMPLATE).await?;
    Ok(stage.databases.url_of(OF_TURN))
}

impl Subject {
    /// Starts what takes this turn.
    pub async fn start(stage: &Stage, turn: Turn, noop: Setting) -> Result<Self, Failure> {
        match turn {
            Turn::Ceiling | Turn::NoopLatency => Self::idle(stage, "noop", noop).await,
            Turn::Responder => Self::idle(stage, "responder", RESPONDER).await,
            Turn::LoadedResponder => {
                let mut both = Self::idle(stage, "responder", RESPONDER).await?;
                both.workers.extend(Self::idle(stage, "noop", noop).await?.workers);
                Ok(both)
            }
            Turn::Baseline | Turn::BaselineFlash => Self::baseline(stage).await,
            Turn::Growth => {
                stage.databases.checkpoint().await?;
                Self::service(stage, &stage.databases.url_of(HISTORY), 1).await
            }
            Turn::Replicas => Self::fresh_service(stage, 2).await,
            _ => Self::fresh_service(stage, 1).await,
        }
    }

    /// A worker that does nothing.
    pub async fn idle(stage: &Stage, worker: &str, setting: Setting) -> Result<Self, Failure> {
        stage.databases.checkpoint().await?;
        let Setting { prefetch, batch } = setting;
        let sample = stage.sample_file().display().to_string();
        let process =
            stage.work(&[worker.to_owned(), prefetch.to_string(), batch.to_string(), sample]).await?;
        Ok(Self { services: Vec::new(), workers: vec![process] })
    }

    async fn baseline(stage: &Stage) -> Result<Self, Failure> {
        stage.databases.create(OF_TURN, BASELINE_TEMPLATE).await?;
        let sample = stage.sample_file().display().to_string();
        let process = stage.work(&["baseline".to_owned(), stage.databases.url_of(OF_TURN), sample]).await?;
        Ok(Self { services: Vec::new(), workers: vec![process] })
    }

    async fn fresh_service(stage: &Stage, processes: usize) -> Result<Self, Failure> {
        Self::service(stage, &fresh_database(stage).await?, processes).await
    }

    async fn service(stage: &Stage, url: &str, processes: usize) -> Result<Self, Failure> {
        let mut subject = Self::default();
        for _ in 0..processes {
            subject.services.push(stage.serve(url).await?);
        }
        Ok(subject)
    }

    /// The numbers of the processes.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.services.iter().map(|service| &service.process).chain(&self.workers).map(Process::id).collect()
    }

    /// Fails where one has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        let services = self.services.iter_mut().map(|service| &mut service.process);
        services.chain(&mut self.workers).try_for_each(Process::check)
    }

    /// Ends them, as an operator would.
    pub async fn stop(self, stage: &Stage) -> Result<(), Failure> {
        for process in self.services.into_iter().map(|service| service.process).chain(self.workers) {
            process.stop().await?;
        }
        stage.databases.drop(OF_TURN).await
    }
}
