//! `cloud-server consume`: a process that stores the events of an event stream in the database.

mod command;
mod metrics;

pub use command::{ConsumeCommand, ConsumeError};
