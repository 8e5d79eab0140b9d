//! The cloud's side of Tandem: an HTTP server that hosts GGUF language models and hands out
//! candidate lists, item rows, the artefacts a device loads, and a static site.
//!
//! [`create_app`] is the whole HTTP surface, used by [`run`] and by the tests alike.
//! JSON is parsed to plain types at the edge; the threads that own a language model each
//! ([`Worker`]) know no HTTP, and no handler knows llama.cpp.
//!
//! # The way of a request
//! `POST /v1/candidates` → size, media type and shape are checked (`body`) → ids become
//! positions in the catalogue, repeats and strangers are counted (`selection`) → a place
//! in the bounded queue of the model asked for (`models`), or 503 at once → the worker skips
//! it if nobody waits any more, else decodes, together with what else waits if the engine
//! gains by it → rows of the item table are added → JSON.
//!
//! # Out of scope
//! Who the visitor is, TLS, and quotas per client: that is the reverse proxy's and the
//! shop's business. Unless its operator asks for a log
//! of events (`events`), the server keeps nothing about visitors, on disk or in memory.

mod artifacts;
mod body;
mod config;
mod error;
mod events;
mod models;
mod observe;
mod routes;
mod selection;
mod server;
mod worker;

pub use artifacts::{ArtifactError, ArtifactStore, Release};
pub use config::{Args, Limits, Origin};
pub use error::ApiError;
pub use events::{EventLog, LogError};
pub use models::{Hosted, ModelFile, Models, ModelsError};
pub use routes::{AppState, DatasetInfo, create_app};
pub use server::{StartError, StartFailure, Stopped, run, serve};
pub use worker::{Answer, Engine, Job, Readiness, Worker, WorkerError};
