//! The device's state machine: history, candidate list, re-ranking, decision, learning.
//!
//! What a click does, in the order it happens:
//!
//! 1. [`Session::track`] adds it to the history and notes what there is to learn;
//! 2. [`Session::rank`] scores the candidates left in the list with the small model and
//!    fuses the two models' scores;
//! 3. [`Session::decide`] says whether the cloud is worth a call, and why: with a learnt
//!    rule, by what the small model expects of items outside the list;
//! 4. if so, [`Session::begin_request`] and [`Session::accept`] stand around the caller's
//!    network;
//! 5. [`Session::learn`] takes one step on the personal delta, after the page has painted.
//!
//! What is absent: a network, a clock, storage and threads. The browser's bindings bring
//! those, and the evaluation simulates them, so that what is measured is what runs.

mod calibration;
mod compare;
mod error;
mod explain;
mod list_advantage;
mod ranked;
mod rows;
mod scoring;
mod session;
mod similar;
mod state;
mod undo;

pub use calibration::Calibration;
pub use error::SessionError;
pub use explain::{Contribution, Explanation, MAX_EXPLAINED};
pub use ranked::{Ranked, RankedItem};
pub use rows::{RowStore, decode_row, encode_row};
pub use session::{Connection, MAX_HISTORY, MAX_SENT_HISTORY, RequestTicket, Session, Settings};
pub use similar::Similar;
pub use state::{RestoreOutcome, STATE_VERSION};
pub use undo::UNDO_LIMIT;
