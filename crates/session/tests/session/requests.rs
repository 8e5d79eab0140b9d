//! Requests to the server and its answers.

use std::collections::HashSet;

use futures_lite::future::block_on;
use tandem_model::ModelError;
use tandem_protocol::{CandidatesResponse, Event, EventKind, ItemId, ItemRow, RowsResponse};
use tandem_session::{MAX_SENT_EXCLUSIONS, MAX_SENT_HISTORY, SessionError};

use crate::support::{
    ITEMS, click, give, id, learn, response, session, session_on, thin_session, track, wire,
};

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

/// A server refuses a longer list, and would do so at every request.
#[test]
fn exclusions_of_the_site_fill_what_the_visitor_leaves_of_the_limit() {
    let mut session = session();
    for item in 0..MAX_SENT_HISTORY + 3 {
        session.track(&click(item));
    }
    for item in 5_000..5_010 {
        session.track(&Event { kind: EventKind::Dislike, item: id(item) });
    }
    session.set_excluded((10_000..22_000).map(id).collect(), true);
    let (request, _) = session.begin_request(None, 0.0);
    assert_eq!(request.exclude.len(), MAX_SENT_EXCLUSIONS);
    let excluded: HashSet<ItemId> = request.exclude.into_iter().collect();
    assert_eq!(excluded.len(), MAX_SENT_EXCLUSIONS, "no item twice");
    assert!((0..3).chain(5_000..5_010).map(id).all(|item| excluded.contains(&item)));
}

#[test]
fn an_answer_to_a_request_before_a_reset_is_dropped() {
    let mut session = session();
    session.track(&click(1));
    let (_, ticket) = session.begin_request(None, 0.0);
    session.reset();
    assert!(!session.accept(ticket, response(0..5), 1.0).unwrap());
    assert!(block_on(session.rank()).unwrap().items.is_empty());
}

#[test]
fn a_list_of_another_catalogue_or_with_damaged_rows_is_refused() {
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
fn a_device_without_the_table_uses_the_rows_it_is_sent() {
    let mut thin = thin_session();
    thin.track(&click(4));
    let (request, ticket) = thin.begin_request(None, 0.0);
    assert!(request.rows);
    assert_eq!(thin.missing_rows(), vec![id(4)]);
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
fn the_chosen_language_model_is_requested() {
    let mut session = session_on("base");
    assert_eq!(session.begin_request(None, 0.0).0.model, None);
    session.choose_language_model(Some("large".into()));
    assert_eq!(session.begin_request(None, 0.0).0.model.as_deref(), Some("large"));
}

/// Rows for all candidates, none for the clicked items outside the list.
fn list_with_rows(items: std::ops::Range<usize>) -> CandidatesResponse {
    let mut list = response(items.clone());
    for (candidate, item) in list.candidates.iter_mut().zip(items) {
        candidate.row = Some(wire(item).row);
    }
    list
}

#[test]
fn a_click_outside_the_list_counts_once_its_row_arrives() {
    let mut session = thin_session();
    let (_, ticket) = session.begin_request(None, 0.0);
    session.accept(ticket, list_with_rows(0..20), 0.0).unwrap();
    track(&mut session, 3);
    track(&mut session, 30);
    track(&mut session, 31);
    let before = block_on(session.rank()).unwrap();
    assert_eq!(block_on(session.learn()).unwrap(), None, "no row to learn from");
    assert_eq!(session.missing_rows(), [id(30), id(31),]);

    let rows = RowsResponse { rows: vec![wire(30)], ..RowsResponse::default() };
    session.accept_rows(&[id(30), id(31)], &rows).unwrap();
    assert!(session.missing_rows().is_empty(), "the server does not know item 31");
    let after = block_on(session.rank()).unwrap();
    assert_ne!(before.items, after.items);
    assert_ne!(before.disagreement, after.disagreement);
    learn(&mut session);
    assert_eq!(session.delta().steps(), 1);
    assert_eq!(block_on(session.learn()).unwrap(), None);

    // The same as if the row had been here from the beginning.
    let mut other = thin_session();
    let (_, ticket) = other.begin_request(None, 0.0);
    let mut list = list_with_rows(0..20);
    list.history_rows = vec![wire(30)];
    other.accept(ticket, list, 0.0).unwrap();
    for item in [3, 30, 31] {
        track(&mut other, item);
    }
    assert_eq!(block_on(other.rank()).unwrap(), after);
    learn(&mut other);
    assert_eq!(other.delta(), session.delta());
}

#[test]
fn an_item_that_was_added_after_the_release_is_ranked_by_its_row_or_by_the_list() {
    let mut session = session();
    track(&mut session, 1);
    let (new, without_row) = (ITEMS + 1, ITEMS + 2);
    assert!(session.is_unknown(&id(new)));
    let mut list = response([new, without_row, 5]);
    list.candidates[0].row = Some(wire(new).row);
    let (_, ticket) = session.begin_request(None, 0.0);
    session.accept(ticket, list, 0.0).unwrap();
    assert!(!session.is_unknown(&id(new)) && !session.is_unknown(&id(without_row)));
    assert!(session.is_unknown(&id(ITEMS + 3)), "neither in the table nor on the list");
    let ranked = block_on(session.rank()).unwrap();
    let of = |item: usize| ranked.items.iter().find(|it| it.item == id(item)).unwrap();
    assert!(of(new).srm_score.is_some() && of(5).srm_score.is_some());
    assert_eq!(of(without_row).srm_score, None);
    // Both can be clicked, and are not recommended again.
    track(&mut session, new);
    track(&mut session, without_row);
    let ranked = block_on(session.rank()).unwrap();
    assert!(ranked.items.iter().all(|it| it.item != id(new) && it.item != id(without_row)));
    assert!(block_on(session.learn()).is_ok());
}

#[test]
fn if_one_row_cannot_be_read_none_is_kept() {
    let mut session = thin_session();
    track(&mut session, 1);
    track(&mut session, 2);
    let broken = ItemRow { item: id(2), row: "AAAA".into() };
    let rows = RowsResponse { rows: vec![wire(1), broken], ..RowsResponse::default() };
    assert!(matches!(
        session.accept_rows(&[id(1), id(2)], &rows),
        Err(SessionError::Model(ModelError::Length { .. }))
    ));
    assert_eq!(session.missing_rows(), [id(1), id(2)]);
}
