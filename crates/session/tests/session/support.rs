//! A small random model over 40 items, and lists of them.

use std::{collections::HashMap, sync::OnceLock};

use futures_lite::future::block_on;
use tandem_model::{Body, Device, ItemTable, QuantisedRow, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ItemRow, ModelConfig,
    ModelKind, Ranking, Timings,
};
use tandem_session::{RowStore, Session, Settings, encode_row};

pub(crate) const DIMS: usize = 8;
pub(crate) const ITEMS: usize = 40;

pub(crate) fn id(number: usize) -> ItemId {
    ItemId::new(format!("sku-{number}"))
}

/// Rows that look random and are the same everywhere.
pub(crate) fn row(number: usize) -> Vec<f32> {
    (0..DIMS).map(|i| ((number * 7 + i * 13) as f32 * 0.37).sin()).collect()
}

/// The row as the server sends it.
pub(crate) fn wire(item: usize) -> ItemRow {
    encode_row(id(item), &QuantisedRow::quantise(&row(item)).unwrap())
}

pub(crate) fn settings() -> Settings {
    Settings { base: "base".into(), catalogue_hash: "catalogue".into(), ..Settings::default() }
}

pub(crate) fn scorer() -> Scorer {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 2, max_length: 5 };
    let bytes = WEIGHTS.get_or_init(|| weights(&config));
    Scorer::new(&config, bytes).unwrap()
}

/// Random weights of a model.
pub(crate) fn weights(config: &ModelConfig) -> Vec<u8> {
    let device = Device::flex();
    device.seed(7);
    let body = Body::new(config, 0.0, &device).unwrap();
    body.to_bytes(&HashMap::new()).unwrap()
}

pub(crate) fn whole_rows() -> RowStore {
    let table: Vec<f32> = (0..ITEMS).flat_map(row).collect();
    let table = ItemTable::quantise(&table, DIMS).unwrap();
    RowStore::whole(table, (0..ITEMS).map(id)).unwrap()
}

/// A session that holds the whole table.
pub(crate) fn session_with(settings: Settings) -> Session {
    Session::new(scorer(), whole_rows(), settings).unwrap()
}

pub(crate) fn session() -> Session {
    session_with(settings())
}

/// A session without rows.
pub(crate) fn thin_session() -> Session {
    Session::new(scorer(), RowStore::new(DIMS), settings()).unwrap()
}

pub(crate) fn session_on(base: &str) -> Session {
    session_with(Settings { base: base.into(), ..settings() })
}

/// A session with a list of all items.
pub(crate) fn session_with_list() -> Session {
    let mut session = session();
    give_all(&mut session, "tiny", false);
    session
}

/// A list of these items, the first one best.
pub(crate) fn response(items: impl IntoIterator<Item = usize>) -> CandidatesResponse {
    let candidates = items.into_iter().enumerate();
    CandidatesResponse {
        model: "tiny".into(),
        catalogue_hash: "catalogue".into(),
        ranking: Ranking::LanguageModel,
        candidates: candidates
            .map(|(rank, item)| Candidate {
                item: id(item),
                logprob: -(rank as f32) * 0.1 - 1.0,
                row: None,
                explanation: None,
            })
            .collect(),
        total: None,
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    }
}

/// Requests a list and answers with these items.
pub(crate) fn give(session: &mut Session, items: impl IntoIterator<Item = usize>, now_ms: f64) {
    let (_, ticket) = session.begin_request(None, now_ms);
    assert!(session.accept(ticket, response(items), now_ms).unwrap());
}

/// Requests a list and answers with all items, with their rows if `rows`.
pub(crate) fn give_all(session: &mut Session, model: &str, rows: bool) {
    let (_, ticket) = session.begin_request(None, 0.0);
    let mut list = CandidatesResponse { model: model.into(), ..response(0..ITEMS) };
    for (item, candidate) in list.candidates.iter_mut().enumerate() {
        candidate.row = rows.then(|| wire(item).row);
    }
    assert!(session.accept(ticket, list, 0.0).unwrap());
}

pub(crate) fn event(kind: EventKind, item: usize) -> Event {
    Event { kind, item: id(item) }
}

pub(crate) fn click(item: usize) -> Event {
    event(EventKind::Click, item)
}

pub(crate) fn track(session: &mut Session, item: usize) {
    session.track(&click(item));
}

/// Learns from a click that waits.
pub(crate) fn learn(session: &mut Session) {
    block_on(session.learn()).unwrap().unwrap();
}
