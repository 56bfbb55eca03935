//! Curves over a rate, on a logarithmic scale.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement};
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, RGBColor, WHITE};

use crate::failure::Failure;

/// A curve.
#[derive(Debug)]
pub struct Curve {
    pub name: &'static str,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
}

/// A drawing of curves.
#[derive(Debug)]
pub struct LineChart {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub curves: Vec<Curve>,
}

impl LineChart {
    /// Draws them.
    pub fn draw(&self) -> Result<String, Failure> {
        let mut svg = String::new();
        self.draw_into(&mut svg).map_err(|error| Failure::Plot(error.to_string()))?;
        Ok(svg)
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, (960, 540)).into_drawing_area();
        area.fill(&WHITE)?;
        let (right, low, high) = self.extent();
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(20)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, (low..high).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y}"))
            .label_style(("sans-serif", 14))
            .draw()?;
        for Curve { name, colour, points } in &self.curves {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let key = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(*name).legend(key);
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", 14))
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    }

    /// The largest rate, and what the values lie between.
    fn extent(&self) -> (f64, f64, f64) {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let right = points().map(|(x, _)| *x).fold(1.0, f64::max);
        let low = points().map(|(_, y)| *y).fold(f64::MAX, f64::min);
        let high = points().map(|(_, y)| *y).fold(0.1, f64::max);
        (right * 1.05, (low / 1.5).max(0.01), high * 1.5)
    }
}
