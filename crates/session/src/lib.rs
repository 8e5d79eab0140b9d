//! The session on the device: history, candidate list, re-ranking, decision, learning.
//!
//! The path of a click:
//!
//! 1. [`Session::track`] adds it to the history and notes what there is to learn;
//! 2. [`Session::rank`] scores the remaining candidates of the list with the small model and
//!    fuses the scores of the two models; [`Session::record_shown`] is told what is shown;
//! 3. [`Session::decide`] says whether a call to the cloud is worthwhile, and why;
//! 4. if so, the caller sends the body of [`Session::begin_request`] and passes the answer to
//!    [`Session::accept`];
//! 5. [`Session::learn`] takes one step on the personal delta, after the page has painted.
//!
//! There is no network, clock, storage or thread in this crate. The browser's bindings
//! provide them and the evaluation simulates them, so that the evaluated code is the code
//! that runs in the browser.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use futures_lite::future::block_on;
//! use tandem_collaboration::Reason;
//! use tandem_model::{Body, Device, ItemTable, Scorer};
//! use tandem_protocol::{Event, EventKind, ItemId, ModelConfig, ModelKind};
//! use tandem_session::{Connection, RowStore, Session, Settings};
//!
//! // A small model with random weights and a table of three items, 4 dimensions each.
//! let config =
//!     ModelConfig { kind: ModelKind::Gru4rec, dims: 4, blocks: 1, heads: 1, max_length: 10 };
//! let weights = Body::new(&config, 0.0, &Device::flex())?.to_bytes(&HashMap::new())?;
//! let scorer = Scorer::new(&config, &weights)?;
//! let table = ItemTable::quantise(&[0.5, 0.1, -0.2, 0.3, 0.1, 0.9, 0.4, -0.6, 0.7, 0.2, 0.2, 0.1], 4)?;
//! let rows = RowStore::whole(table, ["a", "b", "c"].map(ItemId::from))?;
//! let settings = Settings {
//!     base: "hash of weights and rows".into(),
//!     catalogue_hash: "hash of the item ids".into(),
//!     ..Settings::default()
//! };
//!
//! let mut session = Session::new(scorer, rows, settings)?;
//! session.track(&Event { kind: EventKind::Click, item: "a".into() });
//! let ranked = block_on(session.rank())?;
//! let decision = session.decide(&ranked, Connection::default(), 0.0);
//! assert_eq!(decision.reason, Reason::NoCandidates);
//! let (request, _ticket) = session.begin_request(None, 0.0);
//! assert_eq!(request.history, [ItemId::from("a")]);
//! # Ok::<(), tandem_session::SessionError>(())
//! ```

mod baseline;
mod candidate_list;
mod cell_store;
mod error;
mod negatives;
mod rows;
mod session;
mod visitor;

pub use candidate_list::MAX_CANDIDATES;
pub use cell_store::DEFAULT_CELL_MEMORY;
pub use error::SessionError;
pub use rows::{RowStore, decode_row, encode_row};
pub use session::{
    Calibration, Connection, Contribution, Explanation, FIRST_BYTES, FIRST_CELLS, FURTHER_BYTES,
    MAX_EXPLAINED, MAX_SENT_EXCLUSIONS, MAX_SENT_HISTORY, MORE_BYTES, MORE_CELLS, Ranked,
    RankedItem, RequestTicket, RestoreOutcome, STATE_VERSION, SearchMode, SearchSource, Session,
    Settings, Similar, UNDO_LIMIT,
};
pub use visitor::{MAX_DISLIKES, MAX_HISTORY};
