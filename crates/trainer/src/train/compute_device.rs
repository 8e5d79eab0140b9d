use anyhow::Result;
use clap::ValueEnum;
use tandem_model::Device;

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
use crate::failure::BadInput;

/// What a training computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComputeDevice {
    /// All cores of this machine.
    Cpu,
    /// A GPU through Vulkan, Metal or `DirectX`, if `tandem` was built with `wgpu`.
    Wgpu,
    /// An NVIDIA GPU, if `tandem` was built with `cuda`.
    Cuda,
}

impl ComputeDevice {
    /// The device.
    ///
    /// # Errors
    /// If its feature was not built in, naming it.
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
