//! What is measured runs as a process of its own, and never outlives the run.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// What a worker says on standard output when it consumes.
pub const READY: &str = "ready";

const START_MAX: Duration = Duration::from_mins(1);
const STOP_MAX: Duration = Duration::from_secs(30);
const SIGTERM: i32 = 15;

/// A process with a log. Ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it, in a group of its own: Ctrl-C reaches the harness, which decides what ends when.
    pub fn start(mut command: Command, name: &str, log: PathBuf) -> Result<Self, Failure> {
        let file = File::create(&log).map_err(Failure::file(&log))?;
        command.process_group(0).stdin(Stdio::piped()).stderr(file.try_clone()?);
        if name.starts_with("worker") {
            command.stdout(Stdio::piped());
        } else {
            command.stdout(file);
        }
        Ok(Self { child: command.spawn()?, name: name.to_owned(), log })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a worker says that it is ready.
    pub async fn says_ready(&mut self) -> Result<(), Failure> {
        let Some(output) = self.child.stdout.take() else { return Ok(()) };
        let reading = tokio::task::spawn_blocking(move || BufReader::new(output).lines().next());
        match tokio::time::timeout(START_MAX, reading).await {
            Ok(Ok(Some(Ok(line)))) if line == READY => Ok(()),
            _ => Err(self.failure("did not get ready".to_owned())),
        }
    }

    /// Waits until `is_ready`, a minute at most, as long as the process lives.
    pub async fn until(&mut self, is_ready: impl AsyncFn() -> bool) -> Result<(), Failure> {
        let give_up = Instant::now() + START_MAX;
        while !is_ready().await {
            self.check()?;
            if Instant::now() > give_up {
                return Err(self.failure("did not get ready".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fails where the process has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            Some(status) => Err(self.failure(format!("ended ({status})"))),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.check()?;
        terminate(self.id())?;
        let status = self.ended().await?;
        if status.success() || status.signal() == Some(SIGTERM) {
            return Ok(());
        }
        Err(self.failure(format!("did not end as it should ({status})")))
    }

    /// Waits until it ends by itself: well, or it is a failure.
    pub async fn finish(mut self) -> Result<(), Failure> {
        let status = self.ended().await?;
        if status.success() { Ok(()) } else { Err(self.failure(format!("failed ({status})"))) }
    }

    async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        let give_up = Instant::now() + STOP_MAX;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(self.failure(format!("did not end within {STOP_MAX:?}")))
    }

    fn failure(&self, what: String) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        Failure::Process { name: self.name.clone(), what, log: last }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Nothing more can be done about a failure here than what follows.
        let _ = terminate(self.id());
        let give_up = Instant::now() + Duration::from_secs(5);
        while Instant::now() < give_up && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(id: u32) -> Result<(), Failure> {
    Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status()?;
    Ok(())
}
