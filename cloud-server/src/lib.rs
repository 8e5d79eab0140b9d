//! The cloud part of Tandem: an HTTP server that runs GGUF language models and serves
//! candidate lists, item rows, the artefacts that devices load, and a static site.
//!
//! [`create_app`] builds all routes; both [`run`] and the tests use it. JSON is parsed to
//! plain types at the HTTP edge. Each language model has its own thread ([`Worker`]), which
//! knows no HTTP; no request handler knows llama.cpp.
//!
//! # Example trace of a request
//! `POST /v1/candidates` → `connection` watches the time of head, body and response → `authorize`
//! finds key, client and rates → `body` checks media type, size and shape → `item_ids` translates
//! ids to catalogue positions and counts repeated and unknown ids → `models` finds the
//! language model → `worker` queues the job, or the client gets 503 at once → the worker
//! thread skips jobs without a waiting client and decodes the rest, in batches if the engine
//! supports it → the item rows are added → JSON.
//!
//! # What the server parses and stores
//! Of the artefacts the server reads the manifest and the item rows, which it serves one by
//! one; weights and cells are opaque files to it. On disk it stores nothing about visitors
//! unless the operator enables the event log (`events`) or stores events in the database (`storage`). In memory, the prefix caches of the
//! language models contain the most recent histories, without any reference to their
//! visitors, until newer histories replace them or the server stops.
//!
//! # Releases
//! With a folder of releases, one thread (`follower`) loads and switches.
//! Handlers ask it through [`Activations`]; `releases` reads, adds and removes files of the folder.
//!
//! # Out of scope
//! Authentication of visitors and TLS are left to the shop and the reverse proxy. Keys, rates and
//! limits of connections are here (`access`, `connection`).

mod access;
mod activations;
mod artifacts;
mod authorize;
mod background;
mod body;
mod body_budget;
mod candidate_stats;
mod client;
mod clock;
mod config;
mod connection;
mod consume;
mod content_tags;
mod embedded_texts;
mod embedder;
mod error;
mod error_table;
mod event_stream;
mod events;
mod files;
mod followed_store;
mod follower;
mod generators;
mod item_ids;
mod listen;
mod live_counts;
mod live_items;
mod log_fields;
mod log_lines;
mod log_writer;
mod messages;
mod metrics;
mod models;
mod new_items;
mod origin;
mod popularity;
mod priority;
mod problem_json;

mod query;
mod recent;
mod recommender;
mod release_folder;
mod releases;
mod reload;
mod request_id;
mod request_log;
mod routes;
mod secrets;
mod serve;
mod server;
mod shared;
mod shown_items;
mod signals;
mod similar;
mod start_error;
mod state;
mod storage;
mod store_follower;
mod traces;
mod trends;
mod trial;
mod worker;

pub use access::{
    AccessControl, Key, KeyFileError, KeyKind, KeySet, KeysCommand, KeysError, Rates,
};
pub use activations::Activations;
pub use artifacts::{ArtifactError, ArtifactStore, Release};
pub use client::{Client, TrustedProxies};
pub use config::{
    Args, ConfigError, Limits, LogFormat, OptionsError, ReleasePlace, UnknownVariable,
};
pub use connection::ConnectionLimits;
pub use consume::{ConsumeCommand, ConsumeError};
pub use embedder::EmbedderError;
pub use error::ApiError;
pub use event_stream::{EventStream, EventStreamError, EventStreamUrl, EventStreamUrlError};
pub use events::{EventLog, EventLogError};
pub use generators::{GeneratorFault, GeneratorUrl, GeneratorUrlError, Generators};
pub use log_writer::LogWriter;
pub use models::{ModelFile, ModelFileError, Models, ModelsError, ServedModel};
pub use origin::{Origin, OriginError};
pub use recommender::{CurrentRecommender, DatasetInfo, Recommender};
pub use releases::ReleasesCommand;
pub use routes::create_app;
pub use serve::{Server, ServerHandle, serve};
pub use server::{Shutdown, StartFailure, check, run};
pub use shared::{ListSharing, RedisFailure, RedisUrl, RedisUrlError};
pub use start_error::StartError;
pub use state::AppState;
pub use storage::{StorageCommand, StorageCommandError};
pub use traces::{EndpointError, OtlpEndpoint, Traces};
pub use trial::{TrialCommand, TrialError, TrialFailure};
pub use worker::{GeneratorFactory, Job, JobOutput, Readiness, Worker, WorkerError};
