//! What differs between training on the CPU and on a GPU.

use burn::tensor::Device;
use tandem_model::{draw_dropout_on_device, seed_dropout};

/// Whether the device is the CPU, with autodiff or without.
pub(crate) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Seeds the dropout of this thread. A GPU draws the numbers itself: it is seeded for each step.
pub(crate) fn seed_dropout_on(device: &Device, seed: u64) {
    if is_cpu(device) {
        seed_dropout(seed);
    } else {
        draw_dropout_on_device();
    }
}
