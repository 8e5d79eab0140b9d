use std::{io, net::SocketAddr, path::PathBuf};

use tandem_dataset::DatasetError;
use tandem_generator::GeneratorError;
use tandem_release_store::ReleaseStoreError;
use tandem_storage::{Location, StorageError};

use crate::storage::ReplayError;
use crate::{
    access::KeyFileError,
    artifacts::ArtifactError,
    config::{CLIENT_SCRIPT, OptionsError},
    embedder::EmbedderError,
    event_stream::EventStreamError,
    events::EventLogError,
    generators::GeneratorFault,
    models::ModelsError,
    shared::RedisFailure,
    trial::TrialError,
};

/// Why the server did not start, as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The dataset folder cannot be read.
    #[error("cannot use the dataset: {0}")]
    Dataset(#[from] DatasetError),
    /// The folder of `--release` is not one of releases.
    #[error(
        "the folder {} of --release {found}; give the folder that `tandem quickstart --out` made", path.display()
    )]
    NoReleases {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        found: &'static str,
    },
    /// The object store of `--release` has no release to start with.
    #[error("{0}; see --release")]
    ReleaseStore(Box<ReleaseStoreError>),
    /// The artefacts cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The GGUF file cannot be opened.
    #[error("cannot read the language model {}: {source}; give a GGUF file with --gguf", path.display())]
    ModelUnreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file does not start with the magic bytes of GGUF.
    #[error("{} is not a GGUF file: expected the magic bytes `GGUF`; give a GGUF file with --gguf", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
    },
    /// The language models cannot be served together.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// A language model did not pass its trial.
    #[error("cannot use the language model: {0}")]
    Trial(#[from] TrialError),
    /// A language model could not be loaded.
    #[error("cannot use the language model: {0}")]
    Model(String),
    /// The ranking signals cannot be used.
    #[error("cannot use the ranking signals: {0}")]
    Signals(#[from] GeneratorError),
    /// The embedding model cannot be used.
    #[error(transparent)]
    Embedder(#[from] EmbedderError),
    /// The site's folder has no `index.html`.
    #[error("{} has no index.html: expected the folder of a built site; build the site or omit --site", path.display())]
    Site {
        /// The folder.
        path: PathBuf,
    },
    /// The package's folder has no script for pages without a bundler.
    #[error("{} has no {CLIENT_SCRIPT}: expected the folder of the built npm package; build it with `cargo xtask wasm` and `npm run build`, or omit --client", path.display())]
    Client {
        /// The folder.
        path: PathBuf,
    },
    /// The options name no source of the catalogue and the models, or two.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The event log cannot be written.
    #[error("cannot log events: {0}; give a writable folder with --events")]
    Events(#[from] EventLogError),
    /// The event stream cannot be used.
    #[error("{0}; see --event-stream")]
    EventStream(Box<EventStreamError>),
    /// The storage cannot be used.
    #[error("{0}; see --storage")]
    Storage(#[from] StorageError),
    /// Redis refuses the server. Found by `--check` only: a server does without Redis.
    #[error("cannot use Redis at {address}: {reason}; see --redis")]
    Redis {
        /// The address, without user and password.
        address: String,
        /// What it refuses.
        reason: RedisFailure,
    },
    /// A generator cannot be used until an option is changed. Found by `--check` only: generators
    /// may come later.
    #[error("cannot use the generator {address}: {reason}; see --generator")]
    Generator {
        /// Its address.
        address: String,
        /// What is wrong.
        reason: GeneratorFault,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// There are no keys in the database of `--stored-keys`.
    #[error(
        "the storage {location} has no keys that this server can use; make one with `cloud-server keys new --storage`; see --stored-keys"
    )]
    NoStoredKeys {
        /// The database.
        location: Location,
    },
    /// Other machines could call a server without keys.
    #[error(
        "{address} can be reached by other machines and there are no keys; make keys with `cloud-server keys new` and give them with --keys or --stored-keys, or let anyone in with --insecure"
    )]
    Unprotected {
        /// The address.
        address: SocketAddr,
    },
    /// Another program uses the port.
    #[error(
        "port {port} of {host} is in use; choose another port with --port or stop the other program"
    )]
    PortInUse {
        /// The requested address.
        host: String,
        /// The requested port.
        port: u16,
    },
    /// The server cannot listen on the address for another reason.
    #[error(
        "cannot listen on {host}, port {port}: {source}; choose another address with --host and --port"
    )]
    Listen {
        /// The requested address.
        host: String,
        /// The requested port.
        port: u16,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The port file cannot be written.
    #[error("cannot write the port file {}: {source}; give a writable path with --port-file", path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system refused a thread or a socket.
    #[error("the server failed: {0}")]
    System(#[from] io::Error),
}

impl From<ReleaseStoreError> for StartError {
    fn from(error: ReleaseStoreError) -> Self {
        Self::ReleaseStore(Box::new(error))
    }
}

impl From<EventStreamError> for StartError {
    fn from(error: EventStreamError) -> Self {
        Self::EventStream(Box::new(error))
    }
}

impl From<ReplayError> for StartError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Files(error) => Self::Events(error),
            ReplayError::Storage(error) => Self::Storage(error),
        }
    }
}
