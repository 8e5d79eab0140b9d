//! The server from outside: over its HTTP surface with a scripted generator, and as a
//! process with a GGUF file.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod artifacts;
mod bad_input;
mod candidates;
mod events;
mod fixture;
mod http;
mod models;
mod process;
mod queue;
mod site;
mod start;
