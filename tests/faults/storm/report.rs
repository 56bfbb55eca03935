//! What a storm was, as a page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::faults::Fault;
use crate::support::history::Tally;

/// What a storm was.
#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub took: Duration,
    pub replicas: usize,
    /// Times from the end of a fault to the next answer, by what it was; where two came at once both are one.
    pub recoveries: BTreeMap<Vec<Fault>, Vec<Duration>>,
    pub tally: Tally,
    pub violations: Vec<String>,
}

impl Report {
    /// Faults that struck.
    pub fn faults(&self) -> usize {
        self.recoveries.iter().map(|(faults, times)| faults.len() * times.len()).sum()
    }

    /// Commands that were sent, each counted once.
    pub fn commands(&self) -> usize {
        self.tally.commands.values().sum()
    }

    /// In Markdown.
    pub fn to_markdown(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let minutes = self.took.as_secs_f64() / 60.0;
        writeln!(page, "# A storm\n")?;
        writeln!(page, "`scripts/storm --minutes {minutes:.0} --seed {}`\n", self.seed)?;
        writeln!(page, "| | |\n|---|---|")?;
        writeln!(page, "| took | {minutes:.1} minutes |\n| replicas | {} |", self.replicas)?;
        writeln!(page, "| faults | {} |\n| commands | {} |", self.faults(), self.commands())?;
        let Tally { publications, questions, nonsense, events, events_again, replies, .. } = &self.tally;
        writeln!(page, "| queries | {questions} |\n| messages that must be refused | {nonsense} |")?;
        writeln!(page, "| messages sent, copies too | {publications} |")?;
        writeln!(page, "| events heard | {events} |\n| of them told again | {events_again} |")?;
        writeln!(page, "| replies heard | {replies} |\n| **violations** | **{}** |", self.violations.len())?;
        self.write_recoveries(page)?;
        write_counts(page, "Commands", &self.tally.commands)?;
        write_counts(page, "What they came to", &self.tally.outcomes)?;
        if !self.violations.is_empty() {
            writeln!(page, "\n## Violations\n")?;
        }
        self.violations.iter().try_for_each(|violation| writeln!(page, "- {violation}"))
    }

    fn write_recoveries(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "\n## Faults, and how long it took\n")?;
        writeln!(
            page,
            "Seconds from the end of a fault until every replica is ready and a new command has its event.\n"
        )?;
        writeln!(page, "| fault | times | median | 95 % | longest |\n|---|--:|--:|--:|--:|")?;
        let (single, pairs): (Vec<_>, Vec<_>) =
            self.recoveries.iter().partition(|(faults, _)| faults.len() == 1);
        for (faults, times) in single {
            write_times(page, &faults[0].to_string(), times.clone())?;
        }
        let pairs: Vec<Duration> = pairs.into_iter().flat_map(|(_, times)| times.clone()).collect();
        if pairs.is_empty() { Ok(()) } else { write_times(page, "two of these at once", pairs) }
    }
}

fn write_times(page: &mut String, name: &str, mut times: Vec<Duration>) -> std::fmt::Result {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64();
    let (median, most, longest) = (at(50), at(95), at(100));
    writeln!(page, "| {name} | {} | {median:.2} | {most:.2} | {longest:.2} |", times.len())
}

fn write_counts(page: &mut String, title: &str, counts: &BTreeMap<String, usize>) -> std::fmt::Result {
    writeln!(page, "\n## {title}\n\n| | |\n|---|--:|")?;
    counts.iter().try_for_each(|(name, count)| writeln!(page, "| `{name}` | {count} |"))
}
