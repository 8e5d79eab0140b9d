use super::{
    canvas::{BOTTOM, Canvas, LEFT, RIGHT, TOP},
    scale::Scale,
};

/// A line chart, for instance of the quality over the call budget, or of a loss over epochs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineChart {
    /// Title.
    pub title: String,
    /// Label of the horizontal axis.
    pub x: String,
    /// Label of the vertical axis.
    pub y: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
    /// Whether the horizontal axis is a share, shown in per cent.
    pub percent_x: bool,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Label in the legend.
    pub name: String,
    /// Points `(x, y)` by ascending x. Points that are not finite are skipped.
    pub points: Vec<(f64, f64)>,
}

/// Lines with more points than this have no markers.
const MARKED: usize = 30;

impl LineChart {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::over(points().map(|point| point.0), (LEFT, RIGHT));
        let y = Scale::over(points().map(|point| point.1), (BOTTOM, TOP));
        canvas.frame(&self.title, &self.y, &y);
        for tick in x.ticks() {
            canvas.text((x.at(tick), BOTTOM + 18.0), "tick mid", &x.label(tick, self.percent_x));
        }
        canvas.text((LEFT.midpoint(RIGHT), BOTTOM + 40.0), "mid", &self.x);
        for (number, series) in self.series.iter().enumerate() {
            let drawn: Vec<(f64, f64)> = series
                .points
                .iter()
                .filter(|point| point.0.is_finite() && point.1.is_finite())
                .map(|point| (x.at(point.0), y.at(point.1)))
                .collect();
            canvas.line(&drawn, number);
            if drawn.len() <= MARKED {
                for &point in &drawn {
                    canvas.dot(point, number);
                }
            }
        }
        canvas.legend(self.series.iter().map(|series| series.name.as_str()), true);
    }
}
