//! A session driven as the browser drives it, with a small random model.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use futures_lite::future::block_on;
use tandem_collaboration::{Action, Fusion, Policy, Reason, Trigger, UpliftModel};
use tandem_model::{Body, Device, ItemTable, LearningConfig, ModelError, QuantisedRow, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, ItemRow, ModelConfig,
    ModelKind, Ranking, Timings,
};
use tandem_session::{
    Connection, MAX_SENT_HISTORY, RowStore, Session, SessionError, Settings, encode_row,
};

const DIMS: usize = 8;
const ITEMS: usize = 40;

fn id(number: usize) -> ItemId {
    ItemId::new(format!("sku-{number}"))
}

/// Rows that look random and are the same everywhere.
fn row(number: usize) -> Vec<f32> {
    (0..DIMS).map(|i| ((number * 7 + i * 13) as f32 * 0.37).sin()).collect()
}

fn settings() -> Settings {
    Settings {
        fusion: Fusion::default(),
        policy: Policy::default(),
        learning: LearningConfig::default(),
        base: "base".into(),
        catalogue_hash: "catalogue".into(),
    }
}

fn scorer() -> Scorer {
    // Made once: the device's random numbers are shared by all tests of the process.
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 2, max_length: 5 };
    let bytes = WEIGHTS.get_or_init(|| {
        let body = Body::new(&config, 0.0, &Device::flex()).unwrap();
        body.to_bytes(&HashMap::new()).unwrap()
    });
    Scorer::new(&config, bytes, &Device::flex()).unwrap()
}

fn whole_rows() -> RowStore {
    let table: Vec<f32> = (0..ITEMS).flat_map(row).collect();
    let table = ItemTable::quantise(&table, DIMS).unwrap();
    RowStore::whole(table, (0..ITEMS).map(id)).unwrap()
}

fn session_with(settings: Settings) -> Session {
    Session::new(scorer(), whole_rows(), settings).unwrap()
}

fn session() -> Session {
    session_with(settings())
}

fn response(items: impl IntoIterator<Item = usize>) -> CandidatesResponse {
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
            })
            .collect(),
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    }
}

fn click(item: usize) -> Event {
    Event { kind: EventKind::Click, item: id(item) }
}

fn give(session: &mut Session, items: impl IntoIterator<Item = usize>, now_ms: f64) {
    let (_, ticket) = session.begin_request(None, now_ms);
    assert!(session.accept(ticket, response(items), now_ms).unwrap());
}

#[test]
fn without_a_list_there_is_nothing_and_the_cloud_is_asked() {
    let session = session();
    let ranked = block_on(session.rank()).unwrap();
    assert!(ranked.items.is_empty());
    let decision = session.decide(&ranked, Connection::default(), 0.0);
    assert_eq!((decision.action, decision.reason), (Action::Request, Reason::NoCandidates));
    let offline = Connection { offline: true, ..Connection::default() };
    assert_eq!(session.decide(&ranked, offline, 0.0).reason, Reason::Offline);
}

#[test]
fn before_the_first_click_the_language_models_order_stands() {
    let mut session = session();
    give(&mut session, 0..20, 0.0);
    let ranked = block_on(session.rank()).unwrap();
    let order: Vec<usize> = ranked.items.iter().map(|item| item.llm_rank).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert!(ranked.items.iter().all(|item| item.srm_score.is_none()));
    assert_eq!(ranked.disagreement, None);
}

#[test]
fn a_click_reorders_and_what_was_seen_or_disliked_never_comes_back() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    session.track(&click(4));
    session.track(&Event { kind: EventKind::Dislike, item: id(7) });
    session.track(&Event { kind: EventKind::View, item: id(9) });
    let ranked = block_on(session.rank()).unwrap();
    let items: HashSet<&ItemId> = ranked.items.iter().map(|item| &item.item).collect();
    assert_eq!(items.len(), 28);
    assert!(!items.contains(&id(4)) && !items.contains(&id(7)) && items.contains(&id(9)));
    assert_ne!(
        ranked.items.iter().map(|item| item.llm_rank).collect::<Vec<_>>(),
        (0..28).collect::<Vec<_>>()
    );
    // Ranks are permutations of what is left.
    let mut ranks: Vec<usize> = ranked.items.iter().map(|item| item.srm_rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, (0..28).collect::<Vec<_>>());
    let disagreement = ranked.disagreement.unwrap();
    assert!(disagreement > 0.0 && disagreement <= 1.0);
}

#[test]
fn a_list_of_what_is_popular_gives_way_to_a_personal_one() {
    let mut session = session();
    let (_, ticket) = session.begin_request(None, 0.0);
    let popular = CandidatesResponse { ranking: Ranking::Popularity, ..response(0..30) };
    session.accept(ticket, popular, 0.0).unwrap();
    let decide = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 1.0).reason
    };
    assert_eq!(decide(&session), Reason::ListUpToDate);
    session.track(&click(4));
    assert_eq!(decide(&session), Reason::ListNotPersonal);
}

#[test]
fn the_decision_follows_the_disagreement() {
    let decide = |threshold: f32| {
        let policy = Policy { threshold, ..Policy::default() };
        let mut session = session_with(Settings { policy, ..settings() });
        give(&mut session, 0..30, 0.0);
        session.track(&click(4));
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 1.0)
    };
    let (never, always) = (decide(1.0), decide(0.0));
    assert!(matches!(never.reason, Reason::RankingsAgree { .. }));
    assert!(matches!(always.reason, Reason::RankingsDisagree { .. }));
    assert_eq!((never.action, always.action), (Action::Keep, Action::Request));
}

#[test]
fn a_request_carries_history_and_exclusions_and_its_size_is_bounded() {
    let mut session = session();
    for item in 0..MAX_SENT_HISTORY + 3 {
        session.track(&click(item));
    }
    session.track(&Event { kind: EventKind::Dislike, item: id(999) });
    let (request, _) = session.begin_request(Some(20), 0.0);
    assert_eq!(request.history.len(), MAX_SENT_HISTORY);
    assert_eq!(request.history.last(), Some(&id(MAX_SENT_HISTORY + 2)));
    let excluded: HashSet<ItemId> = request.exclude.into_iter().collect();
    assert_eq!(excluded, HashSet::from([id(0), id(1), id(2), id(999)]));
    assert_eq!(request.k, Some(20));
    assert!(!request.rows, "the whole table is here");
}

#[test]
fn an_answer_to_a_question_asked_before_a_reset_is_dropped() {
    let mut session = session();
    session.track(&click(1));
    let (_, ticket) = session.begin_request(None, 0.0);
    session.reset();
    assert!(!session.accept(ticket, response(0..5), 1.0).unwrap());
    assert!(block_on(session.rank()).unwrap().items.is_empty());
}

#[test]
fn a_list_of_another_catalogue_or_with_damaged_rows_leaves_the_old_one() {
    let mut session = session();
    give(&mut session, 0..5, 0.0);
    let (_, ticket) = session.begin_request(None, 1.0);
    let foreign = CandidatesResponse { catalogue_hash: "other".into(), ..response(5..9) };
    assert!(matches!(
        session.accept(ticket, foreign, 1.0),
        Err(SessionError::ForeignCatalogue { .. })
    ));
    let mut damaged = response(5..9);
    damaged.candidates[0].row = Some("not base64!".into());
    assert!(matches!(session.accept(ticket, damaged, 1.0), Err(SessionError::Row { .. })));
    let mut short = response(5..9);
    short.history_rows = vec![ItemRow { item: id(1), row: "AAAAAA==".into() }];
    assert!(matches!(
        session.accept(ticket, short, 1.0),
        Err(SessionError::Model(ModelError::Length { .. }))
    ));
    assert_eq!(block_on(session.rank()).unwrap().items[0].item, id(0));
}

#[test]
fn a_device_without_the_table_works_with_the_rows_it_is_sent() {
    let mut thin = Session::new(scorer(), RowStore::new(DIMS), settings()).unwrap();
    thin.track(&click(4));
    let (request, ticket) = thin.begin_request(None, 0.0);
    assert!(request.rows);
    assert_eq!(thin.missing_rows(), vec![id(4)]);
    let wire = |item: usize| encode_row(id(item), &QuantisedRow::quantise(&row(item)).unwrap());
    let mut sent = response(10..30);
    for (candidate, item) in sent.candidates.iter_mut().zip(10..30) {
        // One row is left out: that candidate cannot be scored, and nothing breaks.
        candidate.row = (item != 12).then(|| wire(item).row);
    }
    sent.history_rows = vec![wire(4)];
    thin.accept(ticket, sent, 0.0).unwrap();
    assert!(thin.missing_rows().is_empty());
    let ranked = block_on(thin.rank()).unwrap();
    assert_eq!(ranked.non_finite, 1);

    let mut full = session();
    full.track(&click(4));
    give(&mut full, 10..30, 0.0);
    let expected = block_on(full.rank()).unwrap();
    for item in &ranked.items {
        let same = expected.items.iter().find(|other| other.item == item.item).unwrap();
        assert_eq!(item.srm_score, (item.item != id(12)).then_some(same.srm_score).flatten());
    }
}

#[test]
fn learning_follows_clicks_and_lifts_what_was_chosen() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    assert_eq!(block_on(session.learn()).unwrap(), None);
    session.track(&click(1));
    assert_eq!(block_on(session.learn()).unwrap(), None, "a first click was chosen from nothing");
    for item in [8, 15] {
        session.track(&click(item));
        let outcome = block_on(session.learn()).unwrap().unwrap();
        assert!(outcome.loss_after < outcome.loss_before, "{outcome:?}");
    }
    assert_eq!(block_on(session.learn()).unwrap(), None, "each click is learnt from once");
    assert_eq!(session.delta().steps(), 2);
}

#[test]
fn a_session_is_exported_imported_and_erased() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    for item in [3, 8, 15] {
        session.track(&click(item));
        block_on(session.learn()).unwrap();
    }
    session.track(&Event { kind: EventKind::Dislike, item: id(20) });
    let bytes = session.export().unwrap();
    let before = block_on(session.rank()).unwrap();
    let decided = session.decide(&before, Connection::default(), 5.0);

    let mut other = self::session();
    other.import(&bytes, 0.0).unwrap();
    assert_eq!(other.history(), session.history());
    assert_eq!(other.delta(), session.delta());
    assert_eq!(block_on(other.rank()).unwrap(), before);
    assert_eq!(other.clicks(), 4);
    assert_eq!(
        other.decide(&before, Connection::default(), 5.0).reason.code(),
        decided.reason.code()
    );

    session.reset();
    let erased = String::from_utf8(session.export().unwrap()).unwrap();
    assert!(!erased.contains("sku-"), "{erased}");
    assert_eq!(session.delta().steps(), 0);
}

#[test]
fn imports_that_do_not_fit_are_refused_and_change_nothing() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    for item in [3, 8] {
        session.track(&click(item));
    }
    block_on(session.learn()).unwrap();
    let bytes = session.export().unwrap();

    let mut other = session_with(Settings { base: "newer".into(), ..settings() });
    other.track(&click(5));
    assert!(matches!(
        other.import(&bytes, 0.0),
        Err(SessionError::Model(ModelError::ForeignBase { .. }))
    ));
    let mut shop = session_with(Settings { catalogue_hash: "shop".into(), ..settings() });
    assert!(matches!(shop.import(&bytes, 0.0), Err(SessionError::ForeignCatalogue { .. })));
    assert!(matches!(other.import(&bytes[..bytes.len() / 2], 0.0), Err(SessionError::Damaged(_))));
    assert!(matches!(
        other.import(br#"{"version":99}"#, 0.0),
        Err(SessionError::Version { found: 99, .. })
    ));
    assert_eq!(other.history(), [id(5)]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let policy = Policy { trigger: Trigger::EveryKthClick { k: 0 }, ..Policy::default() };
    let bad = Session::new(scorer(), whole_rows(), Settings { policy, ..settings() });
    assert!(matches!(bad, Err(SessionError::Collaboration(_))));
    let narrow = Session::new(scorer(), RowStore::new(4), settings());
    assert!(matches!(narrow, Err(SessionError::Model(ModelError::Length { .. }))));
}

fn learnt_rule(threshold: f32) -> Settings {
    // What counts is the small model's wish for items outside the list, beyond what it
    // wished for when the list was new.
    let model = UpliftModel { margin: 1.0, margin_baseline: -1.0, ..UpliftModel::default() };
    let policy = Policy { trigger: Trigger::Uplift { threshold, model }, ..Policy::default() };
    Settings { policy, ..settings() }
}

#[test]
fn a_learnt_rule_compares_the_list_with_what_lies_outside() {
    let mut session = session_with(learnt_rule(0.0));
    session.prepend_history([id(39)]);
    give(&mut session, 0..30, 0.0);
    let new = block_on(session.rank()).unwrap();
    let list_advantage = new.list_advantage.unwrap();
    // The nine items outside that are not in the history, against the list's best ten.
    let best = |ranked: &tandem_session::Ranked| -> f32 {
        let mut scores: Vec<f32> =
            ranked.items.iter().map(|item| item.srm_score.unwrap()).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.iter().take(10).sum::<f32>() / 10.0
    };
    let mut outside = session_with(settings());
    outside.prepend_history([id(39)]);
    give(&mut outside, 30..39, 0.0);
    let others = block_on(outside.rank()).unwrap();
    let mean = others.items.iter().map(|item| item.srm_score.unwrap()).sum::<f32>() / 9.0;
    let margin = mean - best(&new);
    assert!((list_advantage.margin - margin).abs() < 1e-4, "{list_advantage:?} is not {margin}");

    session.track(&click(4));
    session.track(&click(39));
    let ranked = block_on(session.rank()).unwrap();
    let evidence = session.uplift_evidence(&ranked).unwrap();
    assert_eq!((evidence.clicks_since, evidence.missed), (2, 1), "39 was not in the list");
    assert_eq!((evidence.baseline, Some(evidence.now)), (list_advantage, ranked.list_advantage));
    let Trigger::Uplift { model, threshold } = learnt_rule(0.0).policy.trigger else {
        unreachable!("the rule is learnt");
    };
    let gain = model.predict(&evidence);
    assert!((gain - (evidence.now.margin - list_advantage.margin)).abs() < 1e-5);
    let expected = if gain > threshold {
        (Action::Request, Reason::FreshListHelps { gain, threshold })
    } else {
        (Action::Keep, Reason::FreshListHelpsLittle { gain, threshold })
    };
    let decision = session.decide(&ranked, Connection::default(), 1.0);
    assert_eq!((decision.action, decision.reason), expected);

    // A reload does not take the aged list for a new one.
    let mut other = session_with(learnt_rule(0.0));
    other.import(&session.export().unwrap(), 0.0).unwrap();
    let again = block_on(other.rank()).unwrap();
    assert_eq!(other.uplift_evidence(&again).unwrap().baseline, list_advantage);
}

#[test]
fn a_learnt_rule_without_anything_to_compare_goes_by_the_orders() {
    let mut thin = Session::new(scorer(), RowStore::new(DIMS), learnt_rule(-10.0)).unwrap();
    thin.track(&click(4));
    let (_, ticket) = thin.begin_request(None, 0.0);
    let wire = |item: usize| encode_row(id(item), &QuantisedRow::quantise(&row(item)).unwrap());
    let mut sent = response(10..30);
    for (candidate, item) in sent.candidates.iter_mut().zip(10..30) {
        candidate.row = Some(wire(item).row);
    }
    sent.history_rows = vec![wire(4)];
    thin.accept(ticket, sent, 0.0).unwrap();
    thin.track(&click(12));
    let ranked = block_on(thin.rank()).unwrap();
    assert_eq!(ranked.list_advantage, None, "only the list and the history are known");
    let reason = thin.decide(&ranked, Connection::default(), 1.0).reason;
    assert!(
        matches!(reason, Reason::RankingsAgree { .. } | Reason::RankingsDisagree { .. }),
        "{reason}"
    );
    // Without the rule nobody pays for the comparison.
    let mut plain = session();
    give(&mut plain, 0..30, 0.0);
    plain.track(&click(4));
    assert_eq!(block_on(plain.rank()).unwrap().list_advantage, None);
}

#[test]
fn lists_of_nothing_and_of_one_item_are_ranked_and_learnt_from() {
    for length in [0, 1] {
        let mut session = session_with(learnt_rule(0.0));
        session.prepend_history([id(7)]);
        give(&mut session, 10..10 + length, 0.0);
        session.track(&click(3));
        let ranked = block_on(session.rank()).unwrap();
        assert_eq!((ranked.items.len(), ranked.disagreement), (length, None));
        let decision = session.decide(&ranked, Connection::default(), 1.0);
        assert_eq!(decision.reason, Reason::ListUsedUp { left: length });
        let outcome = block_on(session.learn()).unwrap();
        assert_eq!(outcome.is_some(), length == 1, "one candidate was passed over");
    }
}

#[test]
fn a_visitor_with_one_item_is_served_and_teaches_from_the_second() {
    let mut session = session();
    give(&mut session, 0..20, 0.0);
    session.track(&click(5));
    assert_eq!(block_on(session.learn()).unwrap(), None);
    let ranked = block_on(session.rank()).unwrap();
    assert_eq!(ranked.items.len(), 19);
    assert!(ranked.items.iter().all(|item| item.score.is_finite()));
    session.track(&click(6));
    assert!(block_on(session.learn()).unwrap().is_some());
}

#[test]
fn equal_scores_leave_the_language_models_order() {
    // Every item has the same row, and so the same score.
    let table = ItemTable::quantise(&[0.0; DIMS * ITEMS], DIMS).unwrap();
    let rows = RowStore::whole(table, (0..ITEMS).map(id)).unwrap();
    let mut session = Session::new(scorer(), rows, learnt_rule(0.0)).unwrap();
    give(&mut session, 0..20, 0.0);
    session.track(&click(30));
    session.track(&click(31));
    let ranked = block_on(session.rank()).unwrap();
    let order: Vec<usize> = ranked.items.iter().map(|item| item.llm_rank).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert_eq!((ranked.disagreement, ranked.non_finite), (Some(0.0), 0));
    let outcome = block_on(session.learn()).unwrap().unwrap();
    assert!((outcome.loss_before - 21_f32.ln()).abs() < 1e-5, "{outcome:?}");
}

#[test]
fn an_item_without_a_finite_score_falls_to_the_end() {
    let mut thin = Session::new(scorer(), RowStore::new(DIMS), settings()).unwrap();
    thin.track(&click(4));
    let (_, ticket) = thin.begin_request(None, 0.0);
    let wire = |item: usize| encode_row(id(item), &QuantisedRow::quantise(&row(item)).unwrap());
    let mut sent = response(10..20);
    for (candidate, item) in sent.candidates.iter_mut().zip(10..20) {
        candidate.row = (item != 10).then(|| wire(item).row);
    }
    sent.candidates[3].logprob = f32::NAN;
    sent.history_rows = vec![wire(4)];
    thin.accept(ticket, sent, 0.0).unwrap();
    let ranked = block_on(thin.rank()).unwrap();
    let last: HashSet<&ItemId> = ranked.items[8..].iter().map(|item| &item.item).collect();
    assert_eq!(last, HashSet::from([&id(10), &id(13)]));
    assert_eq!(ranked.non_finite, 2);
    assert!(ranked.items.iter().all(|item| item.score.is_finite()));
}

#[test]
fn a_delta_of_a_newer_version_is_refused() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    for item in [3, 8] {
        session.track(&click(item));
        block_on(session.learn()).unwrap();
    }
    let text = String::from_utf8(session.export().unwrap()).unwrap();
    let newer = text.replacen(r#""delta":{"version":2"#, r#""delta":{"version":3"#, 1);
    assert_ne!(newer, text);
    let mut other = self::session();
    let error = other.import(newer.as_bytes(), 0.0).unwrap_err();
    assert!(matches!(error, SessionError::Model(ModelError::Version { supported: 2, found: 3 })));
    assert_eq!(error.code(), tandem_protocol::ErrorCode::UnsupportedVersion);
    assert_eq!(other.delta().steps(), 0);
}

#[test]
fn learning_settings_that_make_no_sense_are_refused() {
    let learning = LearningConfig { forgetting: 2.0, ..LearningConfig::default() };
    let bad = Session::new(scorer(), whole_rows(), Settings { learning, ..settings() });
    assert!(matches!(bad, Err(SessionError::Model(ModelError::Config(_)))));
}
