/// A numeric axis: from values to pixels, with round ticks.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// Pixels of `low` and `high`.
    ends: (f64, f64),
    step: f64,
}

/// Approximate number of ticks of an axis.
const TICKS: f64 = 6.0;

impl Scale {
    /// An axis between two pixels that covers all finite values, extended to whole ticks.
    pub(super) fn over(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= 0.0 {
            let half = (low.abs() * 0.5).max(0.5);
            (low, high) = (low - half, high + half);
        }
        let step = round_step((high - low) / TICKS);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, ends, step }
    }

    /// The position of a value, in pixels.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }

    /// The ticks, ascending.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        let count = whole((self.high - self.low) / self.step);
        (0..=count).map(|number| self.low + f64::from(number) * self.step)
    }

    /// The label of a tick, with the decimals that the step needs.
    pub(super) fn label(&self, tick: f64, percent: bool) -> String {
        let factor = if percent { 100.0 } else { 1.0 };
        let decimals = whole((-(self.step * factor).log10().floor()).min(6.0)) as usize;
        // Without it a tick at zero may read "-0".
        let tick = tick * factor + 0.0;
        let unit = if percent { " %" } else { "" };
        format!("{tick:.decimals$}{unit}")
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `value`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let leading =
        [1.0, 2.0, 5.0].into_iter().find(|leading| leading * power >= least * (1.0 - 1e-9));
    leading.unwrap_or(10.0) * power
}

/// The nearest whole number; 0 for negative numbers.
#[allow(clippy::cast_sign_loss, reason = "a negative number saturates at 0")]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let scale = Scale::over([0.013, 0.047].into_iter(), (0.0, 100.0));
        let labels: Vec<String> = scale.ticks().map(|tick| scale.label(tick, false)).collect();
        assert_eq!(labels, ["0.01", "0.02", "0.03", "0.04", "0.05"]);
        assert!((scale.at(0.01)).abs() < 1e-9 && (scale.at(0.05) - 100.0).abs() < 1e-9);
        let share = Scale::over([0.0, 1.0].into_iter(), (100.0, 0.0));
        assert_eq!(share.ticks().map(|tick| share.label(tick, true)).nth(1).unwrap(), "20 %");
        assert!((share.at(0.25) - 75.0).abs() < 1e-9);
    }
}
