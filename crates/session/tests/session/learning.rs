//! Learning from clicks, and taking it back.

use futures_lite::future::block_on;
use tandem_protocol::{EventKind, RowsResponse};
use tandem_session::{Session, UNDO_LIMIT};

use crate::support::{
    click, event, give, give_all, id, learn, session, session_with_list, thin_session, track, wire,
};

#[test]
fn learning_lowers_the_loss_of_the_clicked_item() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    assert_eq!(block_on(session.learn()).unwrap(), None);
    session.track(&click(1));
    assert_eq!(block_on(session.learn()).unwrap(), None, "a first click has no history before it");
    for item in [8, 15] {
        session.track(&click(item));
        let outcome = block_on(session.learn()).unwrap().unwrap();
        assert!(outcome.loss_after < outcome.loss_before, "{outcome:?}");
    }
    assert_eq!(block_on(session.learn()).unwrap(), None, "each click is learnt from once");
    assert_eq!(session.delta().steps(), 2);
}

#[test]
fn undo_reverts_the_newest_event_and_its_learning_step() {
    let mut session = session_with_list();
    track(&mut session, 1);
    track(&mut session, 2);
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
fn undo_removes_a_click_that_waits_to_be_learnt_from() {
    let mut session = session_with_list();
    track(&mut session, 1);
    track(&mut session, 2);
    track(&mut session, 3);
    session.undo().unwrap();
    learn(&mut session); // of the click on 2
    assert!(block_on(session.learn()).unwrap().is_none());
    // The click on 2 was learnt from after the one on 3 was gone, and can still be undone.
    session.undo().unwrap();
    assert_eq!(session.delta().steps(), 0);
    assert_eq!(session.history(), [id(1)]);
}

#[test]
fn undo_of_a_dislike_keeps_an_earlier_one() {
    let mut session = session_with_list();
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
fn undo_is_limited_and_never_goes_past_a_reset() {
    let mut session = session_with_list();
    for item in 0..UNDO_LIMIT + 5 {
        track(&mut session, item);
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
fn undo_after_a_burst_reverts_the_right_steps() {
    let mut session = session_with_list();
    for item in 0..UNDO_LIMIT + 3 {
        track(&mut session, item);
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

/// The first click is learnt from after the second, for its row came late. Undoing the second
/// must not lose what the first taught, nor keep a step on top of the undone one.
#[test]
fn undo_of_a_step_reverts_later_steps_of_older_events() {
    let with_list = || {
        let mut session = thin_session();
        give_all(&mut session, "tiny", true);
        track(&mut session, 1);
        session
    };
    let late = RowsResponse { rows: vec![wire_as(40, 12)], ..RowsResponse::default() };
    let mut session = with_list();
    track(&mut session, 40); // no row yet
    track(&mut session, 2);
    learn(&mut session); // of the click on 2
    session.accept_rows(&[id(40)], &late).unwrap();
    learn(&mut session); // of the click on 40
    assert_eq!(session.delta().steps(), 2);
    session.undo().unwrap();
    assert_eq!(session.delta().steps(), 0, "both steps are reverted");
    learn(&mut session); // of the click on 40, again

    let mut other = with_list();
    other.accept_rows(&[id(40)], &late).unwrap();
    track(&mut other, 40);
    learn(&mut other);
    assert_eq!(session.delta(), other.delta());
    session.undo().unwrap();
    assert_eq!(session.delta().steps(), 0);
    assert_eq!(session.history(), [id(1)]);
}

/// Item `number` with the row of item `like`.
fn wire_as(number: usize, like: usize) -> tandem_protocol::ItemRow {
    tandem_protocol::ItemRow { item: id(number), ..wire(like) }
}
