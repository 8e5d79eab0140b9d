//! Dropout with random numbers of the thread's own.
//!
//! Burn's dropout draws a number for each value from one generator of the process. On a CPU that
//! took a sixth of a training step, and the order of the draws of several threads is not defined.
//! A GPU draws its numbers itself, so that they are not sent to it.

use std::cell::RefCell;

use burn::{
    Tensor,
    module::Module,
    tensor::{Distribution, TensorData},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

thread_local! {
    static NUMBERS: RefCell<Numbers> = RefCell::new(Numbers::Host(Box::new(StdRng::seed_from_u64(0))));
}

/// Where the random numbers of dropout come from.
enum Numbers {
    Host(Box<StdRng>),
    Device,
}

/// Seeds the dropout of this thread.
pub fn seed_dropout(seed: u64) {
    NUMBERS.set(Numbers::Host(Box::new(StdRng::seed_from_u64(seed))));
}

/// The dropout of this thread takes the random numbers of the tensors' device, which
/// `Device::seed` seeds.
pub fn draw_dropout_on_device() {
    NUMBERS.set(Numbers::Device);
}

/// Sets values to zero at random and scales the others, so that their mean stays (Srivastava et
/// al. 2014). Does nothing on a device without autodiff.
#[derive(Module, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// `probability` of a zero, from 0 to less than 1; rounded to a 65,536th.
    #[must_use]
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Values of any shape.
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let device = input.device();
        if self.probability == 0.0 || !device.is_autodiff() {
            return input;
        }
        let shape = input.shape();
        let mask = NUMBERS.with_borrow_mut(|numbers| match numbers {
            Numbers::Host(generator) => {
                let mask = mask(self.probability, shape.num_elements(), generator);
                Tensor::from_data(TensorData::new(mask, shape), &device)
            }
            Numbers::Device => {
                let kept = 1.0 - self.probability;
                Tensor::random(shape, Distribution::Bernoulli(kept), &device) / kept
            }
        });
        input * mask
    }
}

/// Zeros, and the factor that keeps the mean.
fn mask(probability: f64, count: usize, generator: &mut impl Rng) -> Vec<f32> {
    const LEVELS: f32 = 65_536.0;
    let dropped = (probability as f32 * LEVELS).round().min(LEVELS - 1.0);
    let kept = LEVELS / (LEVELS - dropped);
    let mut mask = Vec::with_capacity(count + 3);
    while mask.len() < count {
        // Four draws of 16 bits.
        let drawn = generator.next_u64();
        mask.extend(
            [0, 16, 32, 48]
                .map(|shift| if f32::from((drawn >> shift) as u16) < dropped { 0.0 } else { kept }),
        );
    }
    mask.truncate(count);
    mask
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_share_of_zeros_is_the_probability_and_the_mean_stays() {
        let mask = mask(0.2, 100_001, &mut StdRng::seed_from_u64(1));
        assert_eq!(mask.len(), 100_001);
        let zeros = mask.iter().filter(|value| **value == 0.0).count() as f32;
        // Five standard errors.
        assert!((zeros / 100_001.0 - 0.2).abs() < 0.0065);
        assert!(mask.iter().all(|value| *value == 0.0 || (value - 1.25).abs() < 1e-4));
    }

    #[test]
    fn the_same_seed_drops_the_same_values_and_only_in_training() {
        let dropout = Dropout::new(0.5);
        let run = |device: &Device, seed: u64| {
            seed_dropout(seed);
            let ones = Tensor::<2>::ones([10, 10], device);
            dropout.forward(ones).into_data().try_into_vec::<f32>().unwrap()
        };
        let training = Device::flex().autodiff();
        assert_eq!(run(&training, 1), run(&training, 1));
        assert_ne!(run(&training, 1), run(&training, 2));
        assert_eq!(run(&Device::flex(), 1), [1.0; 100]);
        assert_eq!(Dropout::new(0.0).forward(Tensor::<1>::ones([2], &training)).dims(), [2]);
    }

    #[test]
    fn numbers_of_the_device_drop_the_same_share() {
        let training = Device::flex().autodiff();
        draw_dropout_on_device();
        let dropped = Dropout::new(0.2).forward(Tensor::<1>::ones([100_000], &training));
        let values = dropped.into_data().try_into_vec::<f32>().unwrap();
        let zeros = values.iter().filter(|value| **value == 0.0).count() as f32;
        assert!((zeros / 100_000.0 - 0.2).abs() < 0.0065);
        assert!(values.iter().all(|value| *value == 0.0 || (value - 1.25).abs() < 1e-4));
        seed_dropout(0);
    }
}
