//! The scripted server, and a shop of small untrained models for it.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use futures_lite::future::{block_on, yield_now};
use tandem_collaboration::{BucketLimits, Fusion, Policy};
use tandem_model::{Body, Device, ItemTable, LearningConfig};
use tandem_protocol::{
    Artifact, Candidate, CandidatesResponse, CatalogueInfo, EventKind, Ignored, ItemId, Manifest,
    ModelConfig, ModelKind, PROTOCOL_VERSION, Ranking,
};

use super::super::*;
use crate::{
    artifacts::{DeviceManifest, sha256},
    host::Flag,
};

pub(super) const DIMS: usize = 8;
pub(super) const ITEMS: usize = 30;

/// A scripted server: files by path, and the next responses for lists.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) files: Rc<RefCell<HashMap<String, HttpResponse>>>,
    pub(super) lists: Rc<RefCell<VecDeque<Result<HttpResponse, Failure>>>>,
    /// Responses for lists are held back while this is set.
    pub(super) held: Rc<Cell<bool>>,
    pub(super) asked: Rc<RefCell<Vec<String>>>,
    /// Files that were requested with `fresh`.
    pub(super) refetched: Rc<RefCell<Vec<String>>>,
    pub(super) clock: Rc<Cell<f64>>,
}

impl Host for Script {
    type Abort = Flag;

    fn now_ms(&self) -> f64 {
        self.clock.get()
    }

    fn random(&self) -> f64 {
        0.0
    }

    fn new_abort(&self) -> Flag {
        Flag::default()
    }

    async fn send(&self, request: &HttpRequest, abort: &Flag) -> Result<HttpResponse, Failure> {
        let path = request.url.strip_prefix("http://shop").unwrap().to_owned();
        self.asked.borrow_mut().push(request.body.clone().unwrap_or_else(|| path.clone()));
        if request.body.is_none() {
            let missing = HttpResponse { status: 404, ..HttpResponse::default() };
            if request.fresh {
                self.refetched.borrow_mut().push(path.clone());
            }
            let mut reply = self.files.borrow().get(&path).cloned().unwrap_or(missing);
            if reply.cached && request.fresh {
                // Only the cached copy is damaged.
                *reply.body.last_mut().unwrap() ^= 1;
                reply.cached = false;
            }
            return Ok(reply);
        }
        while self.held.get() && !abort.0.get() {
            yield_now().await;
        }
        self.lists.borrow_mut().pop_front().unwrap()
    }
}

pub(super) fn ok(body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse { status: 200, body: body.into(), ..HttpResponse::default() }
}

pub(super) fn item(number: usize) -> ItemId {
    ItemId::new(format!("i{number}"))
}

pub(super) fn catalogue_hash() -> String {
    let lines = (0..ITEMS).flat_map(|number| [item(number).to_string(), "\n".to_owned()]);
    let ids: String = lines.collect();
    sha256(ids.as_bytes())
}

/// A list of all items from number `first`.
pub(super) fn list(first: usize) -> CandidatesResponse {
    let candidates = (first..ITEMS).map(|number| Candidate {
        item: item(number),
        logprob: -((number + 1) as f32),
        row: None,
        explanation: None,
    });
    CandidatesResponse {
        model: "stand-in".into(),
        catalogue_hash: catalogue_hash(),
        ranking: Ranking::LanguageModel,
        candidates: candidates.collect(),
        total: None,
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: tandem_protocol::Timings { total_ms: 12.0, ..Default::default() },
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the type of a scripted response")]
pub(super) fn listed(list: &CandidatesResponse) -> Result<HttpResponse, Failure> {
    Ok(ok(serde_json::to_vec(list).unwrap()))
}

/// A scripted server with a model of random weights.
pub(super) fn shop() -> Script {
    shop_with(|_, _| ())
}

/// Row values `[ITEMS, DIMS]` of the catalogue.
pub(super) fn row_values() -> Vec<f32> {
    (0..ITEMS * DIMS).map(|at| ((at * 37 % 101) as f32) / 50.0 - 1.0).collect()
}

pub(super) fn artifact(path: &str, bytes: &[u8]) -> Artifact {
    Artifact { path: path.into(), sha256: sha256(bytes), bytes: bytes.len() as u64 }
}

/// Changes the manifest and adds files of the release.
pub(super) fn shop_with(
    change: impl FnOnce(&mut DeviceManifest, &mut HashMap<String, Vec<u8>>),
) -> Script {
    let model =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 1, max_length: 10 };
    let body = Body::new(&model, 0.0, &Device::flex()).unwrap().to_bytes(&HashMap::new()).unwrap();
    let rows = ItemTable::quantise(&row_values(), DIMS).unwrap().as_bytes().to_vec();
    let items: Vec<String> = (0..ITEMS)
        .map(|number| {
            format!(r#"{{"item":"{}","title":"T","year":null,"genres":[]}}"#, item(number))
        })
        .collect();
    let items = format!("[{}]", items.join(",")).into_bytes();
    let mut manifest = Manifest {
        version: PROTOCOL_VERSION,
        catalogue: CatalogueInfo { hash: catalogue_hash(), items: ITEMS },
        model,
        text: None,
        counts: None,
        language_model: None,
        body: artifact("body.safetensors", &body),
        rows: artifact("rows.bin", &rows),
        items: artifact("items.json", &items),
        fusion: Fusion::default(),
        policy: Policy::default(),
        learning: LearningConfig::default(),
        language_models: Vec::new(),
        search: None,
        repeats: false,
        popular: Vec::new(),
    };
    let mut others = HashMap::new();
    change(&mut manifest, &mut others);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let hash = sha256(&manifest)[..16].to_owned();
    let script = Script::default();
    let mut files = script.files.borrow_mut();
    files.insert(format!("/artifacts/{hash}/body.safetensors"), ok(body));
    files.insert(format!("/artifacts/{hash}/rows.bin"), ok(rows));
    files.insert(format!("/artifacts/{hash}/items.json"), ok(items));
    for (path, file) in others {
        files.insert(format!("/artifacts/{hash}/{path}"), ok(file));
    }
    files.insert("/v1/manifest".into(), HttpResponse { artifacts: Some(hash), ..ok(manifest) });
    drop(files);
    script
}

pub(super) fn try_open(script: &Script) -> Result<Engine<Script>, ClientError> {
    open_with(script, None)
}

pub(super) fn open_with(
    script: &Script,
    budget: Option<BucketLimits>,
) -> Result<Engine<Script>, ClientError> {
    let budget = budget.map_or("null".to_owned(), |budget| {
        format!(r#"{{"burst":{},"perMinute":{}}}"#, budget.capacity, budget.refill_per_minute)
    });
    open_as(script, &format!(r#""budget":{budget}"#))
}

/// Opens with further options in JSON.
pub(super) fn open_as(script: &Script, options: &str) -> Result<Engine<Script>, ClientError> {
    let device = block_on(ComputeDevice::open()).unwrap();
    let json = format!(r#"{{"server":"http://shop","timeoutMs":1000,{options}}}"#);
    let config = serde_json::from_str(&json).unwrap();
    block_on(Engine::open(script.clone(), &config, &device))
}

pub(super) fn open(script: &Script) -> Engine<Script> {
    let engine = try_open(script).unwrap_or_else(|error| panic!("{error}"));
    script.asked.borrow_mut().clear();
    engine
}

pub(super) fn click(number: usize) -> Event {
    Event { kind: EventKind::Click, item: item(number) }
}

/// The session's whole history.
pub(super) fn history(engine: &Engine<Script>) -> Vec<ItemId> {
    block_on(engine.session.lock()).history().to_vec()
}

pub(super) fn request(engine: &Engine<Script>) -> Update {
    block_on(engine.request_candidates("a test")).unwrap()
}

pub(super) fn track(engine: &Engine<Script>, number: usize) -> Update {
    block_on(engine.track(&click(number))).unwrap()
}
