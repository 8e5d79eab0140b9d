use std::fmt::Write as _;

use super::{HEIGHT, WIDTH, scale::Scale};

/// The plotting area of a panel; the legend is to the right of it.
pub(super) const LEFT: f64 = 74.0;
pub(super) const RIGHT: f64 = WIDTH - 190.0;
pub(super) const TOP: f64 = 44.0;
pub(super) const BOTTOM: f64 = HEIGHT - 54.0;

/// Colours and dashes of the series; further series repeat them.
const LOOKS: usize = 8;
const DASHES: [&str; LOOKS] = ["", "7 3", "2 3", "9 3 2 3", "", "7 3", "2 3", "9 3 2 3"];

const STYLE: &str = "\
:root{--page:#fff;--ink:#1b1f24;--faint:#d8dee4;--soft:#57606a;\
--s0:#0550ae;--s1:#bc4c00;--s2:#116329;--s3:#8250df;--s4:#a40e26;--s5:#1b7c83;--s6:#7d4e00;--s7:#57606a}\
@media (prefers-color-scheme: dark){:root{--page:#0d1117;--ink:#e6edf3;--faint:#30363d;--soft:#9198a1;\
--s0:#79c0ff;--s1:#ffa657;--s2:#7ee787;--s3:#d2a8ff;--s4:#ff7b72;--s5:#76e3ea;--s6:#f2cc60;--s7:#9198a1}}\
text{font:13px system-ui,sans-serif;fill:var(--ink)}.title{font-size:15px;font-weight:600}\
.tick{font-size:12px;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}\
.grid{stroke:var(--faint);stroke-width:1}.line{fill:none;stroke-width:2}";

/// An unfinished SVG document. Coordinates are relative to the current panel.
pub(super) struct Canvas {
    body: String,
    offset: f64,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { body: String::new(), offset: 0.0 }
    }

    /// Moves the origin down by a number of pixels.
    pub(super) fn panel(&mut self, offset: f64) {
        self.offset = offset;
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let (y, text) = (y + self.offset, escaped(text));
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"));
    }

    /// Draws the title, the label of the vertical axis, its ticks and the grid.
    pub(super) fn frame(&mut self, title: &str, y_name: &str, y: &Scale) {
        self.text((LEFT, 20.0), "title", title);
        self.text((LEFT, TOP - 9.0), "tick", y_name);
        for tick in y.ticks() {
            let at = y.at(tick);
            self.text((LEFT - 8.0, at + 4.0), "tick end", &y.label(tick, false));
            let at = at + self.offset;
            self.add(format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            ));
        }
    }

    /// Draws a line through the points in the style of a series.
    pub(super) fn line(&mut self, points: &[(f64, f64)], series: usize) {
        let look = series % LOOKS;
        let path: Vec<String> =
            points.iter().map(|(x, y)| format!("{x:.1},{:.1}", y + self.offset)).collect();
        self.add(format_args!(
            "<polyline class=\"line\" stroke=\"var(--s{look})\" stroke-dasharray=\"{}\" points=\"{}\"/>",
            DASHES[look],
            path.join(" ")
        ));
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), series: usize) {
        let (look, y) = (series % LOOKS, y + self.offset);
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" fill=\"var(--s{look})\"/>"
        ));
    }

    /// Draws a bar between two opposite corners.
    pub(super) fn bar(&mut self, (x, y): (f64, f64), (to_x, to_y): (f64, f64), series: usize) {
        let (look, top) = (series % LOOKS, y.min(to_y) + self.offset);
        self.add(format_args!(
            "<rect class=\"bar\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"var(--s{look})\"/>",
            to_x - x,
            (to_y - y).abs()
        ));
    }

    /// Draws the legend to the right of the plotting area.
    pub(super) fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>, lines: bool) {
        for (series, name) in names.enumerate() {
            let (x, y) = (RIGHT + 16.0, TOP + 10.0 + 20.0 * series as f64);
            if lines {
                self.line(&[(x, y - 4.0), (x + 26.0, y - 4.0)], series);
            } else {
                let look = series % LOOKS;
                let y = y - 10.0 + self.offset;
                self.add(format_args!(
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"var(--s{look})\"/>"
                ));
            }
            self.text((x + if lines { 33.0 } else { 18.0 }, y), "name", name);
        }
    }

    pub(super) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"var(--page)\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
