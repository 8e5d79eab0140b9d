//! Co-occurrence counts beside the small model.

use std::{collections::BTreeMap, sync::Arc};

use futures_lite::future::block_on;
use tandem_model::CountRows;
use tandem_protocol::{ItemCounts, ItemId, NearItem, RowsResponse};
use tandem_session::{Ranked, RowStore, Session, Settings};

use crate::support::{
    DIMS, ITEMS, give, id, learn, row, scorer, session, session_with, settings, thin_session,
    track, wire,
};

/// Item `at` was chosen near the items `at + 17` and, half as often, `at + 5`.
fn counts() -> Arc<CountRows> {
    let near = |at: usize, by: usize| ((at + by) % ITEMS) as u32;
    let rows: Vec<Vec<(u32, f32)>> =
        (0..ITEMS).map(|at| vec![(near(at, 17), 2.0), (near(at, 5), 1.0)]).collect();
    Arc::new(CountRows::new(&rows).unwrap())
}

fn with_counts(settings: Settings, weight: f32) -> Session {
    let mut session = session_with(settings);
    session.set_counts(counts(), weight).unwrap();
    session
}

fn rank(session: &Session) -> Ranked {
    block_on(session.rank()).unwrap()
}

fn scores(ranked: &Ranked) -> BTreeMap<ItemId, f32> {
    ranked.items.iter().map(|item| (item.item.clone(), item.srm_score.unwrap())).collect()
}

/// Length of the hidden state after the clicks.
fn hidden_length(clicks: &[usize]) -> f32 {
    let rows: Vec<f32> = clicks.iter().flat_map(|&item| row(item)).collect();
    let encoded = block_on(scorer().encode(&rows)).unwrap();
    scorer().hidden_length(encoded.user()).unwrap()
}

#[test]
fn a_score_is_that_of_the_model_and_the_weighted_counts_of_the_history() {
    let (mut plain, mut counted) = (session(), with_counts(settings(), 0.5));
    for session in [&mut plain, &mut counted] {
        give(session, 0..ITEMS, 0.0);
        track(session, 3);
        track(session, 9);
    }
    let (without, with) = (scores(&rank(&plain)), scores(&rank(&counted)));
    // c: 26 and 14 near item 9 (the newest), 20 and 8 near item 3, which is one older.
    let c = BTreeMap::from([(26, 2.0), (14, 1.0), (20, 0.8 * 2.0), (8, 0.8)]);
    let length = c.values().map(|count| count * count).sum::<f32>().sqrt();
    let factor = 0.5 * hidden_length(&[3, 9]) / length;
    for item in 0..ITEMS {
        let (Some(before), Some(after)) = (without.get(&id(item)), with.get(&id(item))) else {
            assert!([3, 9].contains(&item));
            continue;
        };
        let expected = before + factor * c.get(&item).copied().unwrap_or(0.0);
        assert!((after - expected).abs() < 0.01, "{item}: {after} {expected}");
    }
}

/// Gives a session counts that name one item after each: the worst after item 3 by the model
/// alone, which is returned.
fn count_the_worst(session: &mut Session) -> ItemId {
    let mut plain = crate::support::session();
    give(&mut plain, 0..ITEMS, 0.0);
    track(&mut plain, 3);
    let ranked = rank(&plain);
    let worst = ranked.items.iter().max_by_key(|item| item.srm_rank).unwrap().item.clone();
    let position = (0..ITEMS).find(|at| id(*at) == worst).unwrap();
    let rows = CountRows::new(&vec![vec![(position as u32, 1.0)]; ITEMS]).unwrap();
    session.set_counts(Arc::new(rows), 100.0).unwrap();
    worst
}

#[test]
fn the_pool_holds_the_best_of_the_catalogue_by_the_whole_score() {
    let mut counted = session_with(Settings { search_k: 4, ..settings() });
    let worst = count_the_worst(&mut counted);
    track(&mut counted, 3);
    let ranked = rank(&counted);
    assert_eq!(ranked.items[0].item, worst);
    // All items, with the same counts.
    let mut all = session();
    count_the_worst(&mut all);
    give(&mut all, 0..ITEMS, 0.0);
    track(&mut all, 3);
    let mut best: Vec<(f32, ItemId)> =
        scores(&rank(&all)).into_iter().map(|(item, score)| (score, item)).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let found: Vec<&ItemId> = ranked.items[..4].iter().map(|item| &item.item).collect();
    assert_eq!(found, best[..4].iter().map(|(_, item)| item).collect::<Vec<_>>());
}

#[test]
fn counted_items_follow_the_rules_of_the_page() {
    let mut session = with_counts(Settings { search_k: 4, ..settings() }, 3.0);
    session.set_excluded([id(20)].into(), false);
    track(&mut session, 3);
    let ranked = rank(&session);
    assert!(ranked.items.iter().all(|item| item.item != id(20)));
    // A list without a search gets no further items.
    let mut listed = with_counts(settings(), 3.0);
    give(&mut listed, 0..6, 0.0);
    track(&mut listed, 3);
    assert_eq!(rank(&listed).items.len(), 5);
}

#[test]
fn disagreement_is_of_the_order_with_counts() {
    let disagreement = |mut session: Session| {
        give(&mut session, 0..ITEMS, 0.0);
        track(&mut session, 3);
        rank(&session).disagreement.unwrap()
    };
    let mut counted = session();
    count_the_worst(&mut counted);
    assert!((disagreement(session()) - disagreement(counted)).abs() > 1e-4);
}

#[test]
fn an_explanation_leaves_items_out_of_the_counts_as_well() {
    let mut session = with_counts(settings(), 30.0);
    give(&mut session, 0..ITEMS, 0.0);
    track(&mut session, 9);
    track(&mut session, 3);
    // Item 20 is there because of item 3.
    let why = block_on(session.explain(&id(20))).unwrap().unwrap();
    assert_eq!(why.contributions[0].item, id(3));
    assert!(why.contributions[0].logit > 1.0, "{why:?}");
}

#[test]
fn learning_is_that_of_a_session_without_counts() {
    let (mut plain, mut counted) = (session(), with_counts(settings(), 0.5));
    for session in [&mut plain, &mut counted] {
        give(session, 0..ITEMS, 0.0);
        track(session, 3);
        track(session, 9);
        learn(session);
    }
    assert_eq!(plain.delta(), counted.delta());
}

#[test]
fn counts_of_another_catalogue_are_refused() {
    let few = Arc::new(CountRows::new(&[Vec::new()]).unwrap());
    let refused = session().set_counts(Arc::clone(&few), 1.0).unwrap_err().to_string();
    assert!(refused.contains("count rows: expected 40, found 1"), "{refused}");
    assert!(thin_session().set_counts(counts(), 1.0).is_err(), "without the whole table");
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        assert!(session().set_counts(counts(), weight).is_err());
    }
}

/// The server's answer about the neighbours of these items, with their rows, and the rows of
/// `items`.
fn answer(items: &[usize], counted: &[ItemId]) -> RowsResponse {
    let number = |item: &ItemId| (0..ITEMS).find(|at| id(*at) == *item).unwrap();
    let near = |(position, weight): (u32, f32)| NearItem {
        item: id(position as usize),
        weight,
        row: Some(wire(position as usize).row),
    };
    let counts = counted.iter().map(|item| ItemCounts {
        item: item.clone(),
        near: counts().row(number(item)).map(near).collect(),
    });
    RowsResponse {
        rows: items.iter().map(|item| wire(*item)).collect(),
        counts: counts.collect(),
        ..RowsResponse::default()
    }
}

/// A session without the item table, whose server sends counts.
fn asking(weight: f32) -> Session {
    let settings = Settings { search_k: ITEMS, ..settings() };
    let mut session = Session::new(scorer(), RowStore::new(DIMS), settings).unwrap();
    session.use_sent_counts(weight).unwrap();
    session
}

/// A click, and the answer of the server.
fn track_with_counts(session: &mut Session, item: usize) -> Vec<ItemId> {
    track(session, item);
    let missing = session.missing_counts();
    let response = answer(&[item], &missing);
    session.accept_counts(&missing, &response).unwrap();
    session.accept_rows(&[id(item)], &response).unwrap();
    missing
}

#[test]
fn sent_counts_score_as_those_of_the_whole_catalogue() {
    let mut whole = with_counts(Settings { search_k: ITEMS, ..settings() }, 0.5);
    let mut sent = asking(0.5);
    for item in [3, 9, 3, 14] {
        track(&mut whole, item);
        track_with_counts(&mut sent, item);
        let (expected, found) = (scores(&rank(&whole)), scores(&rank(&sent)));
        assert!(found.len() >= 2, "the neighbours are ranked without a list or a table");
        for (item, score) in found {
            assert!((score - expected[&item]).abs() < 1e-4, "{item}");
        }
    }
}

#[test]
fn counts_are_missing_until_they_are_sent_and_only_those_of_the_newest_items_stay() {
    let mut session = asking(0.5);
    assert!(session.missing_counts().is_empty());
    track(&mut session, 3);
    track(&mut session, 9);
    assert_eq!(session.missing_counts(), [id(9), id(3)]);
    // The server has counts of one of them: the other one has none.
    let response = answer(&[3, 9], &[id(9)]);
    session.accept_counts(&[id(9), id(3)], &response).unwrap();
    session.accept_rows(&[id(3), id(9)], &response).unwrap();
    assert!(session.missing_counts().is_empty());
    for item in 20..30 {
        assert_eq!(track_with_counts(&mut session, item), [id(item)]);
    }
    track(&mut session, 9);
    assert_eq!(session.missing_counts(), [id(9)], "dropped ten clicks later");
    // Items near item 9 that nothing newer is near.
    let near = scores(&rank(&session));
    assert!(!near.contains_key(&id(14)) && near.contains_key(&id(38)));
    session.reset();
    assert!(session.missing_counts().is_empty() && rank(&session).items.is_empty());
}

#[test]
fn a_click_on_a_neighbour_needs_no_row() {
    let mut session = asking(0.5);
    track_with_counts(&mut session, 3);
    track(&mut session, 20);
    assert!(session.missing_rows().is_empty());
    // Its row stays when the counts of item 3 are dropped.
    for item in 21..35 {
        track_with_counts(&mut session, item);
    }
    assert!(session.missing_rows().is_empty());
}

#[test]
fn an_unusable_answer_leaves_the_session_as_it_was() {
    let mut session = asking(0.5);
    track(&mut session, 3);
    for weight in [f32::NAN, -1.0, f32::INFINITY] {
        let mut response = answer(&[3], &[id(3)]);
        response.counts[0].near[1].weight = weight;
        assert!(session.accept_counts(&[id(3)], &response).is_err());
    }
    let mut response = answer(&[3], &[id(3)]);
    response.counts[0].near[0].row = Some("?".into());
    assert!(session.accept_counts(&[id(3)], &response).is_err());
    assert_eq!(session.missing_counts(), [id(3)]);
    session.remove_counts();
    assert!(session.missing_counts().is_empty() && !session.has_counts());
    assert!(asking(0.5).use_sent_counts(f32::NAN).is_err());
}
