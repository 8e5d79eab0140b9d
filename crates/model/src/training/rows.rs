use std::io::{self, Read, Write};

use rand::{Rng, RngExt};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.98;
const EPSILON: f32 = 1e-8;

/// An item table in training, with its optimiser's state, in host memory.
///
/// The optimiser is `AdamW` over the whole table, whose rows go on moving by their momentum
/// in steps that have no gradient for them. A step computes the rows of its batch only, so
/// that its cost does not grow with the catalogue: what a row missed since it last took part
/// is a geometric series, made up for when it is read again. (Where rows rest
/// instead, as in "lazy" Adam, a rare item's row moves once by each gradient; here by up to
/// `1/(1 − β₁/√β₂)`, about eleven, such moves in all.)
#[derive(Clone, Debug)]
pub(super) struct TrainedRows {
    dims: usize,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// The step up to which each row is made up.
    steps: Vec<u32>,
    /// Steps taken.
    step: u32,
    /// Step size and decay of the last one: what is made up goes by them.
    rate: f32,
    decay: f32,
}

impl TrainedRows {
    /// Rows from `N(0, std²)`.
    pub(super) fn random(items: usize, dims: usize, std: f32, rng: &mut impl Rng) -> Self {
        Self::new((0..items * dims).map(|_| std * normal(rng)).collect(), dims)
    }

    pub(super) fn new(values: Vec<f32>, dims: usize) -> Self {
        let zeros = vec![0.0; values.len()];
        let steps = vec![0; values.len() / dims];
        let second = zeros.clone();
        Self { dims, values, first: zeros, second, steps, step: 0, rate: 0.0, decay: 0.0 }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The table as it stands, `[items, dims]`: the one copy that is made.
    pub(super) fn values(&self) -> Vec<f32> {
        let mut values = self.values.clone();
        for (at, row) in values.chunks_exact_mut(self.dims).enumerate() {
            let rest = self.rest(at);
            let range = at * self.dims..(at + 1) * self.dims;
            let moments = self.first[range.clone()].iter().zip(&self.second[range]);
            for (value, (first, second)) in row.iter_mut().zip(moments) {
                *value = rest.moved(*value, *first, *second);
            }
        }
        values
    }

    /// Rows `[ids, dims]` as they stand.
    pub(super) fn gather(&mut self, ids: &[u32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(ids.len() * self.dims);
        for &id in ids {
            self.make_up(id as usize);
            rows.extend_from_slice(&self.values[id as usize * self.dims..][..self.dims]);
        }
        rows
    }

    /// One step of `AdamW` (Loshchilov & Hutter 2019, algorithm 2): the rows `ids`, which are
    /// distinct, have the gradients `[ids, dims]`, all others none.
    pub(super) fn step(&mut self, ids: &[u32], gradients: &[f32], rate: f32, decay: f32) {
        for &id in ids {
            self.make_up(id as usize);
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

    /// Takes the steps without a gradient that a row has not taken yet.
    fn make_up(&mut self, at: usize) {
        let rest = self.rest(at);
        if rest.missed == 0 {
            return;
        }
        self.steps[at] = self.step;
        let (first_decay, second_decay) = (BETA1.powi(rest.missed), BETA2.powi(rest.missed));
        for (value, first, second) in self.row(at) {
            *value = rest.moved(*value, *first, *second);
            *first *= first_decay;
            *second *= second_decay;
        }
    }

    /// The steps that a row has not taken yet.
    fn rest(&self, at: usize) -> Rest {
        let missed = (self.step - self.steps[at]).min(i32::MAX as u32).cast_signed();
        let (first_scale, second_scale) = self.bias_corrections();
        let ratio = BETA1 / BETA2.sqrt();
        let series = ratio * (1.0 - ratio.powi(missed)) / (1.0 - ratio);
        let kept = (1.0 - self.rate * self.decay).powi(missed);
        Rest { missed, rate: self.rate * series, kept, first_scale, second_scale }
    }

    /// What the moments are to be multiplied by, for they began at zero (Kingma & Ba 2015, §3).
    fn bias_corrections(&self) -> (f32, f32) {
        let count = self.step.min(i32::MAX as u32).cast_signed();
        (1.0 / (1.0 - BETA1.powi(count)), 1.0 / (1.0 - BETA2.powi(count)))
    }

    /// Value, first and second moment of a row's places.
    fn row(&mut self, at: usize) -> impl Iterator<Item = (&mut f32, &mut f32, &mut f32)> {
        let range = at * self.dims..(at + 1) * self.dims;
        let moments = self.first[range.clone()].iter_mut().zip(&mut self.second[range.clone()]);
        let values = self.values[range].iter_mut();
        values.zip(moments).map(|(value, (first, second))| (value, first, second))
    }

    /// Values, moments and steps, as [`restore`](Self::restore) reads them.
    pub(super) fn save(&self, out: &mut impl Write) -> io::Result<()> {
        for numbers in [&self.values, &self.first, &self.second] {
            write_floats(out, numbers)?;
        }
        write_floats(out, &[self.rate, self.decay])?;
        let steps = self.steps.iter().chain([&self.step]);
        steps.copied().try_for_each(|step| out.write_all(&step.to_le_bytes()))
    }

    /// Takes the place of a table of the same size.
    pub(super) fn restore(&mut self, input: &mut impl Read) -> io::Result<()> {
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
            return Err(io::Error::other("a row has taken more steps than there were"));
        }
        Ok(())
    }
}

/// Steps of a row without a gradient, all in one. In the `i`-th of them its moments are
/// `β₁ⁱ·m` and `β₂ⁱ·v`, so it moves by `(β₁/√β₂)ⁱ` times what it last moved by: their sum is a
/// geometric series. Corrections of bias and step size are taken to be those of the last step.
struct Rest {
    missed: i32,
    /// The step size times the series.
    rate: f32,
    /// What weight decay leaves of a value.
    kept: f32,
    first_scale: f32,
    second_scale: f32,
}

impl Rest {
    /// Where a value goes from its moments; it stays if nothing was missed.
    fn moved(&self, value: f32, first: f32, second: f32) -> f32 {
        if self.missed == 0 {
            return value;
        }
        let step = first * self.first_scale / ((second * self.second_scale).sqrt() + EPSILON);
        value * self.kept - self.rate * step
    }
}

/// Little-endian, without a length; `out` should be buffered.
pub(super) fn write_floats(out: &mut impl Write, numbers: &[f32]) -> io::Result<()> {
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

/// As many as there is room for.
pub(super) fn read_floats(input: &mut impl Read, numbers: &mut [f32]) -> io::Result<()> {
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
        let mut rows = TrainedRows::new(vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2);
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
        let mut rows = TrainedRows::new(vec![1.0, -2.0], 2);
        rows.step(&[0], &[0.0, 0.0], 0.1, 0.5);
        assert_eq!(rows.values(), [0.95, -1.9]);
    }

    /// A row that is left out of steps ends where one with gradients of zero does.
    #[test]
    fn what_a_row_missed_is_made_up_for() {
        let start = vec![0.3, -0.7, 0.3, -0.7];
        let mut rows = TrainedRows::new(start, 2);
        // Past the first steps, in which the corrections of bias change.
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
            // Weight decay of values that move in between is the only difference.
            assert!((zeros - missed).abs() < 2e-4, "{values:?}");
            let moved = (rows.values[2 + column] - missed).abs();
            assert!(moved > 0.01, "{moved}");
        }
        rows.step(&[0, 1], &[1.0; 4], 0.01, 0.1);
        let values = rows.values();
        assert!((values[0] - values[2]).abs() < 2e-4, "{values:?}");
    }
}
