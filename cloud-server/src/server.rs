use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::Server, rt::System, web};
use tandem_dataset::files::FileDraft;
use tandem_generator::LoadOptions;

use crate::{
    config::{Args, CLIENT_SCRIPT, Limits},
    events::EventLog,
    release_folder::{Follower, ModelOptions, Source},
    routes::create_app,
    start_error::StartError,
    state::{AppState, CurrentRecommender, Recommender},
};

/// Seconds that open requests get to finish after a signal to stop.
const SHUTDOWN_S: u64 = 1;
/// Time that a running generation gets to finish after that.
const WORKER_PATIENCE: Duration = Duration::from_millis(300);
/// Maximum number of HTTP threads. They only parse, look up and wait for the language models.
const MAX_HTTP_THREADS: usize = 4;
/// Connections that may wait to be accepted (`listen` backlog); the system may limit it.
const BACKLOG: i32 = 1024;

/// How [`run`] ended. It decides how the caller has to end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Every thread of the server has ended.
    Complete,
    /// A language model's thread is still decoding and cannot be interrupted: end the process
    /// without running the destructors of C++ statics that the thread uses.
    GenerationRunning,
}

/// A [`StartError`] and how to end the process.
#[derive(Debug)]
pub struct StartFailure {
    /// The reason.
    pub error: StartError,
    /// How to end the process.
    pub shutdown: Shutdown,
}

impl From<StartError> for StartFailure {
    fn from(error: StartError) -> Self {
        Self { error, shutdown: Shutdown::Complete }
    }
}

/// Loads dataset and artefacts, listens, loads the language models in the background and
/// serves until SIGINT or SIGTERM.
///
/// Everything that is cheap to check is checked before the server listens. Site and artefacts
/// are served while the models are loading. If a model cannot be loaded, the server stops.
///
/// # Errors
/// [`StartFailure`] if the server cannot start or a model cannot be loaded.
pub fn run(args: &Args) -> Result<Shutdown, StartFailure> {
    let (parts, release) = Source::of(args)?.read()?;
    if let Some(site) = &args.site {
        check_site(site)?;
    }
    if let Some(client) = &args.client {
        check_client(client)?;
    }
    let events = args.events.as_deref().map(open_event_log).transpose()?;
    let (listener, address) = listen(&args.host, args.port)?;
    tracing::info!(
        dataset = parts.dataset.name,
        items = parts.catalogue.len(),
        artifacts = parts.artifacts.current().hash(),
        "listening on http://{address}"
    );
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "the server accepts connections of other machines and does not authenticate clients; \
             put a reverse proxy or a firewall in front of it"
        );
    }

    let models = ModelOptions { load: load_options(args), queue: args.queue };
    let first = Arc::new(parts.start(&models)?);
    let state = web::Data::new(AppState {
        recommender: CurrentRecommender::new(Arc::clone(&first)),
        limits: Limits { timeout: args.timeout, ..Limits::default() },
        site: args.site.clone(),
        client: args.client.clone(),
        events,
        allowed_origins: args.allow_origin.clone(),
    });

    let follower = release
        .map(|(folder, name)| Follower::start(folder, name, state.clone().into_inner(), models))
        .transpose()
        .map_err(StartError::from)?;
    let served = state.clone();
    let outcome = System::new().block_on(async move {
        let server = serve(listener, served)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        // Lets the server start before the port file is written: programs that wait for the
        // file may connect and send signals as soon as it exists.
        actix_web::rt::task::yield_now().await;
        if let Some(path) = &args.port_file {
            write_port(path, address.port())?;
        }
        tokio::select! {
            ended = serving => {
                ended.map_err(io::Error::other)??;
                Ok(())
            }
            reason = load_failure(first) => {
                handle.stop(false).await;
                Err(StartError::Model(reason))
            }
        }
    });
    let followed = follower.is_none_or(|follower| follower.stop(WORKER_PATIENCE));
    let shutdown = if state.recommender().models.stop(WORKER_PATIENCE) && followed {
        Shutdown::Complete
    } else {
        Shutdown::GenerationRunning
    };
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(shutdown)
        }
        Err(error) => Err(StartFailure { error, shutdown }),
    }
}

/// Waits until a model of the first recommender has failed to load and returns the reason; never
/// returns if all succeed. Holds the recommender only while it loads.
async fn load_failure(first: Arc<Recommender>) -> String {
    let failed = tokio::select! {
        reason = first.models.failure() => Some(reason),
        () = first.models.ready() => None,
    };
    drop(first);
    match failed {
        Some(reason) => reason,
        None => std::future::pending().await,
    }
}

/// Creates the HTTP server on an open listener. It runs when it is awaited. It stops
/// immediately on SIGINT, and on SIGTERM after the open requests, at most after a second.
///
/// # Errors
/// If the system refuses the listener or a thread.
pub fn serve(listener: TcpListener, state: web::Data<AppState>) -> io::Result<Server> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let server = HttpServer::new(move || create_app(state.clone()))
        .workers(threads.min(MAX_HTTP_THREADS))
        .shutdown_timeout(SHUTDOWN_S)
        // When a client closes its connection, its request and its job are dropped.
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

fn open_event_log(folder: &Path) -> Result<Arc<EventLog>, StartError> {
    let opened = EventLog::open(folder);
    opened.map(Arc::new).map_err(|source| StartError::Events { path: folder.to_owned(), source })
}

fn check_site(path: &Path) -> Result<(), StartError> {
    if path.join("index.html").is_file() {
        Ok(())
    } else {
        Err(StartError::Site { path: path.to_owned() })
    }
}

fn check_client(path: &Path) -> Result<(), StartError> {
    if path.join(CLIENT_SCRIPT).is_file() {
        Ok(())
    } else {
        Err(StartError::Client { path: path.to_owned() })
    }
}

fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let opened = TcpListener::bind((host, port)).and_then(|listener| {
        // The standard library listens with a backlog of 128; a second `listen` replaces it.
        socket2::SockRef::from(&listener).listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { host: host.to_owned(), port },
        _ => StartError::Listen { host: host.to_owned(), port, source },
    })
}

/// Writes the port file atomically, so that a reader never sees a partial number.
fn write_port(path: &Path, port: u16) -> Result<(), StartError> {
    let write = || {
        let mut draft = FileDraft::new(path)?;
        writeln!(draft, "{port}")?;
        draft.publish()
    };
    write().map_err(|source| StartError::PortFile { path: path.to_owned(), source })
}
