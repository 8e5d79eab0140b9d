//! Rankings of a list.

use std::collections::HashSet;

use futures_lite::future::block_on;
use tandem_collaboration::{Action, Reason};
use tandem_model::ItemTable;
use tandem_protocol::{Event, EventKind, ItemId};
use tandem_session::{Connection, RowStore, Session};

use crate::{
    decisions::learnt_rule,
    support::{
        DIMS, ITEMS, click, give, id, response, scorer, session, session_with, thin_session, wire,
    },
};

#[test]
fn without_a_list_nothing_is_ranked_and_the_cloud_is_called() {
    let session = session();
    let ranked = block_on(session.rank()).unwrap();
    assert!(ranked.items.is_empty());
    let decision = session.decide(&ranked, Connection::default(), 0.0);
    assert_eq!((decision.action, decision.reason), (Action::Request, Reason::NoCandidates));
    let offline = Connection { offline: true, ..Connection::default() };
    assert_eq!(session.decide(&ranked, offline, 0.0).reason, Reason::Offline);
}

#[test]
fn before_the_first_click_the_order_is_the_language_models() {
    let mut session = session();
    give(&mut session, 0..20, 0.0);
    let ranked = block_on(session.rank()).unwrap();
    let order: Vec<usize> = ranked.items.iter().filter_map(|item| item.llm_rank).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert!(ranked.items.iter().all(|item| item.srm_score.is_none()));
    assert_eq!(ranked.disagreement, None);
}

#[test]
fn a_click_reorders_and_seen_or_disliked_items_are_left_out() {
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
        ranked.items.iter().filter_map(|item| item.llm_rank).collect::<Vec<_>>(),
        (0..28).collect::<Vec<_>>()
    );
    // Ranks are permutations of the remaining items.
    let mut ranks: Vec<usize> = ranked.items.iter().map(|item| item.srm_rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, (0..28).collect::<Vec<_>>());
    let disagreement = ranked.disagreement.unwrap();
    assert!(disagreement > 0.0 && disagreement <= 1.0);
}

#[test]
fn equal_scores_keep_the_language_models_order() {
    // Every item has the same row, and so the same score.
    let table = ItemTable::quantise(&[0.0; DIMS * ITEMS], DIMS).unwrap();
    let rows = RowStore::whole(table, (0..ITEMS).map(id)).unwrap();
    let mut session = Session::new(scorer(), rows, learnt_rule(0.0)).unwrap();
    give(&mut session, 0..20, 0.0);
    session.track(&click(30));
    session.track(&click(31));
    let ranked = block_on(session.rank()).unwrap();
    let order: Vec<usize> = ranked.items.iter().filter_map(|item| item.llm_rank).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert_eq!((ranked.disagreement, ranked.non_finite), (Some(0.0), 0));
    let outcome = block_on(session.learn()).unwrap().unwrap();
    assert!((outcome.loss_before - 21_f32.ln()).abs() < 1e-5, "{outcome:?}");
}

#[test]
fn an_item_without_a_finite_score_comes_last() {
    let mut thin = thin_session();
    thin.track(&click(4));
    let (_, ticket) = thin.begin_request(None, 0.0);
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
fn a_visitor_with_one_item_gets_a_ranking_and_the_second_click_is_learnt_from() {
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
fn empty_lists_and_lists_of_one_item_are_ranked_and_learnt_from() {
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
