use std::iter;

use super::{
    canvas::{BOTTOM, Canvas, LEFT, RIGHT, TOP},
    scale::Scale,
};

/// A bar chart with groups, for instance the same rows for cold and for warm users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarChart {
    /// Title.
    pub title: String,
    /// Label of the vertical axis.
    pub y: String,
    /// Labels of the groups, from left to right.
    pub groups: Vec<String>,
    /// The series, in the order of the legend.
    pub series: Vec<BarSeries>,
}

/// One bar in each group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarSeries {
    /// Label in the legend.
    pub name: String,
    /// One value for each group; `None` leaves a gap.
    pub values: Vec<Option<f64>>,
}

/// Share of the width of a group that stays empty.
const GAP: f64 = 0.2;

impl BarChart {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let values = self.series.iter().flat_map(|series| series.values.iter().copied().flatten());
        let y = Scale::over(values.chain(iter::once(0.0)), (BOTTOM, TOP));
        canvas.frame(&self.title, &self.y, &y);
        let group_width = (RIGHT - LEFT) / self.groups.len().max(1) as f64;
        let width = group_width * (1.0 - GAP) / self.series.len().max(1) as f64;
        for (group, name) in self.groups.iter().enumerate() {
            let start = LEFT + group_width * (group as f64 + GAP / 2.0);
            for (number, series) in self.series.iter().enumerate() {
                let value = series.values.get(group).copied().flatten();
                if let Some(value) = value.filter(|value| value.is_finite()) {
                    let x = start + width * number as f64;
                    canvas.bar((x, y.at(0.0)), (x + width - 1.0, y.at(value)), number);
                }
            }
            let middle = LEFT + group_width * (group as f64 + 0.5);
            canvas.text((middle, BOTTOM + 18.0), "tick mid", name);
        }
        canvas.legend(self.series.iter().map(|series| series.name.as_str()), false);
    }
}
