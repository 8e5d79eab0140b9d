//! The device's own search: the pool, exclusions, and what is shown without a list.

use std::collections::HashSet;

use futures_lite::future::block_on;
use tandem_collaboration::{
    Fusion, LanguageModelScore, Normalisation, Reason, Trigger, UpliftModel,
};
use tandem_model::{ItemTable, Scorer};
use tandem_protocol::{
    Artifact, EventKind, ItemId, ModelConfig, ModelKind, RowsResponse, SearchConfig,
};
use tandem_session::{Connection, Ranked, RowStore, SearchMode, SearchSource, Session, Settings};

use crate::support::{
    DIMS, ITEMS, event, give, id, learn, row, session, session_with, settings, track, weights,
    whole_rows, wire,
};

/// Settings with a search for the best `k`.
fn searching(k: usize) -> Settings {
    Settings { search_k: k, ..settings() }
}

fn rank(session: &Session) -> Ranked {
    block_on(session.rank()).unwrap()
}

fn items(ranked: &Ranked) -> Vec<ItemId> {
    ranked.items.iter().map(|item| item.item.clone()).collect()
}

/// The items of the whole catalogue without `without`, by the small model's score.
fn by_small_model(session: &Session, without: &[usize]) -> Vec<ItemId> {
    let all: Vec<usize> = (0..ITEMS).filter(|item| !without.contains(item)).collect();
    let mut plain = crate::support::session();
    for item in session.history() {
        plain.track(&tandem_protocol::Event { kind: EventKind::Click, item: item.clone() });
    }
    give(&mut plain, all, 0.0);
    let mut ranked = rank(&plain).items;
    ranked.sort_by_key(|item| item.srm_rank);
    ranked.into_iter().map(|item| item.item).collect()
}

#[test]
fn a_pool_is_the_remaining_list_and_the_best_of_the_catalogue() {
    let mut session = session_with(searching(10));
    give(&mut session, 0..12, 0.0);
    track(&mut session, 4);
    session.track(&event(EventKind::Dislike, 30));
    let ranked = rank(&session);
    let best: HashSet<ItemId> = by_small_model(&session, &[4, 30]).into_iter().take(10).collect();
    let listed: HashSet<ItemId> = (0..12).filter(|item| *item != 4).map(id).collect();
    assert_eq!(items(&ranked).into_iter().collect::<HashSet<_>>(), &best | &listed);
    assert_eq!(ranked.items.len(), (&best | &listed).len(), "no item twice");
    for item in &ranked.items {
        assert_eq!(item.listed, listed.contains(&item.item));
        assert_eq!((item.listed, item.listed), (item.llm_rank.is_some(), item.logprob.is_some()));
        assert!(item.srm_score.is_some());
    }
    // The disagreement and the language model's ranks are of the list alone.
    let mut plain = session_with(settings());
    give(&mut plain, 0..12, 0.0);
    track(&mut plain, 4);
    session.undo(); // the dislike
    let without = rank(&plain);
    let with = rank(&session);
    assert_eq!(with.disagreement, without.disagreement);
    for item in without.items {
        let same = with.items.iter().find(|other| other.item == item.item).unwrap();
        assert_eq!((same.llm_rank, same.srm_score), (item.llm_rank, item.srm_score));
    }
}

#[test]
fn unlisted_items_are_a_gap_below_the_last_of_the_list() {
    // Alpha 1: the language model decides alone.
    let fusion = |gap: f32| Fusion::Weighted {
        alpha: 1.0,
        language_model: LanguageModelScore::LogProb,
        small_model: Normalisation::MinMax,
        unlisted_gap: gap,
    };
    let mut session = session_with(Settings { fusion: fusion(0.5), ..searching(40) });
    give(&mut session, 0..3, 0.0);
    track(&mut session, 2);
    let ranked = rank(&session);
    assert_eq!(items(&ranked)[..2], [id(0), id(1)]);
    // Log-probabilities -1, -1.1, and -1.2 - 0.5 although the last item was clicked.
    let scores: Vec<f32> = ranked.items.iter().map(|item| item.score).collect();
    assert!((scores[0] - 1.0).abs() < 1e-6 && (scores[1] - 0.6 / 0.7).abs() < 1e-5, "{scores:?}");
    assert!(scores[2..].iter().all(|score| score.abs() < 1e-6));
}

#[test]
fn without_a_search_only_the_list_is_ranked() {
    let mut session = session();
    give(&mut session, 0..12, 0.0);
    for item in [4, 30, 7] {
        track(&mut session, item);
    }
    let ranked = rank(&session);
    assert!(ranked.items.iter().all(|item| item.listed) && ranked.items.len() == 10);
    assert_eq!((ranked.searched, ranked.exhausted), (false, true));
    assert_eq!(block_on(session.rank_deeper(1_000)).unwrap(), ranked);
}

#[test]
fn there_is_always_a_ranking() {
    let popular: Vec<ItemId> = [7, 3, 5].map(id).to_vec();
    let settings = Settings { popular: popular.clone(), ..searching(10) };
    let mut session = session_with(settings);
    let offline = Connection { offline: true, ..Connection::default() };
    // Nothing is known: the popular items.
    assert_eq!(items(&rank(&session)), popular);
    assert_eq!(session.decide(&rank(&session), offline, 0.0).reason, Reason::Offline);
    // A click and no list: the device's own best, then popular items, for these are few.
    track(&mut session, 3);
    let own: Vec<ItemId> = by_small_model(&session, &[3]).into_iter().take(10).collect();
    let ranked = rank(&session);
    assert_eq!(items(&ranked)[..10], own);
    assert!(ranked.items.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(!items(&ranked).contains(&id(3)), "it was clicked");
    assert!(items(&ranked).contains(&id(7)) && items(&ranked).contains(&id(5)));
    // A list that is used up.
    give(&mut session, [3], 0.0);
    assert_eq!(rank(&session), ranked);
    // A list before the first click is in its own order.
    session.reset();
    give(&mut session, 0..30, 0.0);
    assert_eq!(items(&rank(&session)), (0..30).map(id).collect::<Vec<_>>());
}

#[test]
fn a_click_without_a_list_is_learnt_from_what_was_shown() {
    let mut session = session_with(searching(10));
    track(&mut session, 3);
    let ranked = rank(&session);
    session.record_shown(&ranked);
    let second = ranked.items[1].item.clone();
    session.track(&tandem_protocol::Event { kind: EventKind::Click, item: second });
    learn(&mut session);
    assert_eq!(session.delta().steps(), 1);
}

#[test]
fn what_was_learnt_takes_part_in_the_search() {
    let mut settings_of_session = searching(3);
    settings_of_session.learning.preference_rate = 5.0;
    settings_of_session.learning.row_rate = 1.0;
    let mut session = session_with(settings_of_session);
    for item in [3, 8, 15] {
        track(&mut session, item);
        let ranked = rank(&session);
        session.record_shown(&ranked);
        while block_on(session.learn()).unwrap().is_some() {}
    }
    assert!(session.delta().steps() > 0);
    // All scores of the catalogue with what was learnt, row deltas included.
    let mut whole = session_with(settings());
    whole.import(&session.export().unwrap(), 0.0).unwrap();
    give(&mut whole, 0..ITEMS, 0.0);
    let mut expected = rank(&whole).items;
    expected.sort_by_key(|item| item.srm_rank);
    let expected: Vec<(ItemId, Option<f32>)> =
        expected.into_iter().take(3).map(|item| (item.item, item.srm_score)).collect();
    let found = rank(&session).items;
    let found: Vec<(ItemId, Option<f32>)> =
        found.into_iter().map(|item| (item.item, item.srm_score)).collect();
    assert_eq!(found, expected);
    let plain: Vec<ItemId> = by_small_model(&session, &[3, 8, 15]).into_iter().take(3).collect();
    let scored: Vec<ItemId> = found.into_iter().map(|(item, _)| item).collect();
    assert_ne!(scored, plain, "it changed what is found");
}

#[test]
fn a_shop_with_most_items_sold_out_still_fills_the_ranking() {
    let mut session = session_with(searching(4));
    give(&mut session, 0..20, 0.0);
    track(&mut session, 4);
    let available: HashSet<ItemId> = [4, 9, 33, 35, 37].map(id).into();
    session.set_available(Some(available));
    let ranked = rank(&session);
    let found: HashSet<ItemId> = items(&ranked).into_iter().collect();
    assert_eq!(found, [9, 33, 35, 37].map(id).into(), "all that is left");
    session.set_excluded([id(33)].into(), false);
    assert_eq!(rank(&session).items.len(), 3);
    assert!(session.begin_request(None, 0.0).0.exclude.is_empty());
    session.set_excluded([id(33)].into(), true);
    assert_eq!(session.begin_request(None, 0.0).0.exclude, [id(33)]);
    let similar = session.similar(&id(4), 10).unwrap();
    assert!(similar.iter().all(|similar| [9, 35, 37].map(id).contains(&similar.item)));
    session.set_available(None);
    session.set_excluded(HashSet::new(), false);
    assert!(rank(&session).items.len() >= 19);
}

#[test]
fn a_filter_is_refilled_by_deeper_searches() {
    let mut session = session_with(searching(2));
    track(&mut session, 4);
    // A category of five items, wherever they are in the order.
    let category: HashSet<ItemId> = [1, 11, 21, 31, 39].map(id).into();
    let (mut k, mut found) = (2, 0);
    loop {
        let ranked = block_on(session.rank_deeper(k)).unwrap();
        found = items(&ranked).iter().filter(|item| category.contains(*item)).count().max(found);
        if found == category.len() || ranked.exhausted {
            break;
        }
        k *= 2;
    }
    assert_eq!(found, category.len());
    // A filter that nothing passes ends when nothing is left.
    let all = block_on(session.rank_deeper(10_000)).unwrap();
    assert_eq!((all.items.len(), all.exhausted), (ITEMS - 1, true), "k is above the catalogue");
    assert!(!rank(&session).exhausted);
}

#[test]
fn seen_items_come_back_where_things_are_bought_again() {
    let mut session = session_with(Settings { repeats: true, ..searching(40) });
    give(&mut session, 0..10, 0.0);
    for item in 0..3 {
        track(&mut session, item);
    }
    session.track(&event(EventKind::Dislike, 1));
    let ranked = items(&rank(&session));
    assert!(ranked.contains(&id(0)) && ranked.contains(&id(2)));
    assert!(!ranked.contains(&id(1)), "it is disliked");
}

#[test]
fn rows_that_arrive_can_be_found() {
    let mut session = thin_session_searching();
    track(&mut session, 1);
    assert!(rank(&session).items.is_empty());
    let rows: Vec<usize> = vec![1, 5, 6];
    let rows = RowsResponse { rows: rows.into_iter().map(wire).collect(), ..Default::default() };
    session.accept_rows(&[id(1)], &rows).unwrap();
    let found: HashSet<ItemId> = items(&rank(&session)).into_iter().collect();
    assert_eq!(found, [5, 6].map(id).into());
}

fn thin_session_searching() -> Session {
    Session::new(crate::support::scorer(), RowStore::new(DIMS), searching(10)).unwrap()
}

#[test]
fn a_decision_sees_what_the_search_found() {
    let model = UpliftModel { margin: 1.0, ..UpliftModel::default() };
    let mut settings = searching(10);
    settings.policy.trigger = Trigger::Uplift { threshold: 100.0, model };
    settings.policy.min_unseen = 10;
    let mut session = session_with(settings);
    session.prepend_history([id(39)]);
    let first = rank(&session);
    give(&mut session, 0..12, 0.0);
    let new = rank(&session);
    session.record_shown(&new);
    for item in [4, 25, 11, 3] {
        track(&mut session, item);
    }
    let ranked = rank(&session);
    let evidence = session.uplift_evidence(&ranked).unwrap();
    // The margin of the unlisted finds over the list's remaining items.
    let mean = |listed: bool| {
        let mut scores: Vec<f32> = ranked
            .items
            .iter()
            .filter(|item| item.listed == listed)
            .map(|item| item.srm_score.unwrap())
            .collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let best = &scores[..scores.len().min(10)];
        best.iter().sum::<f32>() / best.len() as f32
    };
    assert!((evidence.now.margin - (mean(false) - mean(true))).abs() < 1e-5);
    assert_eq!(evidence.baseline, new.list_advantage.unwrap());
    assert!(evidence.state_drift > 0.0 && evidence.state_drift <= 2.0);
    assert_eq!(evidence.pool, ranked.pool);
    assert!(ranked.pool.confidence > 0.0 && first.searched);
    // Nine items are left of the list. A device that searches needs no more of them.
    let decision = session.decide(&ranked, Connection::default(), 1.0);
    assert!(matches!(decision.reason, Reason::FreshListHelpsLittle { .. }), "{}", decision.reason);

    // The drift survives a reload.
    let mut other =
        session_with(Settings { policy: session_policy(100.0, model), ..searching(10) });
    other.import(&session.export().unwrap(), 0.0).unwrap();
    let again = other.uplift_evidence(&rank(&other)).unwrap();
    assert_eq!(again, evidence);
}

fn session_policy(threshold: f32, model: UpliftModel) -> tandem_collaboration::Policy {
    let trigger = Trigger::Uplift { threshold, model };
    tandem_collaboration::Policy { trigger, min_unseen: 10, ..Default::default() }
}

#[test]
fn din_orders_its_finds_itself() {
    let config =
        ModelConfig { kind: ModelKind::Din, dims: DIMS, blocks: 1, heads: 2, max_length: 5 };
    let scorer = Scorer::new(&config, &weights(&config)).unwrap();
    let mut session = Session::new(scorer, whole_rows(), searching(8)).unwrap();
    track(&mut session, 4);
    track(&mut session, 9);
    let ranked = rank(&session);
    assert_eq!(ranked.items.len(), 8);
    let scores: Vec<f32> = ranked.items.iter().map(|item| item.srm_score.unwrap()).collect();
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
    assert!(ranked.items.iter().enumerate().all(|(rank, item)| item.srm_rank == rank));
    // They are near the mean of the two clicked items' rows.
    let mean: Vec<f32> = row(4).iter().zip(row(9)).map(|(a, b)| (a + b) / 2.0).collect();
    let score = |item: usize| row(item).iter().zip(&mean).map(|(a, b)| a * b).sum::<f32>();
    let mut near: Vec<usize> = (0..ITEMS).filter(|item| ![4, 9].contains(item)).collect();
    near.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let found: HashSet<ItemId> = items(&ranked).into_iter().collect();
    // Rows are stored in 8 bits: the last ones may change places.
    assert!(near[..7].iter().all(|item| found.contains(&id(*item))));
}

#[test]
fn damaged_rows_are_not_found() {
    let table: Vec<f32> = (0..ITEMS).flat_map(row).collect();
    let mut bytes = ItemTable::quantise(&table, DIMS).unwrap().as_bytes().to_vec();
    let start = 8 + 12 * (4 + DIMS);
    bytes[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let rows = RowStore::whole(ItemTable::from_bytes(bytes).unwrap(), (0..ITEMS).map(id)).unwrap();
    let mut session = Session::new(crate::support::scorer(), rows, searching(40)).unwrap();
    track(&mut session, 4);
    let found = items(&rank(&session));
    assert_eq!(found.len(), ITEMS - 2);
    assert!(!found.contains(&id(12)));
}

#[test]
fn the_page_and_the_manifest_choose_what_is_searched() {
    let whole = SearchConfig::default();
    let artifact = Artifact { path: "cells.bin".into(), sha256: String::new(), bytes: 1 };
    let cells = SearchConfig { cells: Some(artifact), ..SearchConfig::default() };
    for (mode, none, of_whole, of_cells) in [
        (SearchMode::Auto, None, Some(SearchSource::Whole), Some(SearchSource::Cells)),
        (SearchMode::Cells, None, Some(SearchSource::Whole), Some(SearchSource::Cells)),
        (
            SearchMode::Whole,
            Some(SearchSource::Whole),
            Some(SearchSource::Whole),
            Some(SearchSource::Whole),
        ),
        (SearchMode::Off, None, None, None),
    ] {
        assert_eq!(mode.source(None), none, "{mode:?}");
        assert_eq!(mode.source(Some(&whole)), of_whole, "{mode:?}");
        assert_eq!(mode.source(Some(&cells)), of_cells, "{mode:?}");
    }
}

/// The catalogue changes under a session: lists and cells of the new one are refused, and the
/// session goes on with what it has; the new model takes over history and dislikes.
#[test]
fn a_changed_catalogue_ends_the_lists_and_not_the_session() {
    let mut session = session_with(searching(10));
    give(&mut session, 0..12, 0.0);
    track(&mut session, 4);
    let before = rank(&session);
    let (_, ticket) = session.begin_request(None, 1.0);
    let list = tandem_protocol::CandidatesResponse {
        catalogue_hash: "newer".into(),
        ..crate::support::response(12..20)
    };
    let error = session.accept(ticket, list, 1.0).unwrap_err();
    assert_eq!(error.code(), tandem_protocol::ErrorCode::CatalogueChanged);
    assert_eq!(rank(&session), before);

    // Of the new catalogue, item 4 has gone.
    let table: Vec<f32> = (5..ITEMS).flat_map(row).collect();
    let table = ItemTable::quantise(&table, DIMS).unwrap();
    let rows = RowStore::whole(table, (5..ITEMS).map(id)).unwrap();
    let settings =
        Settings { catalogue_hash: "newer".into(), popular: vec![id(6)], ..searching(10) };
    let mut newer = Session::new(crate::support::scorer(), rows, settings).unwrap();
    newer.restore(&session.export().unwrap(), 2.0).unwrap();
    assert_eq!(newer.history(), session.history());
    assert!(newer.is_unknown(&id(4)) && !newer.is_unknown(&id(5)));
    assert_eq!(items(&rank(&newer)), [id(6)], "nothing of the history can be read");
    track(&mut newer, 7);
    assert!(rank(&newer).searched);
}
