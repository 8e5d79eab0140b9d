//! The life of the server: checks, start, reload and shutdown.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix_web::{
    rt::{System, time::sleep},
    web,
};
use tandem_generator::LoadOptions;
use tandem_protocol::ItemId;
use tandem_release_store::{ReleaseStoreError, verify_copy};
use tandem_storage::Storage;

use crate::{
    access::{AccessControl, KeyFollower},
    activations::Activations,
    background,
    config::{Args, CLIENT_SCRIPT},
    embedder::Embedder,
    event_stream::EventStream,
    events::EventLog,
    followed_store::FollowedStore,
    follower::Follower,
    generators::Generators,
    listen::{connections, listen, write_port},
    new_items::NewItems,
    recommender::Recommender,
    release_folder::{ListMaker, ModelOptions, Parts, read_source},
    reload::{access, reload_access},
    serve::{ServerHandle, serve},
    shared::{RedisUrl, try_redis},
    signals::{HangUps, Signal, Signals},
    start_error::StartError,
    state::AppState,
    storage::{EventSink, Maintenance},
    store_follower::StoreFollower,
    traces::Traces,
};

/// Time that a running generation gets to finish after the last request was answered.
const WORKER_PATIENCE: Duration = Duration::from_millis(300);
/// Time in which the last traces are sent.
const TRACES_PATIENCE: Duration = Duration::from_secs(2);
/// Time in which the storage finishes what it writes. A file of SQLite is one file after it.
const STORAGE_PATIENCE: Duration = Duration::from_secs(2);
/// Part of the time of a shutdown in which waiting requests are told that they are not served.
const REFUSAL_TIME: Duration = Duration::from_millis(500);
/// Time in which requests that were on their way arrive.
const GRACE: Duration = Duration::from_millis(100);
/// Time between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(10);
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

/// Everything that is read and checked before the server listens.
struct Prepared {
    parts: Parts,
    /// The embedding model, if there is one.
    embedder: Option<Embedder>,
    /// Folder of releases and name of the release, if the parts are from such a folder.
    release: Option<(PathBuf, String)>,
    /// The object store whose copy that folder is, if it is one.
    release_store: Option<Arc<FollowedStore>>,
    events: Option<Arc<EventLog>>,
    storage: Option<Storage>,
    event_stream: Option<Arc<EventStream>>,
    access: AccessControl,
    key_follower: Option<KeyFollower>,
}

/// Checks options, dataset, artefacts, keys, folders and language models as a start does, without
/// listening. Creates the folder and files of the event log and, as a start does, the tables of the
/// storage. Whether host and port can be used is not checked. A Redis that does not answer is a
/// warning, because a server does without it, and so is a generator.
///
/// # Errors
/// The error of the start, [`StartError::Redis`] if Redis refuses the server, and
/// [`StartError::Generator`] if a generator does.
pub fn check(args: &Args) -> Result<(), StartError> {
    if let Some(address) = args.host.parse::<IpAddr>().ok().filter(|it| !it.is_loopback()) {
        check_protection(SocketAddr::new(address, args.port), args)?;
    }
    if let Some(url) = &args.redis {
        check_redis(url)?;
    }
    let Prepared { parts, storage, .. } = prepare(args, Purpose::Check)?;
    let tried = try_models(&parts, args).and_then(|()| check_generators(args, &parts));
    if let Some(storage) = &storage {
        close(storage);
    }
    tried
}

/// A generator that does not answer or has another release is a warning: it may be about to change.
fn check_generators(args: &Args, parts: &Parts) -> Result<(), StartError> {
    if args.generator.is_empty() {
        return Ok(());
    }
    let generators = Generators::new(&args.generator, args.generator_key.as_deref());
    let faults = System::new().block_on(generators.faults(parts.catalogue.hash()));
    for (address, reason) in faults {
        if reason.is_of_options() {
            return Err(StartError::Generator { address: address.to_string(), reason });
        }
        tracing::warn!(generator = %address, %reason, "a generator cannot be used");
    }
    Ok(())
}

fn check_redis(url: &RedisUrl) -> Result<(), StartError> {
    match try_redis(url) {
        Err(reason) if reason.is_refusal() => {
            Err(StartError::Redis { address: url.to_string(), reason })
        }
        Err(error) => {
            tracing::warn!(redis = %url, %error, "Redis does not answer: a server would do without it");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Refuses an address of other machines without keys, unless the operator insists.
fn check_protection(address: SocketAddr, args: &Args) -> Result<(), StartError> {
    if address.ip().is_loopback() || has_keys(args) || args.insecure {
        Ok(())
    } else {
        Err(StartError::Unprotected { address })
    }
}

fn has_keys(args: &Args) -> bool {
    args.keys.is_some() || args.stored_keys
}

/// Loads dataset and artefacts, tries the language models in other processes, listens, loads the
/// models in the background and serves until SIGINT or SIGTERM. `reload` reads the options again
/// on SIGHUP.
///
/// A model that cannot be used is found before the server listens. Site and artefacts are served
/// while the models are loading. If a model cannot be loaded nevertheless, the server stops.
///
/// # Errors
/// [`StartFailure`] if the server cannot start or a model cannot be loaded.
pub fn run(args: &Args, reload: impl Fn() -> Option<Args>) -> Result<Shutdown, StartFailure> {
    let system = System::new();
    let hang_ups = system.block_on(async { HangUps::wait_for() }).map_err(StartError::from)?;
    let prepared = prepare(args, Purpose::Start)?;
    let Prepared { parts, embedder, release, release_store, events, storage, .. } = prepared;
    try_models(&parts, args)?;
    let mut limits = args.limits();
    limits.connections.total = connections(args.max_connections);
    let (listener, address) = listen(&args.host, args.port)?;
    check_protection(address, args)?;
    if !address.ip().is_loopback() && !has_keys(args) {
        tracing::warn!(
            %address,
            "the server accepts connections of other machines and does not authenticate clients; \
             give keys with --keys or --stored-keys"
        );
    }
    tracing::info!(
        dataset = parts.dataset.name,
        items = parts.catalogue.len(),
        artifacts = parts.artifacts.current().hash(),
        "listening on http://{address}"
    );
    let embedded = embedder.clone();
    let models =
        ModelOptions { maker: maker(args), load: load_options(args), queue: args.queue, embedder };
    let first = Arc::new(parts.start(&models)?);
    let mut state = AppState::new(Arc::clone(&first), limits);
    if maker(args) == ListMaker::Generators {
        let generators = Generators::new(&args.generator, args.generator_key.as_deref());
        state.generators = Some(Arc::new(generators));
    }
    state.site.clone_from(&args.site);
    state.client.clone_from(&args.client);
    state.api_docs = !args.no_api_docs;
    state.admin = !args.no_admin;
    let max_bytes = args.release_max_bytes();
    let activations = release.map(|(folder, name)| Activations::new(folder, name, max_bytes));
    let activations = activations.map(|it| Arc::new(it.of_store(release_store.clone())));
    state.releases.clone_from(&activations);
    let traces = args.otlp_endpoint.as_ref();
    let traces = traces.map(|endpoint| Traces::start(endpoint, args.otlp_sample)).transpose();
    state.traces = traces.map_err(StartError::from)?;
    if let Some(url) = &args.redis {
        state.share(url, args.list_sharing()).map_err(StartError::from)?;
    }
    state.events = events;
    state.storage = storage;
    state.store_events = args.store_events;
    state.event_stream = prepared.event_stream;
    state.key_follower = prepared.key_follower;
    read_stored(&mut state, &first)?;
    let maintenance = state.storage.clone().map(|it| Maintenance::start(it, args.retention()));
    let maintenance = maintenance.transpose().map_err(StartError::from)?;
    state.set_access(prepared.access);
    let state = web::Data::new(state);
    let store_follower = release_store.zip(activations.clone());
    let store_follower = store_follower
        .map(|(store, it)| StoreFollower::start(store, it, state.clone().into_inner()))
        .transpose()
        .map_err(StartError::from)?;
    let follower = activations
        .map(|activations| Follower::start(activations, state.clone().into_inner(), models))
        .transpose()
        .map_err(StartError::from)?;
    // Generators read new items themselves.
    let read = state.storage.clone().filter(|_| state.generators.is_none());
    let new_items =
        read.map(|storage| NewItems::start(state.clone().into_inner(), storage, embedded));
    let new_items = new_items.transpose().map_err(StartError::from)?;
    let serving = serve_until_stopped(args, (reload, hang_ups), listener, &state, first);
    let outcome = system.block_on(serving);
    if let Some(traces) = &state.traces {
        traces.stop(TRACES_PATIENCE);
    }
    if let Some(maintenance) = maintenance {
        maintenance.stop();
    }
    if let Some(follower) = &store_follower {
        follower.end_download();
    }
    let followed = follower.is_none_or(|follower| follower.stop(WORKER_PATIENCE));
    if let Some(follower) = store_follower {
        follower.stop(WORKER_PATIENCE);
    }
    let embedded = new_items.is_none_or(|new_items| new_items.stop(WORKER_PATIENCE));
    let shutdown = if state.recommender().models.stop(WORKER_PATIENCE) && followed && embedded {
        Shutdown::Complete
    } else {
        Shutdown::GenerationRunning
    };
    if let Some(storage) = &state.storage {
        close(storage);
    }
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(shutdown)
        }
        Err(error) => Err(StartFailure { error, shutdown }),
    }
}

/// Reads the items of the storage and counts the stored events.
fn read_stored(state: &mut AppState, first: &Recommender) -> Result<(), StartError> {
    if let Some(storage) = &state.storage {
        // Before the first list, so that none has an item that must not be recommended, and before
        // events are counted, so that those of items beside the catalogue are, too.
        storage.block_on(state.items.refresh(storage))?;
    }
    if let Some(sink) = state.event_sink() {
        let mut counted = None;
        sink.replay(&state.live_counts, first, &state.items, &mut counted)?;
        state.live_counts.begin(counted);
    }
    if let Some(EventSink::Files(log)) = state.event_sink() {
        let replay = |_: &str, item: &ItemId, at| state.trends.replay(&state.items, item, at);
        log.for_each_interaction(replay)?;
    }
    Ok(())
}

/// Closes the storage, unless a long change keeps it open: then it ends with the process, and the
/// database takes back what was not committed.
fn close(storage: &Storage) {
    // Within the future: a timer belongs to the runtime that it is made on.
    let closing = async { tokio::time::timeout(STORAGE_PATIENCE, storage.close()).await };
    if storage.block_on(closing).is_err() {
        tracing::info!(
            "a change of the storage was not finished; what was not committed is not stored"
        );
    }
}

async fn serve_until_stopped(
    args: &Args,
    (reload, hang_ups): (impl Fn() -> Option<Args>, HangUps),
    listener: TcpListener,
    state: &web::Data<AppState>,
    first: Arc<Recommender>,
) -> Result<(), StartError> {
    let port = listener.local_addr()?.port();
    let mut signals = Signals::listen(hang_ups)?;
    let server = serve(listener, state.clone())?;
    let handle = server.handle();
    let mut serving = actix_web::rt::spawn(server.run());
    background::start(state);
    if let Some(path) = &args.port_file {
        write_port(path, port)?;
    }
    let failure = load_failure(first);
    tokio::pin!(failure);
    loop {
        tokio::select! {
            ended = &mut serving => {
                ended.map_err(io::Error::other)??;
                return Ok(());
            }
            reason = &mut failure => {
                handle.stop(None).await;
                return Err(StartError::Model(reason));
            }
            signal = signals.next() => match signal {
                Signal::Stop => {
                    background::tell_systemd(&[sd_notify::NotifyState::Stopping]);
                    tokio::select! {
                        () = drain(state, &handle, args.shutdown_timeout) => {}
                        // A second signal ends the wait.
                        () = signals.stop() => handle.stop(None).await,
                    }
                    return Ok(());
                }
                Signal::Reload => {
                    if let Some(new) = reload() {
                        reload_access(args, &new, state);
                    } else {
                        tracing::error!("the configuration is not used; the old one stays");
                    }
                }
            },
        }
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

/// Stops the server: it is not ready any more, answers the waiting requests, tells those that
/// cannot be answered in time, and closes its connections.
async fn drain(state: &web::Data<AppState>, handle: &ServerHandle, time: Duration) {
    let end = Instant::now() + time;
    let waiting = state.in_flight();
    tracing::info!(waiting, seconds = time.as_secs(), "stopping");
    state.drain();
    // Requests that have been sent are read and answered, too.
    sleep(GRACE).await;
    wait_while(end.checked_sub(REFUSAL_TIME), || state.in_flight() > 0).await;
    if state.in_flight() > 0 {
        state.refuse();
        wait_while(Some(end), || state.in_flight() > 0).await;
    }
    handle.stop(Some(end)).await;
}

async fn wait_while(end: Option<Instant>, condition: impl Fn() -> bool) {
    while condition() && end.is_some_and(|end| Instant::now() < end) {
        sleep(POLL).await;
    }
}

/// What options and files are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Start,
    /// Perhaps beside a server that runs with them.
    Check,
}

fn prepare(args: &Args, purpose: Purpose) -> Result<Prepared, StartError> {
    let source = args.source()?;
    let patience = Duration::from_secs(args.storage_wait);
    let release_store = args.release_store();
    let release_store =
        release_store.map(|(url, folder)| FollowedStore::open(url, folder, patience).map(Arc::new));
    let release_store = match release_store.transpose() {
        // The server's folder has what it uses.
        Err(ReleaseStoreError::InUse { path }) if purpose == Purpose::Check => {
            verify_copy(&path)?;
            None
        }
        opened => opened?,
    };
    let (parts, release) = read_source(&source, maker(args))?;
    let embedder =
        args.embedder.as_deref().map(|path| Embedder::open(path, embedder_threads(args)));
    let embedder = embedder.transpose()?;
    parts.check_embedder(embedder.as_ref())?;
    if let Some(site) = &args.site {
        check_site(site)?;
    }
    if let Some(client) = &args.client {
        check_client(client)?;
    }
    let events = args.events.as_deref();
    let events =
        events.map(|folder| EventLog::open(folder, args.events_max_bytes())).transpose()?;
    let storage = args.storage.as_ref().map(|it| Storage::open_within(it, patience)).transpose()?;
    let event_stream = args.event_stream.as_ref();
    let event_stream =
        event_stream.map(|it| EventStream::open(it, patience).map(Arc::new)).transpose()?;
    let (access, key_follower) = access(args, storage.as_ref())?;
    let events = events.map(Arc::new);
    Ok(Prepared {
        parts,
        embedder,
        release,
        release_store,
        events,
        storage,
        event_stream,
        access,
        key_follower,
    })
}

fn maker(args: &Args) -> ListMaker {
    if args.generator.is_empty() { ListMaker::ThisServer } else { ListMaker::Generators }
}

fn try_models(parts: &Parts, args: &Args) -> Result<(), StartError> {
    let wait = |time| {
        thread::sleep(time);
        true
    };
    parts.try_models(&load_options(args), &wait).map(drop)
}

/// Half of the threads of a language model: lists do not wait for new items.
fn embedder_threads(args: &Args) -> usize {
    (load_options(args).threads / 2).max(1)
}

fn load_options(args: &Args) -> LoadOptions {
    let mut options = LoadOptions { mapped: !args.no_mmap, ..LoadOptions::default() };
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    if args.index_from > 0 {
        options.index_from = args.index_from;
    }
    options
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
