//! The cloud part of Tandem: an HTTP server that runs GGUF language models and serves
//! candidate lists, item rows, the artefacts that devices load, and a static site.
//!
//! [`create_app`] builds all routes; both [`run`] and the tests use it. JSON is parsed to
//! plain types at the HTTP edge. Each language model has its own thread ([`Worker`]), which
//! knows no HTTP; no request handler knows llama.cpp.
//!
//! # Example trace of a request
//! `POST /v1/candidates` → `body` checks media type, size and shape → `item_ids` translates
//! ids to catalogue positions and counts repeated and unknown ids → `models` finds the
//! language model → `worker` queues the job, or the client gets 503 at once → the worker
//! thread skips jobs without a waiting client and decodes the rest, in batches if the engine
//! supports it → the item rows are added → JSON.
//!
//! # What the server parses and stores
//! Of the artefacts the server reads the manifest and the item rows, which it serves one by
//! one; weights and cells are opaque files to it. On disk it stores nothing about visitors
//! unless the operator enables the event log (`events`). In memory, the prefix caches of the
//! language models contain the most recent histories, without any reference to their
//! visitors, until newer histories replace them or the server stops.
//!
//! # Out of scope
//! Authentication of visitors, TLS and quotas per client are left to the reverse proxy and
//! the shop.

mod artifacts;
mod body;
mod config;
mod error;
mod events;
mod item_ids;
mod log_writer;
mod models;
mod problem_json;
mod release_folder;
mod request_log;
mod routes;
mod server;
mod start_error;
mod state;
mod worker;

pub use artifacts::{ArtifactError, ArtifactStore, Release};
pub use config::{Args, Limits, Origin, OriginError};
pub use error::ApiError;
pub use events::{EventLog, EventLogError};
pub use log_writer::LogWriter;
pub use models::{ModelFile, ModelFileError, Models, ModelsError, ServedModel};
pub use routes::create_app;
pub use server::{Shutdown, StartFailure, run, serve};
pub use start_error::StartError;
pub use state::{AppState, CurrentRecommender, DatasetInfo, Recommender};
pub use worker::{GeneratorFactory, Job, JobOutput, Readiness, Worker, WorkerError};
