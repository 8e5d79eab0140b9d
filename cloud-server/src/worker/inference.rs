use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use tandem_generator::{Generation, Generator, GeneratorError, Model, Query};
use tandem_protocol::{EngineKind, LanguageModelInfo};
use tokio::sync::watch;

use super::{
    job::{JobOutput, QueuedJob, WorkerError},
    queue::JobQueue,
    queue_stats::QueueStats,
};

/// A loaded language model, from which the worker thread creates its generators.
///
/// It lives on the worker thread from loading to shutdown and need not be `Send`.
pub trait GeneratorFactory {
    /// Name and hash of the model.
    fn info(&self) -> &LanguageModelInfo;
    /// How the model's vocabulary represents items.
    fn kind(&self) -> EngineKind;
    /// Creates a generator: at the start, and again after a panic.
    ///
    /// # Errors
    /// If the generator's context cannot be created, for example because of too little memory.
    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError>;
}

impl GeneratorFactory for Model {
    fn info(&self) -> &LanguageModelInfo {
        Model::info(self)
    }

    fn kind(&self) -> EngineKind {
        Model::kind(self)
    }

    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        Model::generator(self)
    }
}

/// The state of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The model is loading.
    Loading,
    /// Jobs are accepted.
    Ready {
        /// Name and hash of the model.
        info: LanguageModelInfo,
        /// How the model's vocabulary represents items.
        kind: EngineKind,
    },
    /// Loading failed for the given reason. This is final.
    Failed(String),
}

/// The body of the worker thread: loads the model, then does jobs until the queue is closed.
pub(super) fn run<F: GeneratorFactory>(
    load: impl FnOnce() -> Result<F, GeneratorError>,
    jobs: &JobQueue,
    ready: &watch::Sender<Readiness>,
    stats: &QueueStats,
) {
    let started = Instant::now();
    let factory = match catch_panic(load) {
        Ok(Ok(factory)) => factory,
        Ok(Err(error)) => {
            ready.send_replace(Readiness::Failed(error.to_string()));
            return;
        }
        Err(GeneratorPanic) => {
            ready.send_replace(Readiness::Failed(
                "loading the language model panicked; the log has the message".to_owned(),
            ));
            return;
        }
    };
    // Creating the first generator here makes too little memory a failure to start instead of
    // a failure of the first request.
    let first = match catch_panic(|| factory.generator()) {
        Ok(Ok(generator)) => generator,
        Ok(Err(error)) => {
            ready.send_replace(Readiness::Failed(error.to_string()));
            return;
        }
        Err(GeneratorPanic) => {
            ready.send_replace(Readiness::Failed(
                "creating the language model's context panicked; the log has the message"
                    .to_owned(),
            ));
            return;
        }
    };
    let (info, kind) = (factory.info().clone(), factory.kind());
    tracing::info!(
        model = info.name,
        ms = started.elapsed().as_millis() as u64,
        "the language model is ready"
    );
    ready.send_replace(Readiness::Ready { info, kind });
    do_jobs(&factory, first, jobs, stats);
}

/// Does jobs until the queue is closed.
fn do_jobs<'f>(
    factory: &'f dyn GeneratorFactory,
    first: Box<dyn Generator + 'f>,
    jobs: &JobQueue,
    stats: &QueueStats,
) {
    let max_batch = first.max_batch().max(1);
    let mut generator = Some(first);
    while let Some(mut batch) = jobs.take(|waiting| batch_size(waiting, max_batch)) {
        let started = Instant::now();
        batch.retain(|queued| !queued.reply.is_closed() && started < queued.deadline);
        if batch.is_empty() {
            tracing::debug!("skipped jobs whose clients are gone or whose deadlines have passed");
            continue;
        }
        let size = batch.len();
        let results = generate(factory, &mut generator, &batch);
        stats.record(started.elapsed() / u32::try_from(batch.len()).unwrap_or(u32::MAX));
        for (QueuedJob { queued, reply, .. }, result) in batch.into_iter().zip(results) {
            let queue_ms = (started - queued).as_secs_f64() * 1e3;
            // Fails if the client has gone, which needs no handling.
            let output = result.map(|generation| JobOutput { generation, queue_ms, batch: size });
            let _ = reply.send(output);
        }
    }
}

/// Number of waiting jobs to decode together: half of them. While these are decoded, the clients
/// of the previous batch read their lists and send new requests; with all of them in one batch the
/// model would have nothing to do meanwhile.
fn batch_size(waiting: usize, max: usize) -> usize {
    waiting.div_ceil(2).min(max)
}

/// Returns one result for each job of the batch.
fn generate<'f>(
    factory: &'f dyn GeneratorFactory,
    slot: &mut Option<Box<dyn Generator + 'f>>,
    batch: &[QueuedJob],
) -> Vec<Result<Generation, WorkerError>> {
    let attempt = catch_panic(|| {
        let generator = match slot {
            Some(generator) => generator,
            None => slot.insert(factory.generator()?),
        };
        let queries: Vec<Query<'_>> = batch
            .iter()
            .filter(|queued| !queued.job.explain)
            .map(|queued| queued.job.query())
            .collect();
        let mut lists = generator.generate_batch(&queries).into_iter();
        // Explanations are rare, and are made one by one.
        let results = batch.iter().map_while(|queued| {
            if queued.job.explain {
                Some(generator.explain(&queued.job.query()))
            } else {
                lists.next()
            }
        });
        Ok::<_, GeneratorError>(results.collect::<Vec<_>>())
    });
    let results = match attempt {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => {
            tracing::error!(%error, "the generator could not be created again");
            Vec::new()
        }
        Err(GeneratorPanic) => {
            tracing::error!(jobs = batch.len(), "the generator panicked and will be replaced");
            let broken = slot.take();
            // Its destructor may panic as well.
            let _ = catch_panic(move || drop(broken));
            Vec::new()
        }
    };
    let mut results = results.into_iter();
    let mut next = || match results.next() {
        Some(Ok(generation)) => Ok(generation),
        Some(Err(error)) => {
            tracing::error!(%error, "the generator failed");
            Err(WorkerError::Failed)
        }
        // The whole batch failed; the reason is logged above.
        None => Err(WorkerError::Failed),
    };
    batch.iter().map(|_| next()).collect()
}

/// Generator code panicked.
struct GeneratorPanic;

/// Calls `task` and turns a panic into an error. `AssertUnwindSafe` is sound here because the
/// callers drop everything that the panic could have left in an inconsistent state.
fn catch_panic<T>(task: impl FnOnce() -> T) -> Result<T, GeneratorPanic> {
    catch_unwind(AssertUnwindSafe(task)).map_err(|_| GeneratorPanic)
}
