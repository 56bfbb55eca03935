//! What a process has of the machine, as Linux tells it.

use std::time::Duration;

use crate::support::service::Service;

/// Clock ticks a second, in which Linux counts the time of a process: the same on every machine that this runs on.
const TICKS: u64 = 100;

/// More memory than this, in a build with debug assertions, is taken by no backlog and no number of commands.
const MEMORY_MIB_MAX: usize = 200;

/// What a service has at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    pub threads: usize,
    pub descriptors: usize,
    pub memory_mib: usize,
    /// The most memory that it has had so far.
    pub memory_mib_max: usize,
    /// Time that it has spent on a core so far.
    pub busy: Duration,
}

impl Vitals {
    /// Those of a service that runs.
    pub fn of(service: &Service) -> Self {
        let folder = format!("/proc/{}", service.pid());
        let entries = |name: &str| std::fs::read_dir(format!("{folder}/{name}")).unwrap().count();
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_end_matches("kB").trim().parse::<usize>().unwrap() >> 10
        };
        let stat = std::fs::read_to_string(format!("{folder}/stat")).unwrap();
        // The name in brackets may have spaces in it; what follows are fields 3 and on.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Self {
            threads: entries("task"),
            descriptors: entries("fd"),
            memory_mib: mib("VmRSS:"),
            memory_mib_max: mib("VmHWM:"),
            busy: Duration::from_millis(ticks * 1000 / TICKS),
        }
    }
}

/// Demands that a service has no more memory than it may ever take.
pub fn assert_small(service: &Service) {
    let mib = Vitals::of(service).memory_mib;
    assert!(mib < MEMORY_MIB_MAX, "{mib} MiB of memory");
}
