//! Sessions driven as the browser drives them, with a small random model.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cells;
mod counts;
mod decisions;
mod example;
mod fuzz;
mod learning;
mod questions;
mod ranking;
mod requests;
mod saved;
mod search;
#[path = "../../examples/session.rs"]
mod session_example;
mod support;
