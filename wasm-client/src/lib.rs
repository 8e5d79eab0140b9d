//! The device: a visitor's session in the browser, compiled to WebAssembly.
//!
//! [`bindings`] is what JavaScript sees: one class, `Client`. Behind it, `engine` joins the
//! session (`tandem-session`: no clock, no network) with what a browser brings (`browser`:
//! time, fetch, abort). `engine` knows the browser only as a trait, so its tests run
//! natively against a scripted one.
//!
//! Built twice, with exactly one of the features `cpu` and `webgpu`: with both backends in
//! one module, reads on the CPU become slower, and every visitor would load the larger file.
//!
//! What is absent: the DOM, storage and any decision of its own. The worker that owns a
//! `Client` calls it once at a time; only `requestCandidates` may be pending beside other
//! calls, for it holds no lock while it waits for the network.

#[cfg(all(feature = "cpu", feature = "webgpu"))]
compile_error!("choose one of the features `cpu` and `webgpu`: one module a backend");
#[cfg(not(any(feature = "cpu", feature = "webgpu")))]
compile_error!("choose one of the features `cpu` and `webgpu`: --features cpu");

mod artifacts;
pub mod bench;
pub mod bindings;
mod browser;
mod config;
mod connection;
mod device;
mod engine;
mod error;
mod host;
pub mod parity;
mod reply;
mod update;
