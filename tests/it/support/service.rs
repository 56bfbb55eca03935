//! The real binary as a child process.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::process::inventory;
use super::{PATIENCE, eventually, http, within};

/// Lines of the log that are shown with a failure.
const TAIL: usize = 20;

/// A service that runs, or did.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Of `/healthz`, `/readyz` and `/metrics`.
    pub address: SocketAddr,
    log: watch::Receiver<String>,
}

impl Service {
    /// Starts it; returns once it serves HTTP, whatever it may be waiting for.
    pub async fn start(settings: &[(String, String)]) -> Self {
        // A port that is free now may be taken a moment later.
        for _ in 0..20 {
            let mut service = Self::spawn(free_address(), settings);
            if service.has_begun().await {
                return service;
            }
            let log = service.log();
            assert!(log.contains("cannot be listened on"), "the service does not start:\n{log}");
        }
        panic!("no free port was found in 20 attempts");
    }

    fn spawn(address: SocketAddr, settings: &[(String, String)]) -> Self {
        let mut child = inventory()
            .arg("serve")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("INVENTORY__HTTP__ADDRESS", address.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = follow(child.stderr.take().unwrap());
        Self { child, address, log }
    }

    /// Whether it came as far as to listen; otherwise it has ended.
    async fn has_begun(&mut self) -> bool {
        let mut log = self.log.clone();
        let begun = log.wait_for(|text| text.contains("inventory service starting"));
        within("the service's first words", begun).await.is_ok()
    }

    /// Waits until it is ready for messages.
    pub async fn ready(&self) {
        eventually("/readyz answers 200", async || self.readyz().await.0 == 200).await;
    }

    /// What `/readyz` says: the status and the body.
    pub async fn readyz(&self) -> (u16, String) {
        http::get(self.address, "/readyz").await.unwrap_or_else(|error| (0, error.to_string()))
    }

    /// A figure of `/metrics`, named with its labels, in whole units; 0 where it is not there yet.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) = http::get(self.address, "/metrics").await.unwrap();
        let figure = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        figure.and_then(|figure| figure.split('.').next()).map_or(0, |whole| whole.parse().unwrap())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until a text is in the log.
    pub async fn logged(&self, text: &str) {
        let mut log = self.log.clone();
        let found = log.wait_for(|log| log.contains(text));
        within(&format!("{text:?} in the log"), found).await.expect("the service has ended");
    }

    /// Asks it to end, and demands that it ends well.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.exit().await;
        assert_eq!(status.code(), Some(0), "the service must end with 0, not {status}");
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// The same, as from a terminal.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Lets it stand still, as a debugger or a machine without memory would.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        let sent = kill_process(self.pid(), signal);
        sent.expect("the service has ended before it was sent a signal");
    }

    /// Waits until it stands still, at a fail point (`FAILPOINTS`) or after a pause.
    pub async fn until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        eventually("that the service stands still", async || {
            let stat = std::fs::read_to_string(&stat).expect("the service has ended");
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
        })
        .await;
    }

    /// How many of its threads have this name.
    pub fn threads(&self, name: &str) -> usize {
        let tasks =
            std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the service has ended");
        // One that ends meanwhile has no name any more.
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|found| found.trim_end() == name).count()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let ended = async {
            loop {
                match child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let status = within("the end of the service", ended).await;
        // The log is complete once its writer is gone.
        let mut log = self.log.clone();
        while tokio::time::timeout(PATIENCE, log.changed()).await.expect("the log ends").is_ok() {}
        status
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            eprintln!("--- the service's last words:\n{}\n---", tail.join("\n"));
        }
    }
}

/// Reads along in a thread of its own, which ends with the process.
fn follow(stderr: ChildStderr) -> watch::Receiver<String> {
    let (writer, log) = watch::channel(String::new());
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            writer.send_modify(|log| log.push_str(&String::from_utf8_lossy(&line)));
            line.clear();
        }
    });
    log
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}
