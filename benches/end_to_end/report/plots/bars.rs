//! Horizontal bars, stacked.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoFont, RGBColor, TextStyle, WHITE};

use crate::failure::Failure;

const WIDTH: u32 = 960;
const LEFT: i32 = 190;
const RIGHT: i32 = 870;
const TOP: i32 = 90;
const PITCH: i32 = 32;
const THICKNESS: i32 = 20;

/// A bar of several parts: each an index into the legend, and how long it is.
#[derive(Debug)]
pub struct Bar {
    pub name: &'static str,
    pub parts: Vec<(usize, f64)>,
}

/// A drawing of bars.
#[derive(Debug)]
pub struct BarChart {
    pub title: &'static str,
    pub unit: &'static str,
    pub legend: Vec<(&'static str, RGBColor)>,
    pub bars: Vec<Bar>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl BarChart {
    /// Draws them.
    pub fn draw(&self) -> Result<String, Failure> {
        let mut svg = String::new();
        let bottom = TOP + PITCH * i32::try_from(self.bars.len()).unwrap_or(0);
        {
            let size = (WIDTH, u32::try_from(bottom + 50).unwrap_or(WIDTH));
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            area.fill(&WHITE).map_err(cannot)?;
            text(&area, self.title, (20, 24), 18, HPos::Left)?;
            self.draw_legend(&area)?;
            self.draw_axis(&area, bottom)?;
            for (index, bar) in self.bars.iter().enumerate() {
                self.draw_bar(&area, bar, TOP + PITCH * i32::try_from(index).unwrap_or(0))?;
            }
            area.present().map_err(cannot)?;
        }
        Ok(svg)
    }

    fn draw_legend(&self, area: &Area) -> Result<(), Failure> {
        let mut x = 20;
        for (name, colour) in &self.legend {
            area.draw(&Rectangle::new([(x, 48), (x + 12, 60)], colour.filled())).map_err(cannot)?;
            text(area, name, (x + 18, 54), 14, HPos::Left)?;
            x += 40 + 8 * i32::try_from(name.len()).unwrap_or(0);
        }
        Ok(())
    }

    fn draw_axis(&self, area: &Area, bottom: i32) -> Result<(), Failure> {
        let step = step(self.longest());
        for mark in (0..=5).map(|mark| f64::from(mark) * step).filter(|mark| *mark <= self.longest()) {
            let x = self.x(mark);
            area.draw(&PathElement::new([(x, TOP - 6), (x, bottom)], BLACK.mix(0.15))).map_err(cannot)?;
            text(area, &format!("{mark}"), (x, bottom + 14), 13, HPos::Center)?;
        }
        text(area, self.unit, (i32::midpoint(LEFT, RIGHT), bottom + 34), 13, HPos::Center)
    }

    fn draw_bar(&self, area: &Area, bar: &Bar, y: i32) -> Result<(), Failure> {
        text(area, bar.name, (LEFT - 10, y + THICKNESS / 2), 14, HPos::Right)?;
        let mut from = 0.0;
        for (part, length) in &bar.parts {
            let colour = self.legend.get(*part).map_or(BLACK, |(_, colour)| *colour);
            let corners = [(self.x(from), y), (self.x(from + length), y + THICKNESS)];
            area.draw(&Rectangle::new(corners, colour.filled())).map_err(cannot)?;
            from += length;
        }
        text(area, &format!("{from:.0}"), (self.x(from) + 6, y + THICKNESS / 2), 13, HPos::Left)
    }

    fn longest(&self) -> f64 {
        self.bars.iter().map(|bar| bar.parts.iter().map(|(_, length)| length).sum()).fold(0.0, f64::max)
    }

    #[expect(clippy::cast_possible_truncation, reason = "within the drawing")]
    fn x(&self, value: f64) -> i32 {
        LEFT + (f64::from(RIGHT - LEFT) * value / self.longest().max(f64::MIN_POSITIVE)) as i32
    }
}

/// A round number that fits about four times.
fn step(longest: f64) -> f64 {
    let magnitude = 10_f64.powf((longest / 4.0).max(1.0).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * magnitude)
        .into_iter()
        .find(|step| longest / step <= 5.0)
        .unwrap_or(longest)
}

fn text(area: &Area, text: &str, at: (i32, i32), size: i32, anchor: HPos) -> Result<(), Failure> {
    let style = TextStyle::from(("sans-serif", size).into_font()).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(cannot)
}

fn cannot(error: impl std::fmt::Display) -> Failure {
    Failure::Plot(error.to_string())
}
