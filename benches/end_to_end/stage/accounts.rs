//! CPU time and memory of processes, from `/proc`.

use std::fs;

/// Clock ticks a second in `/proc/PID/stat`: fixed in the kernel's interface to programs, see proc(5) and `getconf CLK_TCK`.
const TICKS_A_SECOND: u64 = 100;

/// CPU time, in microseconds, that processes and all their descendants have used, those included that are gone and were
/// waited for: PostgreSQL has a process for every connection.
#[must_use]
pub fn cpu_of_families(roots: &[u32]) -> u64 {
    let processes = all();
    let mut family = roots.to_vec();
    let mut ticks = 0;
    while let Some(member) = family.pop() {
        family.extend(processes.iter().filter(|process| process.parent == member).map(|process| process.id));
        let own = processes.iter().filter(|process| process.id == member);
        ticks += own.map(|process| process.ticks + process.ticks_of_the_gone).sum::<u64>();
    }
    microseconds(ticks)
}

/// CPU time of this process alone, in microseconds.
#[must_use]
pub fn own_cpu() -> u64 {
    read(std::process::id()).map_or(0, |process| microseconds(process.ticks))
}

/// Peak resident memory of a process so far, in bytes.
#[must_use]
pub fn peak_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn microseconds(ticks: u64) -> u64 {
    ticks * 1_000_000 / TICKS_A_SECOND
}

struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
    /// Of children that were waited for.
    ticks_of_the_gone: u64,
}

fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(read).collect()
}

fn read(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything, a bracket too; what follows the last one are numbers, the state and the parent first.
    let rest: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let number = |index: usize| rest.get(index)?.parse::<u64>().ok();
    let parent = rest.get(1)?.parse().ok()?;
    Some(Process {
        id,
        parent,
        ticks: number(11)? + number(12)?,
        ticks_of_the_gone: number(13)? + number(14)?,
    })
}
