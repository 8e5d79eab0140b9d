//! A session from the first click to a saved copy, with a small synthetic model.
//!
//! `cargo run --release -p tandem-session --example session` with the features that `xtask`
//! builds with. Twenty items, rows of 8 dimensions, random weights; a fixed list stands in
//! for the answer of the language model.

use std::{collections::HashMap, error::Error, io::Write};

use futures_lite::future::block_on;
use tandem_collaboration::Action;
use tandem_model::{Body, Device, ItemTable, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ModelConfig, ModelKind,
    Ranking, Timings,
};
use tandem_session::{Connection, RowStore, Session, Settings};

const ITEMS: usize = 20;
const DIMS: usize = 8;

#[allow(dead_code, reason = "the test of this example calls `play` instead")]
fn main() -> Result<(), Box<dyn Error>> {
    play(&mut std::io::stdout())
}

/// Plays the session and writes what happens.
pub(crate) fn play(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut session = new_session()?;
    let mut now_ms = 0.0;

    // Before the first list: a decision says that one is needed.
    decide(&mut session, now_ms, out)?;

    for item in [4, 11, 7, 12] {
        now_ms += 5_000.0;
        writeln!(out, "click on {}", id(item))?;
        session.track(&Event { kind: EventKind::Click, item: id(item) });
        decide(&mut session, now_ms, out)?;
        // After the page has painted.
        if let Some(outcome) = block_on(session.learn())? {
            let (before, after) = (outcome.loss_before, outcome.loss_after);
            writeln!(out, "  learnt: loss {before:.3} -> {after:.3} nats")?;
        }
    }

    let ranked = block_on(session.rank())?;
    if let Some(first) = ranked.items.first()
        && let Some(explanation) = block_on(session.explain(&first.item))?
    {
        writeln!(out, "{} is first because of", first.item)?;
        for contribution in &explanation.contributions {
            writeln!(out, "  {}: {:+.3}", contribution.item, contribution.logit)?;
        }
    }
    let undone = session.undo();
    writeln!(out, "undo: {:?}", undone.map(|event| event.item))?;

    let saved = session.export()?;
    let mut restored = new_session()?;
    restored.import(&saved, now_ms)?;
    let (clicks, calls) = (restored.clicks(), restored.calls());
    writeln!(out, "saved {} bytes: {clicks} clicks, {calls} calls", saved.len())?;
    Ok(())
}

/// Ranks, decides and, if the decision is to call, fetches a list.
fn decide(session: &mut Session, now_ms: f64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let ranked = block_on(session.rank())?;
    session.record_shown(&ranked);
    let first: Vec<&str> = ranked.items.iter().take(5).map(|item| item.item.as_str()).collect();
    writeln!(out, "  shown: {}", first.join(" "))?;
    let decision = session.decide(&ranked, Connection::default(), now_ms);
    writeln!(out, "  {:?}: {}", decision.action, decision.reason)?;
    if decision.action == Action::Request {
        let (request, ticket) = session.begin_request(None, now_ms);
        session.accept(ticket, language_model(&request.history), now_ms)?;
        writeln!(out, "  list received for {} items of history", request.history.len())?;
    }
    Ok(())
}

/// Stands in for the server: all other items, those after the newest click first.
fn language_model(history: &[ItemId]) -> CandidatesResponse {
    let newest = (0..ITEMS).find(|&item| history.last() == Some(&id(item))).unwrap_or(0);
    let others = (1..ITEMS).map(|by| id((newest + by) % ITEMS));
    let unseen = others.filter(|item| !history.contains(item)).enumerate();
    let candidates = unseen
        .map(|(rank, item)| Candidate {
            item,
            logprob: -1.0 - 0.2 * rank as f32,
            row: None,
            explanation: None,
        })
        .collect();
    CandidatesResponse {
        model: "synthetic".into(),
        catalogue_hash: "catalogue".into(),
        ranking: if history.is_empty() { Ranking::Popularity } else { Ranking::LanguageModel },
        candidates,
        total: None,
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    }
}

fn new_session() -> Result<Session, Box<dyn Error>> {
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 2, max_length: 20 };
    let device = Device::flex();
    device.seed(7);
    let weights = Body::new(&config, 0.0, &device)?.to_bytes(&HashMap::new())?;
    let scorer = Scorer::new(&config, &weights)?;
    let table: Vec<f32> = (0..ITEMS * DIMS).map(|at| (at as f32 * 0.37).sin()).collect();
    let rows = RowStore::whole(ItemTable::quantise(&table, DIMS)?, (0..ITEMS).map(id))?;
    let settings = Settings {
        base: "weights".into(),
        catalogue_hash: "catalogue".into(),
        search_k: 10,
        ..Settings::default()
    };
    Ok(Session::new(scorer, rows, settings)?)
}

fn id(item: usize) -> ItemId {
    ItemId::new(format!("item-{item}"))
}
