//! Capacity model: what a number of visitors needs in processors, memory, database writes,
//! bandwidth and money, and which part of a server is full first.
//!
//! [`plan`] is arithmetic on a [`Workload`] and on measured [`Costs`]. [`simulate_waiting`] adds
//! what arithmetic does not tell: how long lists wait in the busiest hour. `docs/scaling.md` explains
//! the model and has its results for three sites.

mod costs;
mod error;
mod limits;
mod plan;
mod price;
mod waiting;
mod workload;

pub use costs::Costs;
pub use error::CapacityError;
pub use limits::{Limit, Machine, Resource};
pub use plan::{Plan, Rate, plan};
pub use price::{Bill, Prices};
pub use waiting::{Waiting, simulate_waiting};
pub use workload::Workload;
