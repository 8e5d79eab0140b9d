//! Line charts and grouped bar charts as SVG, without a drawing library.
//!
//! [`svg`] stacks one or more panels. Colours are CSS variables with a media
//! query, so that a file is readable on light and dark pages. Series also differ in dashes and
//! markers, for readers who cannot tell the colours apart. No scripts and no fonts are
//! loaded. Coordinates are rounded, so that the same figures give the same file.

mod bars;
mod canvas;
mod lines;
mod scale;

pub use bars::{BarChart, BarSeries};
pub use lines::{LineChart, Series};

use canvas::Canvas;

/// Width of every panel, in CSS pixels.
const WIDTH: f64 = 760.0;
/// Height of every panel.
const HEIGHT: f64 = 380.0;

/// One chart of an SVG file.
#[derive(Clone, Debug, PartialEq)]
pub enum Panel {
    /// Lines over a numeric axis.
    Lines(LineChart),
    /// Groups of bars.
    Bars(BarChart),
}

/// An SVG document with the panels below each other.
#[must_use]
pub fn svg(panels: &[Panel]) -> String {
    let mut canvas = Canvas::new();
    for (number, panel) in panels.iter().enumerate() {
        canvas.panel(HEIGHT * number as f64);
        match panel {
            Panel::Lines(chart) => chart.draw(&mut canvas),
            Panel::Bars(chart) => chart.draw(&mut canvas),
        }
    }
    canvas.finish(WIDTH, HEIGHT * panels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str) -> Panel {
        Panel::Lines(LineChart {
            title: "Loss & gain".into(),
            x: "epoch".into(),
            y: "nats".into(),
            series: vec![Series {
                name: name.into(),
                points: vec![(0.0, 2.0), (5.0, 1.0), (10.0, f64::NAN)],
            }],
            percent_x: false,
        })
    }

    #[test]
    fn a_document_contains_its_input_and_skips_nan() {
        let bars = Panel::Bars(BarChart {
            title: "by age".into(),
            y: "NDCG@10".into(),
            groups: vec!["cold".into(), "warm".into()],
            series: vec![BarSeries { name: "fusion".into(), values: vec![Some(0.02), None] }],
        });
        let document = svg(&[lines("a <b>"), bars]);
        for text in ["Loss &amp; gain", "a &lt;b&gt;", "epoch", "cold", "warm", "NDCG@10"] {
            assert!(document.contains(text), "{text}");
        }
        assert!(!document.contains("NaN") && !document.contains("inf"), "{document}");
        assert!(document.contains("prefers-color-scheme: dark"));
        assert_eq!(document.matches("<circle").count(), 2, "the point that is NaN is left out");
        assert_eq!(document.matches("class=\"bar").count(), 1, "no bar where there is no value");
    }

    #[test]
    fn empty_charts_are_drawn() {
        let empty = Panel::Lines(LineChart::default());
        let flat = Panel::Lines(LineChart {
            series: vec![Series { name: "flat".into(), points: vec![(1.0, 3.0)] }],
            ..LineChart::default()
        });
        let bars = Panel::Bars(BarChart::default());
        let document = svg(&[empty, flat, bars]);
        assert!(document.starts_with("<svg") && document.ends_with("</svg>\n"));
        assert!(!document.contains("NaN") && !document.contains("inf"), "{document}");
    }
}
