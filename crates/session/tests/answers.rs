//! What a session can be asked beside a ranking: to take an event back, to explain, to find
//! what is alike, to compare a list of the page's own; and what a language model of its own
//! calibration changes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::HashMap, sync::OnceLock};

use futures_lite::future::block_on;
use tandem_collaboration::{Fusion, Normalisation, Policy};
use tandem_model::{Body, Device, ItemTable, LearningConfig, QuantisedRow, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ModelConfig, ModelKind,
    Ranking, Timings,
};
use tandem_session::{
    Calibration, Connection, MAX_HISTORY, RestoreOutcome, RowStore, Session, SessionError,
    Settings, UNDO_LIMIT, encode_row,
};

const DIMS: usize = 8;
const ITEMS: usize = 30;

fn id(number: usize) -> ItemId {
    ItemId::new(format!("sku-{number}"))
}

fn row(number: usize) -> Vec<f32> {
    (0..DIMS).map(|i| ((number * 7 + i * 13) as f32 * 0.37).sin()).collect()
}

fn scorer() -> Scorer {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 2, max_length: 5 };
    let bytes = WEIGHTS.get_or_init(|| {
        let body = Body::new(&config, 0.0, &Device::flex()).unwrap();
        body.to_bytes(&HashMap::new()).unwrap()
    });
    Scorer::new(&config, bytes, &Device::flex()).unwrap()
}

fn settings(base: &str) -> Settings {
    Settings {
        fusion: Fusion::default(),
        policy: Policy::default(),
        learning: LearningConfig::default(),
        base: base.into(),
        catalogue_hash: "catalogue".into(),
    }
}

fn session_on(base: &str) -> Session {
    let table: Vec<f32> = (0..ITEMS).flat_map(row).collect();
    let table = ItemTable::quantise(&table, DIMS).unwrap();
    let rows = RowStore::whole(table, (0..ITEMS).map(id)).unwrap();
    Session::new(scorer(), rows, settings(base)).unwrap()
}

/// A session with a list of all items.
fn session() -> Session {
    let mut session = session_on("base");
    give(&mut session, "tiny", false);
    session
}

fn give(session: &mut Session, model: &str, rows: bool) {
    let (_, ticket) = session.begin_request(None, 0.0);
    let candidates = (0..ITEMS).map(|number| Candidate {
        item: id(number),
        logprob: -(number as f32) * 0.1 - 1.0,
        row: rows
            .then(|| encode_row(id(number), &QuantisedRow::quantise(&row(number)).unwrap()).row),
    });
    let response = CandidatesResponse {
        model: model.into(),
        catalogue_hash: "catalogue".into(),
        ranking: Ranking::LanguageModel,
        candidates: candidates.collect(),
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    };
    assert!(session.accept(ticket, response, 0.0).unwrap());
}

fn event(kind: EventKind, item: usize) -> Event {
    Event { kind, item: id(item) }
}

fn click(session: &mut Session, item: usize) {
    session.track(&event(EventKind::Click, item));
}

fn learn(session: &mut Session) {
    block_on(session.learn()).unwrap().unwrap();
}

#[test]
fn undo_takes_back_the_newest_event_and_what_was_learnt_from_it() {
    let mut session = session();
    click(&mut session, 1);
    click(&mut session, 2);
    learn(&mut session);
    let known = session.delta().clone();
    let before = block_on(session.rank()).unwrap();

    session.track(&event(EventKind::Purchase, 3));
    learn(&mut session);
    assert_ne!(*session.delta(), known);
    assert_eq!(session.undo(), Some(event(EventKind::Purchase, 3)));
    assert_eq!(*session.delta(), known);
    assert_eq!(session.history(), [id(1), id(2)]);
    assert_eq!(session.clicks(), 2);
    assert_eq!(block_on(session.rank()).unwrap(), before);
}

#[test]
fn undo_of_what_was_not_learnt_yet_leaves_nothing_to_learn() {
    let mut session = session();
    click(&mut session, 1);
    click(&mut session, 2);
    click(&mut session, 3);
    session.undo().unwrap();
    learn(&mut session); // of the click on 2
    assert!(block_on(session.learn()).unwrap().is_none());
    // The click on 2 was learnt from after the one on 3 was gone, and can still be undone.
    session.undo().unwrap();
    assert_eq!(session.delta().steps(), 0);
    assert_eq!(session.history(), [id(1)]);
}

#[test]
fn undo_brings_back_what_was_disliked_unless_it_was_before() {
    let mut session = session();
    session.track(&event(EventKind::Dislike, 4));
    session.track(&event(EventKind::Dislike, 4));
    let listed = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        ranked.items.iter().any(|ranked| ranked.item == id(4))
    };
    session.undo().unwrap();
    assert!(!listed(&session));
    session.undo().unwrap();
    assert!(listed(&session));
    assert_eq!(session.undo(), None);
}

#[test]
fn undo_goes_back_so_far_and_never_past_a_reset() {
    let mut session = session();
    for item in 0..UNDO_LIMIT + 5 {
        click(&mut session, item);
    }
    let undone = std::iter::from_fn(|| session.undo()).count();
    assert_eq!(undone, UNDO_LIMIT);
    assert_eq!(session.history().len(), 5);
    session.reset();
    assert_eq!(session.undo(), None);
}

/// More clicks wait than can be undone: those that are learnt from first must not be taken
/// for those that can.
#[test]
fn undo_after_a_burst_restores_what_was_known_before_that_click() {
    let mut session = session();
    for item in 0..UNDO_LIMIT + 3 {
        click(&mut session, item);
    }
    // The first click teaches nothing; two more are older than what can be undone.
    for _ in 0..3 {
        learn(&mut session);
    }
    let known = session.delta().steps();
    let mut undone = 0;
    while session.undo().is_some() {
        undone += 1;
    }
    assert_eq!((undone, known), (UNDO_LIMIT, 3));
    // Ten taken back, of which one had been learnt from.
    assert_eq!(session.delta().steps(), 2);
}

#[test]
fn an_explanation_says_what_the_history_does_to_an_item() {
    let mut session = session();
    click(&mut session, 1);
    click(&mut session, 2);
    click(&mut session, 1);
    let ranked = block_on(session.rank()).unwrap();
    let first = &ranked.items[0];
    let explained = block_on(session.explain(&first.item)).unwrap().unwrap();
    assert_eq!((&explained.item, explained.rank, explained.of), (first, 0, ITEMS - 2));
    let mut causes: Vec<_> = explained.contributions.iter().map(|pull| pull.item.clone()).collect();
    causes.sort();
    assert_eq!(causes, [id(1), id(2)]);
    assert!(explained.contributions[0].logit.abs() >= explained.contributions[1].logit.abs());

    // The pull of item 2 by hand: the list after 1, 2, 1 against the list after 1, 1.
    let above_mean = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        let of = |name: &ItemId| {
            let found = ranked.items.iter().find(|ranked| ranked.item == *name);
            found.unwrap().srm_score.unwrap()
        };
        let others = ranked.items.iter().filter(|ranked| ranked.item != id(2));
        let scores: Vec<f32> = others.map(|ranked| ranked.srm_score.unwrap()).collect();
        of(&first.item) - scores.iter().sum::<f32>() / scores.len() as f32
    };
    let mut other = session_on("base");
    give(&mut other, "tiny", false);
    click(&mut other, 1);
    click(&mut other, 1);
    let expected = above_mean(&session) - above_mean(&other);
    let pull = explained.contributions.iter().find(|one| one.item == id(2)).unwrap().logit;
    assert!((pull - expected).abs() < 1e-4, "{pull} and {expected}");

    assert_eq!(block_on(session.explain(&id(1))).unwrap(), None);
    assert_eq!(block_on(session.explain(&ItemId::from("unheard of"))).unwrap(), None);
}

#[test]
fn without_a_history_an_explanation_is_the_language_models_rank() {
    let explained = block_on(session().explain(&id(3))).unwrap().unwrap();
    assert_eq!((explained.rank, explained.item.llm_rank, explained.contributions.len()), (3, 3, 0));
}

#[test]
fn similar_items_are_those_of_the_nearest_rows() {
    let session = session();
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let mut expected: Vec<usize> = (0..ITEMS).filter(|&number| number != 5).collect();
    expected.sort_by(|&a, &b| cosine(&row(5), &row(b)).total_cmp(&cosine(&row(5), &row(a))));
    let found = session.similar(&id(5), 3).unwrap();
    assert_eq!(found.len(), 3);
    for (similar, number) in found.iter().zip(expected) {
        // Rows are held in 8 bits.
        assert!((similar.similarity - cosine(&row(5), &row(number))).abs() < 0.02);
    }
    assert!(found[0].similarity >= found[1].similarity);
    assert_eq!(session.similar(&ItemId::from("unheard of"), 3), None);
}

#[test]
fn a_list_of_the_pages_own_is_compared_with_the_small_models_order() {
    let mut session = session_on("base");
    let own: Vec<ItemId> = (0..10).map(id).collect();
    assert_eq!(block_on(session.compare(&own)).unwrap(), None, "no history");
    click(&mut session, 20);
    let apart = block_on(session.compare(&own)).unwrap().unwrap();
    assert!(apart > 0.0 && apart <= 1.0);

    // The small model's own order agrees with itself, whatever is unknown or repeated.
    give(&mut session, "tiny", false);
    let mut ranked = block_on(session.rank()).unwrap().items;
    ranked.sort_by_key(|ranked| ranked.srm_rank);
    let mut order: Vec<ItemId> = ranked.into_iter().map(|ranked| ranked.item).collect();
    order.insert(1, ItemId::from("unheard of"));
    order.push(order[0].clone());
    assert_eq!(block_on(session.compare(&order)).unwrap(), Some(0.0));
    assert_eq!(block_on(session.compare(&order[..2])).unwrap(), None, "one is left");
}

#[test]
fn a_history_is_kept_up_to_a_limit_and_every_click_counted() {
    let mut session = session();
    for number in 0..MAX_HISTORY + 3 {
        click(&mut session, number);
    }
    assert_eq!(session.history().len(), MAX_HISTORY);
    assert_eq!(session.history()[0], id(3));
    assert_eq!(session.clicks(), MAX_HISTORY as u64 + 3);
    session.undo().unwrap();
    assert_eq!(session.history().last(), Some(&id(MAX_HISTORY + 1)));
}

fn small_model_only() -> Fusion {
    let language_model = tandem_collaboration::LanguageModelScore::Rank;
    Fusion::weighted(0.0, language_model, Normalisation::MinMax)
}

#[test]
fn a_list_is_fused_and_judged_as_its_language_model_was_calibrated() {
    let mut session = session_on("base");
    let policy = Policy { threshold: 0.9, ..Policy::default() };
    let calibration =
        Calibration { name: "large".into(), sha256: None, fusion: small_model_only(), policy };
    session.calibrate(vec![calibration]).unwrap();
    click(&mut session, 1);

    give(&mut session, "small", false);
    let ranked = block_on(session.rank()).unwrap();
    let by_default = session.decide(&ranked, Connection::default(), 0.0).threshold;
    assert!((by_default - Policy::default().threshold).abs() < f32::EPSILON);
    assert!(ranked.items.iter().enumerate().any(|(rank, item)| item.srm_rank != rank));

    give(&mut session, "large", false);
    let ranked = block_on(session.rank()).unwrap();
    let calibrated = session.decide(&ranked, Connection::default(), 0.0).threshold;
    assert!((calibrated - 0.9).abs() < f32::EPSILON);
    assert!(ranked.items.iter().enumerate().all(|(rank, item)| item.srm_rank == rank));
}

#[test]
fn a_calibration_that_makes_no_sense_is_refused() {
    let policy = Policy { threshold: 2.0, ..Policy::default() };
    let fusion = Fusion::default();
    let bad = Calibration { name: "large".into(), sha256: None, fusion, policy };
    let refused = session_on("base").calibrate(vec![bad]);
    assert!(matches!(refused, Err(SessionError::Collaboration(_))));
}

#[test]
fn the_chosen_language_model_is_asked() {
    let mut session = session_on("base");
    assert_eq!(session.begin_request(None, 0.0).0.model, None);
    session.choose_language_model(Some("large".into()));
    assert_eq!(session.begin_request(None, 0.0).0.model.as_deref(), Some("large"));
}

#[test]
fn a_stored_session_of_another_model_keeps_history_and_dislikes() {
    let mut old = session();
    click(&mut old, 1);
    click(&mut old, 2);
    learn(&mut old);
    old.track(&event(EventKind::Dislike, 3));
    let bytes = old.export().unwrap();

    let mut same = session_on("base");
    assert_eq!(same.restore(&bytes, 0.0).unwrap(), RestoreOutcome::Everything);
    assert_eq!(same.delta(), old.delta());
    assert_eq!(block_on(same.rank()).unwrap(), block_on(old.rank()).unwrap());

    let mut newer = session_on("newer");
    assert!(newer.import(&bytes, 0.0).is_err());
    assert_eq!(newer.restore(&bytes, 0.0).unwrap(), RestoreOutcome::History);
    assert_eq!((newer.history(), newer.clicks()), (old.history(), 3));
    assert_eq!((newer.delta().steps(), newer.list_origin()), (0, None));
    give(&mut newer, "tiny", false);
    let ranked = block_on(newer.rank()).unwrap();
    assert!(ranked.items.iter().all(|ranked| ranked.item != id(3)), "it is disliked");
    assert!(newer.restore(b"{}", 0.0).is_err());
    assert_eq!(newer.history().len(), 2, "as before");
}

/// Of a large catalogue the rows come with the lists; a session that is taken up without a
/// network must bring its own.
#[test]
fn a_saved_session_brings_the_rows_it_was_sent() {
    let few = || Session::new(scorer(), RowStore::new(DIMS), settings("base")).unwrap();
    let mut session = few();
    give(&mut session, "tiny", true);
    click(&mut session, 1);
    let mut other = few();
    other.import(&session.export().unwrap(), 0.0).unwrap();
    let ranked = block_on(other.rank()).unwrap();
    assert_eq!(ranked, block_on(session.rank()).unwrap());
    assert!(ranked.items.iter().all(|ranked| ranked.srm_score.is_some()));

    // The list is used up: the history still has its rows.
    give(&mut session, "tiny", false);
    let mut third = few();
    third.import(&session.export().unwrap(), 0.0).unwrap();
    assert!(third.missing_rows().is_empty());
}
