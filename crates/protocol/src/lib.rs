//! Messages between device and cloud, and the manifest that both read.
//!
//! Plain data with `serde`; no I/O, no arithmetic, no policy. JSON fields are `snake_case`.
//! Responses and the manifest may gain fields without a new [`PROTOCOL_VERSION`]: readers
//! ignore fields that they do not know.
//!
//! ```
//! use tandem_protocol::{CandidatesRequest, ItemId};
//!
//! let request = CandidatesRequest {
//!     history: vec![ItemId::new("17"), ItemId::new("4")],
//!     k: Some(20),
//!     ..CandidatesRequest::default()
//! };
//! let json = serde_json::to_string(&request)?;
//! assert_eq!(json, r#"{"history":["17","4"],"k":20,"rows":false}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod candidates;
mod error;
mod event;
mod filter;
mod item;
mod manifest;
mod models;

pub use candidates::{
    BatchAnswer, BatchRequest, BatchResponse, Candidate, CandidatesRequest, CandidatesResponse,
    Ignored, ItemCounts, ItemRow, NearItem, Ranking, RowsRequest, RowsResponse, ScoreExplanation,
    Timings,
};
pub use error::{ErrorCode, Problem};
pub use event::{
    DisagreementReport, Event, EventKind, EventsRequest, EventsResponse, ForgetResponse,
    LoggedEvent,
};
pub use filter::{FilterValue, ItemFilter, PriceRange, exact_number};
pub use item::ItemId;
pub use manifest::{
    Artifact, CatalogueInfo, Counts, LanguageModelCalibration, LanguageModelInfo, MAX_POPULAR,
    Manifest, ModelConfig, ModelKind, SearchConfig, TextPart,
};
pub use models::{EngineKind, HostedModel, ModelsResponse};

/// Version of the wire format and of [`Manifest`]. Readers refuse a newer version.
pub const PROTOCOL_VERSION: u32 = 1;
