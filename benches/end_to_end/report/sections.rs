//! The parts of the report.

use super::table::Table;
use super::{Report, Section};
use crate::figures::{Figure, Target, Unit, Verdict};
use crate::scenario::{Findings, Measurement, Turn, Work};
use crate::spread::Spread;

/// All that have something to say.
pub fn of(report: &Report) -> Vec<Section> {
    let findings = &report.findings;
    let sections = [
        targets(&report.figures),
        rates(findings),
        costs(findings),
        latencies(findings),
        queries(findings),
        settings(findings),
        round_trips(findings),
    ];
    sections.into_iter().filter(|section| !section.table.is_empty()).collect()
}

fn targets(figures: &[Figure]) -> Section {
    let mut table = Table::new(&["figure", "median", "min – max", "must be", "goal", "verdict"]);
    for Figure { name, value, unit, target, verdict } in figures {
        let number = |value: f64| match unit {
            Unit::Ratio => format!("{value:.2}"),
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Mebibytes => format!("{value:.0} MiB"),
        };
        let (sign, bound, goal) = match target {
            Target::AtLeast { bound, goal } => ("≥", bound, goal),
            Target::AtMost { bound, goal } => ("≤", bound, goal),
        };
        table.push(vec![
            (*name).to_owned(),
            number(value.median),
            format!("{} – {}", number(value.min), number(value.max)),
            format!("{sign} {}", number(*bound)),
            format!("{sign} {}", number(*goal)),
            match verdict {
                Verdict::Goal => "goal reached",
                Verdict::Met => "met",
                Verdict::Missed => "MISSED",
            }
            .to_owned(),
        ]);
    }
    let note =
        "Ratios are of turns of the same round: the median of the rounds counts, for memory the worst.";
    Section { title: "Targets", note: note.to_owned(), table }
}

fn rates(findings: &Findings) -> Section {
    let mut table = Table::new(&["", "a second", "min – max", "lines a second", "peak memory"]);
    for turn in Turn::ALL {
        let Some(rate) = spread(findings, turn, |work| work.per_second) else { continue };
        let lines = spread(findings, turn, |work| work.lines_per_second).filter(|lines| lines.median > 0.0);
        table.push(vec![
            turn.title().to_owned(),
            whole(rate.median),
            format!("{} – {}", whole(rate.min), whole(rate.max)),
            lines.map(|lines| whole(lines.median)).unwrap_or_default(),
            peak_memory(findings, turn),
        ]);
    }
    let note = "Outcomes that reached the subscriber (answers, where there are queries only); medians. Peak memory is of \
                the service, or of the worker in its place.";
    Section { title: "Throughput", note: note.to_owned(), table }
}

fn costs(findings: &Findings) -> Section {
    let header =
        ["", "load", "RabbitMQ", "PostgreSQL", "service or worker", "together", "cores busy", "WAL, bytes"];
    let mut table = Table::new(&header);
    for turn in Turn::ALL {
        let of = |value: fn(&Work) -> f64| spread(findings, turn, value).map_or(0.0, |spread| spread.median);
        if of(|work| work.per_second) == 0.0 {
            continue;
        }
        table.push(vec![
            turn.title().to_owned(),
            tenths(of(|work| work.cpu.load)),
            tenths(of(|work| work.cpu.rabbitmq)),
            tenths(of(|work| work.cpu.postgresql)),
            tenths(of(|work| work.cpu.worker)),
            tenths(of(|work| work.cpu.total())),
            format!("{:.2}", of(|work| work.cores_busy)),
            whole(of(|work| work.wal_bytes)),
        ]);
    }
    let note =
        "Microseconds of CPU time, and bytes of write-ahead log, for each command (or query); medians.";
    Section { title: "Where the time goes", note: note.to_owned(), table }
}

fn latencies(findings: &Findings) -> Section {
    let mut table =
        Table::new(&["load", "a second", "who", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"]);
    for (index, load) in crate::scenario::LOADS.iter().enumerate() {
        for (turn, who) in [(Turn::Latency, "service"), (Turn::NoopLatency, "no-op")] {
            let paces: Vec<_> = of_turn(findings, turn).filter_map(|m| m.paces.get(index)).collect();
            let Some(first) = paces.first() else { continue };
            let of = |value: fn(&crate::scenario::Latency) -> f64| {
                let values = paces.iter().map(|pace| value(&pace.latency)).collect();
                Spread::of(values).map_or(String::new(), |spread| format!("{:.1}", spread.median))
            };
            table.push(vec![
                format!("{:.0} %", load * 100.0),
                whole(first.per_second),
                who.to_owned(),
                of(|l| l.p50),
                of(|l| l.p90),
                of(|l| l.p99),
                of(|l| l.p999),
                of(|l| l.max),
            ]);
        }
    }
    let note = "From when a command was due to when its outcome was here; medians. Load is a part of the service's own \
                median `spread`.";
    Section { title: "Latency", note: note.to_owned(), table }
}

fn queries(findings: &Findings) -> Section {
    let mut table = Table::new(&["", "queries a second", "p50 ms", "p99 ms", "max ms"]);
    for turn in Turn::ALL {
        let answers: Vec<_> = of_turn(findings, turn).filter_map(|m| m.queries.as_ref()).collect();
        let median = |value: fn(&crate::scenario::Answers) -> f64| {
            Spread::of(answers.iter().map(|answers| value(answers)).collect()).map(|spread| spread.median)
        };
        let Some(rate) = median(|answers| answers.per_second) else { continue };
        let of = |value: fn(&crate::scenario::Answers) -> f64| tenths(median(value).unwrap_or_default());
        table.push(vec![
            turn.title().to_owned(),
            whole(rate),
            of(|answers| answers.latency.p50),
            of(|answers| answers.latency.p99),
            of(|answers| answers.latency.max),
        ]);
    }
    let note =
        "64 outstanding; beside the mixed load 200 a second, counted from when they were due; medians.";
    Section { title: "Queries", note: note.to_owned(), table }
}

fn settings(findings: &Findings) -> Section {
    let mut table = Table::new(&["most at once", "unacknowledged", "commands a second"]);
    for tried in &findings.noop {
        table.push(vec![
            tried.setting.batch.to_string(),
            tried.setting.prefetch.to_string(),
            whole(tried.per_second),
        ]);
    }
    let note = "What was tried for the worker that does nothing; the first is used.";
    Section { title: "Setting of the ceiling", note: note.to_owned(), table }
}

fn round_trips(findings: &Findings) -> Section {
    let mut table = Table::new(&["", "round trips a batch", "commands a batch", "idle, a second"]);
    if let Some(counted) = &findings.round_trips {
        table.push(vec![
            "spread".to_owned(),
            tenths(counted.per_batch),
            whole(counted.commands_per_batch),
            tenths(counted.idle_per_second),
        ]);
    }
    let note = "All that the service asks PostgreSQL, the clean-up of the outbox too; what it asks idle as well is \
                subtracted. In a run of its own.";
    Section { title: "Round trips", note: note.to_owned(), table }
}

fn of_turn(findings: &Findings, turn: Turn) -> impl Iterator<Item = &Measurement> {
    findings.measurements.iter().filter(move |measurement| measurement.turn == turn)
}

fn spread(findings: &Findings, turn: Turn, value: fn(&Work) -> f64) -> Option<Spread> {
    Spread::of(
        of_turn(findings, turn).filter_map(|measurement| Some(value(measurement.work.as_ref()?))).collect(),
    )
}

fn peak_memory(findings: &Findings, turn: Turn) -> String {
    let peak = of_turn(findings, turn).filter_map(|measurement| measurement.peak_memory_bytes).max();
    peak.map(|bytes| format!("{} MiB", bytes / 1_048_576)).unwrap_or_default()
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}
