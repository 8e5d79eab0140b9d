//! The backend of this module, and models on it.

#[cfg(not(feature = "webgpu"))]
mod backend {
    use tandem_model::{ModelError, Scorer};
    use tandem_protocol::ModelConfig;

    use crate::error::ClientError;

    /// Name of the backend, as `Client.open` knows it.
    pub(crate) const NAME: &str = "cpu";

    /// The host.
    #[derive(Debug)]
    pub(crate) struct ComputeDevice;

    impl ComputeDevice {
        /// The device to compute on.
        ///
        /// # Errors
        /// None; the device for WebGPU has some.
        #[allow(clippy::unused_async, reason = "the version for WebGPU is asynchronous")]
        pub(crate) async fn open() -> Result<Self, ClientError> {
            Ok(Self)
        }

        /// Loads a model's weights onto the device.
        ///
        /// # Errors
        /// Those of [`Scorer::new`].
        #[allow(clippy::unused_self, reason = "the version for WebGPU has a device")]
        pub(crate) fn scorer(
            &self,
            config: &ModelConfig,
            weights: &[u8],
        ) -> Result<Scorer, ModelError> {
            Scorer::new(config, weights)
        }
    }
}

#[cfg(feature = "webgpu")]
mod backend {
    use std::cell::RefCell;

    use tandem_model::{Device, ModelError, Scorer};
    use tandem_protocol::{ErrorCode, ModelConfig};

    use crate::error::ClientError;

    /// Name of the backend, as `Client.open` knows it.
    pub(crate) const NAME: &str = "webgpu";

    /// Operations that Burn queues before it submits them by itself. More than a click takes, so
    /// that a click is submitted once, when its result is read.
    const MAX_TASKS: usize = 1_024;

    /// A GPU.
    #[derive(Clone, Debug)]
    pub(crate) struct ComputeDevice(Device);

    impl ComputeDevice {
        /// The device to compute on.
        ///
        /// Burn's runtime is initialised once per module: a second call returns the same device.
        ///
        /// # Errors
        /// `no_adapter` without a usable WebGPU adapter.
        pub(crate) async fn open() -> Result<Self, ClientError> {
            thread_local! {
                static OPENED: RefCell<Option<ComputeDevice>> = const { RefCell::new(None) };
            }
            if let Some(device) = OPENED.with_borrow(Clone::clone) {
                return Ok(device);
            }
            let device = Device::wgpu_options().tasks_max(MAX_TASKS).init_async().await.map_err(
                |error| {
                    ClientError::new(
                        ErrorCode::NoAdapter,
                        format!(
                            "WebGPU is not usable in this browser ({error}); use the device 'cpu'"
                        ),
                    )
                },
            )?;
            OPENED.set(Some(Self(device.clone())));
            Ok(Self(device))
        }

        /// Loads a model's weights onto the device.
        ///
        /// # Errors
        /// Those of [`Scorer::on_device`].
        pub(crate) fn scorer(
            &self,
            config: &ModelConfig,
            weights: &[u8],
        ) -> Result<Scorer, ModelError> {
            Scorer::on_device(config, weights, &self.0)
        }
    }
}

pub(crate) use backend::{ComputeDevice, NAME};
