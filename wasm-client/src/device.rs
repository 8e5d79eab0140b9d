//! The backend of this module.

use tandem_model::Device;

use crate::error::ClientError;

/// Name of the backend, as `Client.open` knows it.
#[cfg(not(feature = "webgpu"))]
pub(crate) const NAME: &str = "cpu";
/// Name of the backend, as `Client.open` knows it.
#[cfg(feature = "webgpu")]
pub(crate) const NAME: &str = "webgpu";

/// The device to compute on.
///
/// # Errors
/// `no_adapter` without a usable WebGPU adapter; never on the CPU.
#[cfg(not(feature = "webgpu"))]
#[allow(clippy::unused_async, reason = "the version for WebGPU is asynchronous")]
pub(crate) async fn open() -> Result<Device, ClientError> {
    Ok(Device::flex())
}

/// The device to compute on.
///
/// Burn's runtime is initialised once per module: a second call returns the same device.
///
/// # Errors
/// `no_adapter` without a usable WebGPU adapter.
#[cfg(feature = "webgpu")]
pub(crate) async fn open() -> Result<Device, ClientError> {
    use std::cell::RefCell;

    use tandem_protocol::ErrorCode;

    thread_local! {
        static OPENED: RefCell<Option<Device>> = const { RefCell::new(None) };
    }
    if let Some(device) = OPENED.with_borrow(Clone::clone) {
        return Ok(device);
    }
    let device = Device::wgpu_options().init_async().await.map_err(|error| {
        ClientError::new(
            ErrorCode::NoAdapter,
            format!("WebGPU is not usable in this browser ({error}); use the device 'cpu'"),
        )
    })?;
    OPENED.set(Some(device.clone()));
    Ok(device)
}
