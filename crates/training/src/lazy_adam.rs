use std::io::{self, Read, Write};

use rand::{Rng, RngExt};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.98;
const EPSILON: f32 = 1e-8;

/// An item embedding in host memory, trained by `AdamW` with deferred updates.
///
/// Dense `AdamW` keeps moving every row by its momentum, even in steps without a gradient for
/// it. Here a step updates only the rows of its batch, so that its cost does not grow with
/// the catalogue. The missed steps of a row form a geometric series, which
/// [`apply_missed_steps`](Self::apply_missed_steps) adds when the row is next read. The result
/// is that of dense `AdamW` (up to the learning rate and bias corrections of the last step).
/// Common "lazy" Adam implementations drop the missed steps; a rare item's row then moves
/// once per gradient instead of `1/(1 − β₁/√β₂)` (about eleven) times as far.
#[derive(Clone, Debug)]
pub(crate) struct LazyAdamEmbedding {
    dims: usize,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// The step up to which each row is current.
    steps: Vec<u32>,
    /// Steps taken.
    step: u32,
    /// Learning rate and weight decay of the last step, used for missed steps.
    rate: f32,
    decay: f32,
}

impl LazyAdamEmbedding {
    /// Rows from `N(0, std²)`.
    pub(crate) fn random(items: usize, dims: usize, std: f32, rng: &mut impl Rng) -> Self {
        Self::new((0..items * dims).map(|_| std * normal(rng)).collect(), dims)
    }

    pub(crate) fn new(values: Vec<f32>, dims: usize) -> Self {
        let zeros = vec![0.0; values.len()];
        let steps = vec![0; values.len() / dims];
        let second = zeros.clone();
        Self { dims, values, first: zeros, second, steps, step: 0, rate: 0.0, decay: 0.0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// A copy of the current table, `[items, dims]`.
    pub(crate) fn values(&self) -> Vec<f32> {
        let mut values = self.values.clone();
        for (at, row) in values.chunks_exact_mut(self.dims).enumerate() {
            let missed = self.missed_steps(at);
            let range = at * self.dims..(at + 1) * self.dims;
            let moments = self.first[range.clone()].iter().zip(&self.second[range]);
            for (value, (first, second)) in row.iter_mut().zip(moments) {
                *value = missed.apply(*value, *first, *second);
            }
        }
        values
    }

    /// The current rows of `ids`, `[ids, dims]`.
    pub(crate) fn gather(&mut self, ids: &[u32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(ids.len() * self.dims);
        for &id in ids {
            self.apply_missed_steps(id as usize);
            rows.extend_from_slice(&self.values[id as usize * self.dims..][..self.dims]);
        }
        rows
    }

    /// One step of `AdamW` (Loshchilov & Hutter 2019, algorithm 2) with `gradients`
    /// `[ids, dims]` for the distinct rows `ids` and zero gradients for all others.
    pub(crate) fn step(&mut self, ids: &[u32], gradients: &[f32], rate: f32, decay: f32) {
        for &id in ids {
            self.apply_missed_steps(id as usize);
        }
        self.step += 1;
        (self.rate, self.decay) = (rate, decay);
        let (first_scale, second_scale) = self.bias_corrections();
        for (&id, gradient) in ids.iter().zip(gradients.chunks_exact(self.dims)) {
            self.steps[id as usize] = self.step;
            for ((value, first, second), gradient) in self.row(id as usize).zip(gradient) {
                *first = BETA1 * *first + (1.0 - BETA1) * gradient;
                *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
                let step = *first * first_scale / ((*second * second_scale).sqrt() + EPSILON);
                *value -= rate * (step + decay * *value);
            }
        }
    }

    /// Applies the steps without gradient that a row has missed.
    fn apply_missed_steps(&mut self, at: usize) {
        let missed = self.missed_steps(at);
        if missed.count == 0 {
            return;
        }
        self.steps[at] = self.step;
        let (first_decay, second_decay) = (BETA1.powi(missed.count), BETA2.powi(missed.count));
        for (value, first, second) in self.row(at) {
            *value = missed.apply(*value, *first, *second);
            *first *= first_decay;
            *second *= second_decay;
        }
    }

    /// The combined effect of the steps that a row has missed.
    fn missed_steps(&self, at: usize) -> MissedSteps {
        let count = (self.step - self.steps[at]).min(i32::MAX as u32).cast_signed();
        let (first_scale, second_scale) = self.bias_corrections();
        let ratio = BETA1 / BETA2.sqrt();
        let series = ratio * (1.0 - ratio.powi(count)) / (1.0 - ratio);
        let kept = (1.0 - self.rate * self.decay).powi(count);
        MissedSteps { count, rate: self.rate * series, kept, first_scale, second_scale }
    }

    /// Factors that correct the moments for their start at zero (Kingma & Ba 2015, §3).
    fn bias_corrections(&self) -> (f32, f32) {
        let count = self.step.min(i32::MAX as u32).cast_signed();
        (1.0 / (1.0 - BETA1.powi(count)), 1.0 / (1.0 - BETA2.powi(count)))
    }

    /// Value, first and second moment of each dimension of a row.
    fn row(&mut self, at: usize) -> impl Iterator<Item = (&mut f32, &mut f32, &mut f32)> {
        let range = at * self.dims..(at + 1) * self.dims;
        let moments = self.first[range.clone()].iter_mut().zip(&mut self.second[range.clone()]);
        let values = self.values[range].iter_mut();
        values.zip(moments).map(|(value, (first, second))| (value, first, second))
    }

    /// Values, moments and steps, as [`restore`](Self::restore) reads them.
    pub(crate) fn save(&self, out: &mut impl Write) -> io::Result<()> {
        for numbers in [&self.values, &self.first, &self.second] {
            write_floats(out, numbers)?;
        }
        write_floats(out, &[self.rate, self.decay])?;
        let steps = self.steps.iter().chain([&self.step]);
        steps.copied().try_for_each(|step| out.write_all(&step.to_le_bytes()))
    }

    /// Replaces the state by a saved one of a table of the same size.
    pub(crate) fn restore(&mut self, input: &mut impl Read) -> io::Result<()> {
        for numbers in [&mut self.values, &mut self.first, &mut self.second] {
            read_floats(input, numbers)?;
        }
        let mut rates = [0.0; 2];
        read_floats(input, &mut rates)?;
        [self.rate, self.decay] = rates;
        for step in self.steps.iter_mut().chain([&mut self.step]) {
            let mut word = [0; 4];
            input.read_exact(&mut word)?;
            *step = u32::from_le_bytes(word);
        }
        if self.steps.iter().any(|step| *step > self.step) {
            return Err(io::Error::other("a row has more steps than the optimiser"));
        }
        Ok(())
    }
}

/// The steps without gradient of one row, combined. In the `i`-th of them the moments are
/// `β₁ⁱ·m` and `β₂ⁱ·v`, so the update is `(β₁/√β₂)ⁱ` times the last one; the sum is a geometric
/// series. Bias corrections and learning rate are those of the last step.
struct MissedSteps {
    count: i32,
    /// Learning rate times the sum of the series.
    rate: f32,
    /// Factor of the weight decay.
    kept: f32,
    first_scale: f32,
    second_scale: f32,
}

impl MissedSteps {
    /// The value after the missed steps.
    fn apply(&self, value: f32, first: f32, second: f32) -> f32 {
        if self.count == 0 {
            return value;
        }
        let step = first * self.first_scale / ((second * self.second_scale).sqrt() + EPSILON);
        value * self.kept - self.rate * step
    }
}

/// Little-endian, without a length; `out` should be buffered.
pub(crate) fn write_floats(out: &mut impl Write, numbers: &[f32]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

/// As many as there is room for.
pub(crate) fn read_floats(input: &mut impl Read, numbers: &mut [f32]) -> io::Result<()> {
    for number in numbers {
        let mut word = [0; 4];
        input.read_exact(&mut word)?;
        *number = f32::from_le_bytes(word);
    }
    Ok(())
}

/// A draw from `N(0, 1)` (Box & Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    // 1 − u is in (0, 1]: its logarithm is finite.
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_step_goes_by_the_rate_and_touches_only_its_rows() {
        let mut rows = LazyAdamEmbedding::new(vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2);
        rows.step(&[2, 0], &[0.5, -4.0, 1e-3, 0.0], 0.1, 0.0);
        // Bias-corrected, a first step is the gradient's sign times the rate.
        let expected = [0.9, 1.0, 2.0, 2.0, 2.9, 3.1];
        for (value, expected) in rows.values().iter().zip(expected) {
            assert!((value - expected).abs() < 1e-4, "{:?}", rows.values());
        }
        assert_eq!(rows.gather(&[1]), [2.0, 2.0]);
    }

    #[test]
    fn decay_shrinks_a_row_without_gradient() {
        let mut rows = LazyAdamEmbedding::new(vec![1.0, -2.0], 2);
        rows.step(&[0], &[0.0, 0.0], 0.1, 0.5);
        assert_eq!(rows.values(), [0.95, -1.9]);
    }

    /// A row left out of steps ends up where a row with zero gradients does.
    #[test]
    fn missed_steps_are_applied() {
        let start = vec![0.3, -0.7, 0.3, -0.7];
        let mut rows = LazyAdamEmbedding::new(start, 2);
        // Past the first steps, in which the bias corrections change.
        for number in 0..400 {
            let gradient = [0.2 + (number as f32).sin(), -0.4, 0.2 + (number as f32).sin(), -0.4];
            rows.step(&[0, 1], &gradient, 0.01, 0.1);
        }
        for _ in 0..7 {
            rows.step(&[0], &[0.0, 0.0], 0.01, 0.1);
        }
        let values = rows.values();
        for column in 0..2 {
            let (zeros, missed) = (values[column], values[2 + column]);
            // They differ only in the weight decay of the values in between.
            assert!((zeros - missed).abs() < 2e-4, "{values:?}");
            let moved = (rows.values[2 + column] - missed).abs();
            assert!(moved > 0.01, "{moved}");
        }
        rows.step(&[0, 1], &[1.0; 4], 0.01, 0.1);
        let values = rows.values();
        assert!((values[0] - values[2]).abs() < 2e-4, "{values:?}");
    }
}
