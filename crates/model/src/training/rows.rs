use std::io::{self, Read, Write};

use rand::{Rng, RngExt};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.98;
const EPSILON: f32 = 1e-8;

/// An item table in training, with its optimiser's state, in host memory.
///
/// A step reads and writes the rows of its batch only (lazy `AdamW`: the moments of other
/// rows rest), so that its cost does not grow with the catalogue.
#[derive(Clone, Debug)]
pub(super) struct TrainedRows {
    dims: usize,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Steps taken by each row: its moments' bias is corrected by its own count.
    steps: Vec<u32>,
}

impl TrainedRows {
    /// Rows from `N(0, std²)`.
    pub(super) fn random(items: usize, dims: usize, std: f32, rng: &mut impl Rng) -> Self {
        Self::new((0..items * dims).map(|_| std * normal(rng)).collect(), dims)
    }

    pub(super) fn new(values: Vec<f32>, dims: usize) -> Self {
        let zeros = vec![0.0; values.len()];
        let steps = vec![0; values.len() / dims];
        Self { dims, first: zeros.clone(), second: zeros, values, steps }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rows `[ids, dims]`.
    pub(super) fn gather(&self, ids: &[u32]) -> Vec<f32> {
        ids.iter().flat_map(|&id| self.row(id)).copied().collect()
    }

    fn row(&self, id: u32) -> &[f32] {
        let start = id as usize * self.dims;
        &self.values[start..start + self.dims]
    }

    /// One step of `AdamW` (Loshchilov & Hutter 2019, algorithm 2) on the rows `ids`, which
    /// are distinct, with their gradients `[ids, dims]`.
    pub(super) fn step(&mut self, ids: &[u32], gradients: &[f32], rate: f32, decay: f32) {
        for (&id, gradient) in ids.iter().zip(gradients.chunks_exact(self.dims)) {
            let at = id as usize;
            self.steps[at] += 1;
            let count = self.steps[at].min(i32::MAX as u32).cast_signed();
            let first_scale = 1.0 / (1.0 - BETA1.powi(count));
            let second_scale = 1.0 / (1.0 - BETA2.powi(count));
            let range = at * self.dims..(at + 1) * self.dims;
            let rows = self.values[range.clone()]
                .iter_mut()
                .zip(&mut self.first[range.clone()])
                .zip(&mut self.second[range])
                .zip(gradient);
            for (((value, first), second), gradient) in rows {
                *first = BETA1 * *first + (1.0 - BETA1) * gradient;
                *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
                let step = *first * first_scale / ((*second * second_scale).sqrt() + EPSILON);
                *value -= rate * (step + decay * *value);
            }
        }
    }

    /// Values, moments and steps, as [`restore`](Self::restore) reads them.
    pub(super) fn save(&self, out: &mut impl Write) -> io::Result<()> {
        for numbers in [&self.values, &self.first, &self.second] {
            write_floats(out, numbers)?;
        }
        self.steps.iter().try_for_each(|steps| out.write_all(&steps.to_le_bytes()))
    }

    /// Takes the place of a table of the same size.
    pub(super) fn restore(&mut self, input: &mut impl Read) -> io::Result<()> {
        for numbers in [&mut self.values, &mut self.first, &mut self.second] {
            read_floats(input, numbers)?;
        }
        for steps in &mut self.steps {
            let mut word = [0; 4];
            input.read_exact(&mut word)?;
            *steps = u32::from_le_bytes(word);
        }
        Ok(())
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
}
