//! Pictures of what a run found out.

mod bars;
mod curves;

use plotters::style::RGBColor;

use crate::failure::Failure;
use crate::scenario::{Cpu, Findings, LOADS, Turn, Work};
use crate::spread::Spread;

use bars::{Bar, BarChart};
use curves::{Curve, LineChart};

/// A drawing.
#[derive(Debug)]
pub struct Plot {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// Its content.
    pub svg: String,
}

/// Colours that people with any kind of sight can tell apart (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const GREY: RGBColor = RGBColor(150, 150, 150);

/// Draws what there is to draw.
pub fn of(findings: &Findings) -> Result<Vec<Plot>, Failure> {
    let drawn = [throughput(findings)?, latency(findings)?, cpu(findings)?];
    Ok(drawn.into_iter().flatten().collect())
}

fn throughput(findings: &Findings) -> Result<Option<Plot>, Failure> {
    let bar = |turn: Turn| {
        let rate = median(findings, turn, |work| work.per_second)?;
        Some(Bar { name: turn.title(), parts: vec![(usize::from(!turn.is_of_service()), rate)] })
    };
    let bars: Vec<Bar> = Turn::ALL.into_iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let legend = vec![("the service", BLUE), ("what it is compared with", GREY)];
    let title = "Throughput: outcomes a second (answers a second, where there are queries only)";
    let svg = BarChart { title, unit: "a second", legend, bars }.draw()?;
    Ok(Some(Plot { name: "throughput", svg }))
}

fn cpu(findings: &Findings) -> Result<Option<Plot>, Failure> {
    let bar = |turn: Turn| {
        let of = |value: fn(&Work) -> f64| median(findings, turn, value);
        let Cpu { load, rabbitmq, postgresql, worker } = Cpu {
            load: of(|work| work.cpu.load)?,
            rabbitmq: of(|work| work.cpu.rabbitmq)?,
            postgresql: of(|work| work.cpu.postgresql)?,
            worker: of(|work| work.cpu.worker)?,
        };
        let parts = [load, rabbitmq, postgresql, worker].into_iter().enumerate().collect();
        Some(Bar { name: turn.title(), parts })
    };
    let bars: Vec<Bar> = Turn::ALL.into_iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let legend = vec![
        ("load generator", GREY),
        ("RabbitMQ", ORANGE),
        ("PostgreSQL", GREEN),
        ("service, or worker in its place", BLUE),
    ];
    let title = "Where the CPU time goes: microseconds for each command or query";
    let svg = BarChart { title, unit: "µs", legend, bars }.draw()?;
    Ok(Some(Plot { name: "cpu", svg }))
}

fn latency(findings: &Findings) -> Result<Option<Plot>, Failure> {
    let mut curves = Vec::new();
    for (turn, who, [p50, p99]) in [
        (Turn::Latency, ["service, p50", "service, p99"], [GREEN, BLUE]),
        (Turn::NoopLatency, ["no-op, p50", "no-op, p99"], [GREY, PURPLE]),
    ] {
        let points = |of: fn(&crate::scenario::Latency) -> f64| points(findings, turn, of);
        curves.push(Curve { name: who[0], colour: p50, points: points(|latency| latency.p50) });
        curves.push(Curve { name: who[1], colour: p99, points: points(|latency| latency.p99) });
    }
    curves.retain(|curve| !curve.points.is_empty());
    if curves.is_empty() {
        return Ok(None);
    }
    let svg = LineChart {
        title: "Latency over load: from when a command was due to its outcome",
        x: "commands a second (10, 25, 50 and 75 % of the service's capacity)",
        y: "milliseconds (logarithmic)",
        curves,
    }
    .draw()?;
    Ok(Some(Plot { name: "latency", svg }))
}

fn points(findings: &Findings, turn: Turn, of: fn(&crate::scenario::Latency) -> f64) -> Vec<(f64, f64)> {
    let turns: Vec<_> = findings.measurements.iter().filter(|m| m.turn == turn).collect();
    let point = |index: usize| {
        let paces: Vec<_> = turns.iter().filter_map(|m| m.paces.get(index)).collect();
        let latency = Spread::of(paces.iter().map(|pace| of(&pace.latency)).collect())?;
        Some((paces.first()?.per_second, latency.median))
    };
    (0..LOADS.len()).filter_map(point).collect()
}

fn median(findings: &Findings, turn: Turn, value: fn(&Work) -> f64) -> Option<f64> {
    let works = findings.measurements.iter().filter(|m| m.turn == turn).filter_map(|m| m.work.as_ref());
    Spread::of(works.map(value).collect()).map(|spread| spread.median)
}
