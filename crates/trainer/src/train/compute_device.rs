use anyhow::Result;
use clap::ValueEnum;
use tandem_model::Device;

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
use crate::failure::BadInput;

/// Compute device of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComputeDevice {
    /// All CPU cores.
    Cpu,
    /// A GPU by Vulkan, Metal or `DirectX`; needs a build with `--features wgpu`.
    Wgpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
}

impl ComputeDevice {
    /// The Burn device.
    ///
    /// # Errors
    /// If the build lacks the feature of the device.
    pub(crate) fn device(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => Err(not_built("wgpu")),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => Err(not_built("cuda")),
        }
    }
}

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
fn not_built(feature: &str) -> anyhow::Error {
    BadInput(format!(
        "--device {feature}: this `tandem` was built without it; build it with \
         `--features {feature}`, or train with --device cpu"
    ))
    .into()
}
