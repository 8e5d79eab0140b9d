//! A catalogue of 30 films, artefacts for it, and a scripted generator.

use std::{
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
    AccessControl, AppState, ArtifactStore, DatasetInfo, EventLog, GeneratorFactory, KeySet,
    Limits, ListSharing, Models, Readiness, Recommender, RedisUrl, ServedModel, Traces,
    TrustedProxies, Worker,
};
use serde_json::{Value, json};
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence, files::sha256_hex};
use tandem_generator::{Generation, Generator, GeneratorError, Query, Ranked};
use tandem_model::CountRows;
use tandem_protocol::{EngineKind, ItemId, LanguageModelInfo, Ranking, ScoreExplanation};
use tempfile::TempDir;

/// Number of items in the catalogue, with the ids `1` to `30`.
pub(crate) const ITEMS: u32 = 30;
/// Dimensions of the item rows.
pub(crate) const DIMS: usize = 4;
/// Contents of the cells.
pub(crate) const CELLS: [&[u8]; 2] = [b"first cell", b"second cell"];
/// The scripted generator panics if this is the newest item.
pub(crate) const PANICS: &str = "13";
/// The scripted generator fails if this is the newest item.
pub(crate) const FAILS: &str = "14";
/// Maximum number of history items that the scripted generator reads.
pub(crate) const MAX_READ: usize = 5;

pub(crate) fn catalogue() -> Catalogue {
    let item = |number: u32| Item {
        title: format!("The film of number {number}"),
        year: Some(1990),
        genres: vec!["Drama".to_owned()],
        count: ITEMS - number,
        ..Item::untitled(ItemId::new(number.to_string()))
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

/// Writes a release with the rows `[position, 1, 2, mark]` at scale 0.5, of which the last number
/// is the text part, and the cells [`CELLS`], makes it the current release and returns its hash.
///
/// The item after each one was chosen near it twice as often as the next.
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
        ("cells.bin", b"index of the cells".to_vec()),
        ("counts.bin", count_rows(catalogue.len()).as_bytes().to_vec()),
    ];
    let artifact = |index: usize| {
        let (path, bytes) = &files[index];
        json!({ "path": path, "sha256": sha256_hex(bytes), "bytes": bytes.len() })
    };
    let manifest = serde_json::to_vec(&json!({
        "version": 1,
        "catalogue": { "hash": catalogue.hash(), "items": catalogue.len() },
        "model": { "kind": "sasrec", "dims": DIMS - 1, "blocks": 1, "heads": 1, "max_length": 50 },
        "text": { "dims": 1, "weight": 0.5 },
        "counts": { "rows": artifact(4), "weight": 0.5 },
        "body": artifact(0), "rows": artifact(1), "items": artifact(2),
        "fusion": { "alpha": 0.5 }, "policy": {}, "learning": {},
        "search": { "k": 100, "cells": artifact(3) },
        "popular": ["2", "1"],
    }))
    .unwrap();
    let hash = sha256_hex(&manifest)[..16].to_owned();
    let folder = root.join(&hash);
    fs::create_dir_all(folder.join("cells")).unwrap();
    for cell in CELLS {
        fs::write(folder.join("cells").join(sha256_hex(cell)), cell).unwrap();
    }
    for (name, bytes) in &files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    fs::write(root.join("current"), &hash).unwrap();
    hash
}

fn count_rows(items: usize) -> CountRows {
    let near = |item: usize, by: usize| ((item + by) % items) as u32;
    let row = |item| vec![(near(item, 1), 2.0), (near(item, 2), 1.0)];
    CountRows::new(&(0..items).map(row).collect::<Vec<_>>()).unwrap()
}

/// Shared state of a test and the scripted generator.
#[derive(Default)]
pub(crate) struct Script {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Number of started generations.
    pub(crate) started: AtomicUsize,
    /// Number of created generators.
    pub(crate) created: AtomicUsize,
    /// Number of queries in each batch, in order.
    pub(crate) batches: Mutex<Vec<usize>>,
}

impl Script {
    /// Makes generations and loading wait for [`Script::open`].
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    fn wait_until_open(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

struct ScriptedModel {
    script: Arc<Script>,
    info: LanguageModelInfo,
    max_batch: usize,
}

impl GeneratorFactory for ScriptedModel {
    fn info(&self) -> &LanguageModelInfo {
        &self.info
    }

    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        self.script.created.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(ScriptedGenerator { script: &self.script, max_batch: self.max_batch }))
    }

    fn kind(&self) -> EngineKind {
        EngineKind::Titles
    }
}

/// Ranks by position in the catalogue.
struct ScriptedGenerator<'e> {
    script: &'e Script,
    max_batch: usize,
}

impl Generator for ScriptedGenerator<'_> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        self.script.batches.lock().unwrap().push(queries.len());
        queries.iter().map(|query| self.generate(query)).collect()
    }

    /// The second part is that of the counts, and grows with the rank.
    fn explain(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        let mut generation = self.generate(query)?;
        let ranks = 0..generation.candidates.len();
        generation.explanations = ranks
            .map(|rank| ScoreExplanation {
                score: 2.0 + rank as f32,
                language_model: Some(2.0),
                counts: Some(rank as f32),
                ..ScoreExplanation::default()
            })
            .collect();
        Ok(generation)
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.script.started.fetch_add(1, Ordering::SeqCst);
        self.script.wait_until_open();
        let is_newest =
            |id: &str| query.history.last() == Some(&ItemIndex(id.parse::<u32>().unwrap() - 1));
        assert!(!is_newest(PANICS), "a scripted panic");
        if is_newest(FAILS) {
            return Err(GeneratorError::NotFinite);
        }
        let candidates = (0..ITEMS)
            .map(ItemIndex)
            .filter(|item| !query.history.contains(item) && !query.exclude.contains(item))
            .filter(|item| query.only.is_none_or(|only| only.contains(item.0)))
            .take(query.k)
            .enumerate()
            .map(|(rank, item)| Ranked { item, logprob: -1.0 - rank as f32 })
            .collect();
        Ok(Generation {
            candidates,
            explanations: Vec::new(),
            ranking: match query.history {
                [] => Ranking::Popularity,
                _ => Ranking::LanguageModel,
            },
            truncated: query.history.len().saturating_sub(MAX_READ),
            prompt_ms: 1.0,
            decode_ms: 2.0,
            evaluate_ms: 1.5,
            prompt_tokens: 3,
            cached_tokens: 0,
            decoded_tokens: 4,
        })
    }
}

/// The state of a server with scripted models, and its folders.
pub(crate) struct Fixture {
    pub(crate) state: web::Data<AppState>,
    /// The recommender that the server began with.
    pub(crate) recommender: Arc<Recommender>,
    /// The script of the first model.
    pub(crate) script: Arc<Script>,
    /// The scripts of all models.
    pub(crate) scripts: Vec<Arc<Script>>,
    pub(crate) artifacts: PathBuf,
    pub(crate) hash: String,
    _folder: TempDir,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each option is one")]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) capacity: Option<usize>,
    pub(crate) site: Option<PathBuf>,
    pub(crate) client: Option<PathBuf>,
    pub(crate) allowed_origins: Vec<cloud_server::Origin>,
    /// Folder of the event log, if one is kept.
    pub(crate) events: Option<PathBuf>,
    /// The database, if there is one.
    pub(crate) storage: Option<tandem_storage::Storage>,
    /// Whether events go to the database.
    pub(crate) store_events: bool,
    /// File of keys.
    pub(crate) keys: Option<PathBuf>,
    /// Networks of trusted proxies.
    pub(crate) proxies: Vec<ipnet::IpNet>,
    /// Whether loading waits for [`Script::open`].
    pub(crate) loading: bool,
    /// Names of the models; one named `scripted` if empty.
    pub(crate) models: Vec<&'static str>,
    /// Without the page that shows the API.
    pub(crate) no_api_docs: bool,
    /// Without the admin page.
    pub(crate) no_admin: bool,
    /// Redis, and which lists are shared.
    pub(crate) redis: Option<(RedisUrl, Option<ListSharing>)>,
    /// Where the spans of requests are sent.
    pub(crate) traces: Option<Traces>,
    /// Maximum batch of the generators; 1 if absent.
    pub(crate) max_batch: Option<usize>,
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
        let (mut scripts, mut models) = (Vec::new(), Vec::new());
        for name in names {
            let script = Arc::new(Script::default());
            if options.loading {
                script.close();
            }
            let model = ScriptedModel {
                script: Arc::clone(&script),
                info: LanguageModelInfo { name: name.to_owned(), sha256: "0".repeat(64) },
                max_batch: options.max_batch.unwrap_or(1),
            };
            let load = move || {
                model.script.wait_until_open();
                Ok(model)
            };
            let worker = Worker::start(load, options.capacity.unwrap_or(8)).unwrap();
            if !options.loading {
                wait_until("the scripted model is ready", || {
                    matches!(worker.readiness(), Readiness::Ready { .. })
                });
            }
            scripts.push(script);
            models.push(ServedModel { name: name.to_owned(), worker });
        }
        let dataset =
            DatasetInfo { name: "films".to_owned(), notice: Some("Made up for tests.".to_owned()) };
        let events = options.events.map(|path| Arc::new(EventLog::open(&path, 1 << 20).unwrap()));
        let store = ArtifactStore::open(&artifacts, Arc::clone(&catalogue)).unwrap();
        let models = Models::new(models).unwrap();
        let access = AccessControl::new(
            options.keys.map(|path| KeySet::read(&path).unwrap()),
            options.allowed_origins,
            TrustedProxies::new(options.proxies),
            &options.limits.rates,
        );
        let artifacts_ = Arc::new(store);
        let recommender =
            Recommender { catalogue, dataset, artifacts: artifacts_, models, signals: None };
        let recommender = Arc::new(recommender);
        let mut state = AppState::new(Arc::clone(&recommender), options.limits);
        state.site = options.site;
        state.client = options.client;
        state.api_docs = !options.no_api_docs;
        state.admin = !options.no_admin;
        state.traces = options.traces;
        state.events = events;
        state.storage = options.storage;
        state.store_events = options.store_events;
        if let Some((url, lists)) = &options.redis {
            state.share(url, *lists).unwrap();
        }
        state.set_access(access);
        let state = web::Data::new(state);
        let script = Arc::clone(&scripts[0]);
        Self { state, recommender, script, scripts, artifacts, hash, _folder: folder }
    }

    /// The first model's worker.
    pub(crate) fn worker(&self) -> &Worker {
        &self.recommender.models.find(None).unwrap().worker
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.scripts.iter().for_each(|script| script.open());
    }
}

/// Waits for a condition that another thread brings about, at most a minute.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("timed out waiting until {what}");
}

/// As [`wait_until`], for conditions that tasks on this thread bring about.
pub(crate) async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("timed out waiting until {what}");
}

/// The ids of a response's candidates.
pub(crate) fn candidate_ids(response: &Value) -> Vec<String> {
    let candidates = response["candidates"].as_array().unwrap();
    candidates.iter().map(|c| c["item"].as_str().unwrap().to_owned()).collect()
}
