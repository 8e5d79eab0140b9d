//! What crosses the wire between the device and the cloud, and the files both read.
//!
//! Plain data with `serde` and nothing else: no I/O, no arithmetic, no policy. Every
//! JSON field is `snake_case`; what a reader does not know it ignores, so that fields
//! can be added without a new [`PROTOCOL_VERSION`].

mod candidates;
mod error;
mod event;
mod item;
mod manifest;
mod models;

pub use candidates::{
    Candidate, CandidatesRequest, CandidatesResponse, Ignored, ItemRow, Ranking, RowsRequest,
    RowsResponse, Timings,
};
pub use error::{ErrorCode, Problem};
pub use event::{DisagreementReport, Event, EventKind, EventsRequest, EventsResponse, LoggedEvent};
pub use item::ItemId;
pub use manifest::{
    Artifact, CatalogueInfo, LanguageModelCalibration, LanguageModelInfo, Manifest, ModelConfig,
    ModelKind,
};
pub use models::{EngineKind, HostedModel, ModelsResponse};

/// Version of the wire format and of [`Manifest`]; a reader refuses a newer one.
pub const PROTOCOL_VERSION: u32 = 1;
