//! A catalogue of 30 films, artefacts for it, and a generator that does as it is told.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::web;
use cloud_server::{
    AppState, ArtifactStore, DatasetInfo, Engine, EventLog, Hosted, Limits, Models, Readiness,
    Worker,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence};
use tandem_generator::{Generation, Generator, GeneratorError, Query, Ranked};
use tandem_protocol::{EngineKind, ItemId, LanguageModelInfo, Ranking};
use tempfile::TempDir;

/// Items of the catalogue: ids `1` to `30`.
pub(crate) const ITEMS: u32 = 30;
/// Dimensions of the item rows.
pub(crate) const DIMS: usize = 4;
/// The scripted generator panics if this is the newest item.
pub(crate) const PANICS: &str = "13";
/// The scripted generator fails if this is the newest item.
pub(crate) const FAILS: &str = "14";
/// How many items of a history the scripted generator reads.
pub(crate) const READS: usize = 5;

pub(crate) fn catalogue() -> Catalogue {
    let item = |number: u32| Item {
        id: ItemId::new(number.to_string()),
        title: format!("The film of number {number}"),
        year: Some(1990),
        genres: vec!["Drama".to_owned()],
        count: ITEMS - number,
    };
    Catalogue::new((1..=ITEMS).map(item).collect()).unwrap()
}

/// Writes the catalogue as a dataset folder.
pub(crate) fn write_dataset(folder: &Path) {
    let items = (0..ITEMS).map(ItemIndex).collect();
    let sequence = Sequence { user: "1".to_owned(), items, times: None };
    let notice = Some("Made up for tests.".to_owned());
    Dataset::new("films", catalogue(), vec![sequence], notice).unwrap().save(folder).unwrap();
}

/// Writes a release whose rows are `[position, 1, 2, mark]` at scale 0.5, makes it the
/// current one and returns its hash.
pub(crate) fn write_artifacts(root: &Path, catalogue: &Catalogue, mark: u8) -> String {
    let mut rows = Vec::new();
    rows.extend((catalogue.len() as u32).to_le_bytes());
    rows.extend((DIMS as u32).to_le_bytes());
    for position in 0..catalogue.len() {
        rows.extend(0.5_f32.to_le_bytes());
        rows.extend([position as u8, 1, 2, mark]);
    }
    let files = [
        ("body.safetensors", b"weights".to_vec()),
        ("rows.bin", rows),
        ("items.json", b"[]".to_vec()),
    ];
    let artifact = |index: usize| {
        let (path, bytes) = &files[index];
        json!({ "path": path, "sha256": hex(bytes), "bytes": bytes.len() })
    };
    let manifest = serde_json::to_vec(&json!({
        "version": 1,
        "catalogue": { "hash": catalogue.hash(), "items": catalogue.len() },
        "model": { "kind": "sasrec", "dims": DIMS, "blocks": 1, "heads": 1, "max_length": 50 },
        "body": artifact(0), "rows": artifact(1), "items": artifact(2),
        "fusion": { "alpha": 0.5 }, "policy": {}, "learning": {},
    }))
    .unwrap();
    let hash = hex(&manifest)[..16].to_owned();
    let folder = root.join(&hash);
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in &files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    fs::write(root.join("current"), &hash).unwrap();
    hash
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What the tests tell the scripted generator, and what it tells them.
#[derive(Default)]
pub(crate) struct Script {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Generations begun.
    pub(crate) begun: AtomicUsize,
    /// Generators made.
    pub(crate) made: AtomicUsize,
    /// Queries of each batch, in order.
    pub(crate) batches: Mutex<Vec<usize>>,
}

impl Script {
    /// From now on generations (and loading) wait for [`Script::open`].
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

struct ScriptedEngine {
    script: Arc<Script>,
    info: LanguageModelInfo,
    together: usize,
}

impl Engine for ScriptedEngine {
    fn info(&self) -> &LanguageModelInfo {
        &self.info
    }

    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        self.script.made.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(ScriptedGenerator { script: &self.script, together: self.together }))
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Titles
    }
}

/// Ranks by position in the catalogue.
struct ScriptedGenerator<'e> {
    script: &'e Script,
    together: usize,
}

impl Generator for ScriptedGenerator<'_> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn together(&self) -> usize {
        self.together
    }

    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        self.script.batches.lock().unwrap().push(queries.len());
        queries.iter().map(|query| self.generate(query)).collect()
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.script.begun.fetch_add(1, Ordering::SeqCst);
        self.script.pass();
        let is_newest =
            |id: &str| query.history.last() == Some(&ItemIndex(id.parse::<u32>().unwrap() - 1));
        assert!(!is_newest(PANICS), "told to panic");
        if is_newest(FAILS) {
            return Err(GeneratorError::NotFinite);
        }
        let candidates = (0..ITEMS)
            .map(ItemIndex)
            .filter(|item| !query.history.contains(item) && !query.exclude.contains(item))
            .take(query.k)
            .enumerate()
            .map(|(rank, item)| Ranked { item, logprob: -1.0 - rank as f32 })
            .collect();
        Ok(Generation {
            candidates,
            ranking: match query.history {
                [] => Ranking::Popularity,
                _ => Ranking::LanguageModel,
            },
            truncated: query.history.len().saturating_sub(READS),
            prompt_ms: 1.0,
            decode_ms: 2.0,
            prompt_tokens: 3,
            decoded_tokens: 4,
        })
    }
}

/// A server's state on a scripted generator, with its folders.
pub(crate) struct Fixture {
    pub(crate) state: web::Data<AppState>,
    /// Of the first model.
    pub(crate) script: Arc<Script>,
    /// Of each model.
    pub(crate) scripts: Vec<Arc<Script>>,
    pub(crate) artifacts: PathBuf,
    pub(crate) hash: String,
    _folder: TempDir,
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) places: Option<usize>,
    pub(crate) site: Option<PathBuf>,
    pub(crate) allowed_origins: Vec<cloud_server::Origin>,
    /// Where events are logged, if they are.
    pub(crate) events: Option<PathBuf>,
    /// Whether loading waits for [`Script::open`].
    pub(crate) loading: bool,
    /// Names of the models; one, `scripted`, if empty.
    pub(crate) models: Vec<&'static str>,
    /// Queries that the generators evaluate at once; one if absent.
    pub(crate) together: Option<usize>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = folder.path().join("artifacts");
        let catalogue = Arc::new(catalogue());
        let hash = write_artifacts(&artifacts, &catalogue, 0);
        let names = if options.models.is_empty() { vec!["scripted"] } else { options.models };
        let (mut scripts, mut hosted) = (Vec::new(), Vec::new());
        for name in names {
            let script = Arc::new(Script::default());
            if options.loading {
                script.close();
            }
            let engine = ScriptedEngine {
                script: Arc::clone(&script),
                info: LanguageModelInfo { name: name.to_owned(), sha256: "0".repeat(64) },
                together: options.together.unwrap_or(1),
            };
            let load = move || {
                engine.script.pass();
                Ok(engine)
            };
            let worker = Worker::start(load, options.places.unwrap_or(8)).unwrap();
            if !options.loading {
                wait_until("the scripted engine is ready", || {
                    matches!(worker.readiness(), Readiness::Ready { .. })
                });
            }
            scripts.push(script);
            hosted.push(Hosted { name: name.to_owned(), worker });
        }
        let state = web::Data::new(AppState {
            artifacts: ArtifactStore::open(&artifacts, Arc::clone(&catalogue)).unwrap(),
            catalogue,
            dataset: DatasetInfo {
                name: "films".to_owned(),
                notice: Some("Made up for tests.".to_owned()),
            },
            models: Models::new(hosted).unwrap(),
            limits: options.limits,
            site: options.site,
            events: options.events.map(|path| Arc::new(EventLog::open(&path).unwrap())),
            allowed_origins: options.allowed_origins,
        });
        let script = Arc::clone(&scripts[0]);
        Self { state, script, scripts, artifacts, hash, _folder: folder }
    }

    /// The first model's worker.
    pub(crate) fn worker(&self) -> &Worker {
        &self.state.models.find(None).unwrap().worker
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.scripts.iter().for_each(|script| script.open());
    }
}

/// Waits for a condition another thread brings about; gives up after a minute.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain until {what}");
}

/// As [`wait_until`], for conditions that tasks of this thread bring about.
pub(crate) async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}");
}

/// The ids of a response's candidates.
pub(crate) fn candidate_ids(response: &Value) -> Vec<String> {
    let candidates = response["candidates"].as_array().unwrap();
    candidates.iter().map(|c| c["item"].as_str().unwrap().to_owned()).collect()
}
