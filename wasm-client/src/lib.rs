//! The browser's side of Tandem: a visitor's session, compiled to WebAssembly.
//!
//! [`bindings`] is the API for JavaScript: one class, `Client`. Behind it, `engine` joins
//! the session (`tandem-session`, which has no clock and no network) with what the browser
//! provides (`browser`: time, timers, requests). `engine` knows the browser only as the
//! trait `Host`, so its tests run natively against a scripted server.
//!
//! Two modules are built, each with exactly one of the features `cpu` and `webgpu`, so that a
//! visitor without WebGPU does not load its 1.7 MB.
//!
//! What is absent: the DOM, storage and any decision of its own. The worker that owns a
//! `Client` makes one call at a time. Only `requestCandidates`, `fetchMissing`, `fetchFurther` and
//! `request` may be pending beside other calls, because they hold no lock while they wait for the
//! network.

#[cfg(all(feature = "cpu", feature = "webgpu"))]
compile_error!("enable only one of the features `cpu` and `webgpu`: one module per backend");
#[cfg(not(any(feature = "cpu", feature = "webgpu")))]
compile_error!("enable one of the features `cpu` and `webgpu`, for example --features cpu");

mod artifacts;
#[cfg(feature = "bench")]
pub mod bench;
pub mod bindings;
mod browser;
mod config;
mod device;
mod engine;
mod error;
mod history;
mod host;
mod javascript;
mod loader;
// In the browser only for tests; natively always, for the reference values.
#[cfg(any(feature = "bench", not(target_family = "wasm")))]
pub mod parity;
mod response;
mod server_link;
#[cfg(all(test, feature = "typescript"))]
mod typescript;
mod update;
