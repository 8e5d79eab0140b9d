use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::Server, rt::System, web};
use tandem_dataset::{Dataset, DatasetError, files::FileDraft};
use tandem_generator::LoadOptions;

use crate::{
    AppState, Args, ArtifactError, ArtifactStore, DatasetInfo, EventLog, Limits, Models,
    ModelsError, create_app, models::check_names,
};

/// How long open requests may go on once the server is told to stop, in seconds.
const GRACE_S: u64 = 1;
/// How long a generation under way may take to end after that.
const WORKER_PATIENCE: Duration = Duration::from_millis(300);
/// Threads that speak HTTP: they only parse, look up and wait for the language model.
const MOST_HTTP_THREADS: usize = 4;

/// How [`run`] ended, for the caller to leave the process in the right way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every thread of the server has ended.
    Cleanly,
    /// The language model's thread still computes and cannot be interrupted: leave
    /// without running destructors of C++ statics under it.
    MidGeneration,
}

/// Why the server did not start, as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The dataset folder cannot be read.
    #[error("the dataset cannot be used: {0}")]
    Dataset(#[from] DatasetError),
    /// The artefacts cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The GGUF file cannot be opened.
    #[error("cannot read the language model {}: {source}; give a GGUF file with --gguf", path.display())]
    ModelUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin as a GGUF file does.
    #[error("{} is not a GGUF file: expected it to begin with `GGUF`; give a GGUF file with --gguf", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
    },
    /// The language models cannot be told apart.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// The language model could not be loaded.
    #[error("the language model cannot be used: {0}")]
    Model(String),
    /// The site's folder has no `index.html`.
    #[error("{} has no index.html: expected the folder of a built site; give it with --site or leave --site out", path.display())]
    Site {
        /// The folder.
        path: PathBuf,
    },
    /// The folder for the log of events cannot be made.
    #[error("cannot log events to {}: {source}; give a folder that can be written with --events", path.display())]
    Events {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The port belongs to another program.
    #[error(
        "port {port} of {host} is taken; choose another with --port, or stop the program that listens there"
    )]
    PortTaken {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {host}, port {port}: {source}")]
    Listen {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The port file cannot be written.
    #[error("cannot write the port file {}: {source}", path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or a socket was refused by the system.
    #[error("the server failed: {0}")]
    System(#[from] io::Error),
}

/// A [`StartError`] and whether a thread still computes.
#[derive(Debug)]
pub struct StartFailure {
    /// The reason.
    pub error: StartError,
    /// How to leave.
    pub stopped: Stopped,
}

impl From<StartError> for StartFailure {
    fn from(error: StartError) -> Self {
        Self { error, stopped: Stopped::Cleanly }
    }
}

/// Reads everything, listens, loads the language models in the background and serves until
/// SIGINT or SIGTERM.
///
/// What is cheap to check is checked before the port is taken. The site is served while
/// the models are being loaded; if one fails, the server stops with the reason.
pub fn run(args: &Args) -> Result<Stopped, StartFailure> {
    let Dataset { name, catalogue, notice, .. } =
        Dataset::load(&args.data).map_err(StartError::from)?;
    let catalogue = Arc::new(catalogue);
    let artifacts =
        ArtifactStore::open(&args.artifacts, Arc::clone(&catalogue)).map_err(StartError::from)?;
    check_names(args.gguf.iter().map(|model| model.name.as_str())).map_err(StartError::from)?;
    args.gguf.iter().try_for_each(|model| check_gguf(&model.path))?;
    if let Some(site) = &args.site {
        check_site(site)?;
    }
    let events = args.events.as_deref().map(open_log).transpose()?;
    let (listener, address) = listen(&args.host, args.port)?;
    tracing::info!(
        dataset = name,
        items = catalogue.len(),
        artifacts = artifacts.current().hash(),
        "listening on http://{address}"
    );

    let models = Models::start(&args.gguf, &catalogue, &load_options(args), args.queue)
        .map_err(StartError::from)?;
    let state = web::Data::new(AppState {
        catalogue,
        dataset: DatasetInfo { name, notice },
        artifacts,
        models,
        limits: Limits { timeout: args.timeout, ..Limits::default() },
        site: args.site.clone(),
        events,
        allowed_origins: args.allow_origin.clone(),
    });

    let outcome = System::new().block_on(async {
        let server = serve(listener, state.clone())?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        // Lets the server begin: whoever waits for the port file may connect, and may send
        // signals, as soon as it is there.
        actix_web::rt::task::yield_now().await;
        if let Some(path) = &args.port_file {
            write_port(path, address.port())?;
        }
        tokio::select! {
            ended = serving => {
                ended.map_err(io::Error::other)??;
                Ok(())
            }
            reason = state.models.failure() => {
                handle.stop(false).await;
                Err(StartError::Model(reason))
            }
        }
    });
    let stopped =
        if state.models.stop(WORKER_PATIENCE) { Stopped::Cleanly } else { Stopped::MidGeneration };
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(stopped)
        }
        Err(error) => Err(StartFailure { error, stopped }),
    }
}

/// The HTTP server on an open listener; it runs once it is awaited, and stops at SIGINT
/// (at once) and SIGTERM (after the requests under way, at most a second).
pub fn serve(listener: TcpListener, state: web::Data<AppState>) -> io::Result<Server> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let server = HttpServer::new(move || create_app(state.clone()))
        .workers(threads.min(MOST_HTTP_THREADS))
        .shutdown_timeout(GRACE_S)
        // A client that closes has gone: its request is dropped, and with it its job.
        .h1_allow_half_closed(false)
        .listen(listener)?;
    Ok(server.run())
}

fn load_options(args: &Args) -> LoadOptions {
    let mut options = LoadOptions::default();
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    options
}

fn open_log(folder: &Path) -> Result<Arc<EventLog>, StartError> {
    let opened = EventLog::open(folder);
    opened.map(Arc::new).map_err(|source| StartError::Events { path: folder.to_owned(), source })
}

fn check_gguf(path: &Path) -> Result<(), StartError> {
    let unreadable = |source| StartError::ModelUnreadable { path: path.to_owned(), source };
    let mut magic = [0; 4];
    let mut file = fs::File::open(path).map_err(unreadable)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *b"GGUF" => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unreadable(error)),
        _ => Err(StartError::NotGguf { path: path.to_owned() }),
    }
}

fn check_site(path: &Path) -> Result<(), StartError> {
    if path.join("index.html").is_file() {
        Ok(())
    } else {
        Err(StartError::Site { path: path.to_owned() })
    }
}

fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let opened = TcpListener::bind((host, port)).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { host: host.to_owned(), port },
        _ => StartError::Listen { host: host.to_owned(), port, source },
    })
}

/// Writes the port in one step: a reader never sees half a number.
fn write_port(path: &Path, port: u16) -> Result<(), StartError> {
    let write = || {
        let mut draft = FileDraft::new(path)?;
        writeln!(draft, "{port}")?;
        draft.publish()
    };
    write().map_err(|source| StartError::PortFile { path: path.to_owned(), source })
}
