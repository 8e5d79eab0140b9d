//! Exports, imports and restored sessions.

use futures_lite::future::block_on;
use tandem_model::ModelError;
use tandem_protocol::{Event, EventKind};
use tandem_session::{
    Connection, MAX_DISLIKES, MAX_HISTORY, RestoreOutcome, SessionError, Settings,
};

use crate::support::{
    click, event, give, give_all, id, learn, session, session_on, session_with, session_with_list,
    settings, thin_session, track,
};

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

    let mut other = crate::support::session();
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
fn imports_of_another_model_or_version_are_refused_and_change_nothing() {
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
    let mut other = crate::support::session();
    let error = other.import(newer.as_bytes(), 0.0).unwrap_err();
    assert!(matches!(error, SessionError::Model(ModelError::Version { supported: 2, found: 3 })));
    assert_eq!(error.code(), tandem_protocol::ErrorCode::UnsupportedVersion);
    assert_eq!(other.delta().steps(), 0);
}

#[test]
fn a_history_is_kept_up_to_the_limit_and_every_click_counts() {
    let mut session = session_with_list();
    for number in 0..MAX_HISTORY + 3 {
        track(&mut session, number);
    }
    assert_eq!(session.history().len(), MAX_HISTORY);
    assert_eq!(session.history()[0], id(3));
    assert_eq!(session.clicks(), MAX_HISTORY as u64 + 3);
    session.undo().unwrap();
    assert_eq!(session.history().last(), Some(&id(MAX_HISTORY + 1)));
}

#[test]
fn a_restored_session_of_another_model_keeps_history_and_dislikes() {
    let mut old = session_with_list();
    track(&mut old, 1);
    track(&mut old, 2);
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
    give_all(&mut newer, "tiny", false);
    let ranked = block_on(newer.rank()).unwrap();
    assert!(ranked.items.iter().all(|ranked| ranked.item != id(3)), "it is disliked");
    assert!(newer.restore(b"{}", 0.0).is_err());
    assert_eq!(newer.history().len(), 2, "as before");
}

/// Of a large catalogue the rows come with the lists; a session that is taken up without a
/// network must bring its own.
#[test]
fn a_saved_session_contains_the_rows_it_was_sent() {
    let mut session = thin_session();
    give_all(&mut session, "tiny", true);
    track(&mut session, 1);
    let mut other = thin_session();
    other.import(&session.export().unwrap(), 0.0).unwrap();
    let ranked = block_on(other.rank()).unwrap();
    assert_eq!(ranked, block_on(session.rank()).unwrap());
    assert!(ranked.items.iter().all(|ranked| ranked.srm_score.is_some()));

    // The list is used up: the history still has its rows.
    give_all(&mut session, "tiny", false);
    let mut third = thin_session();
    third.import(&session.export().unwrap(), 0.0).unwrap();
    assert!(third.missing_rows().is_empty());
}

#[test]
fn an_import_beyond_the_limits_is_trimmed() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    track(&mut session, 3);
    let text = String::from_utf8(session.export().unwrap()).unwrap();
    let array = |count: usize| {
        let items: Vec<String> = (0..count).map(|number| format!("\"x-{number}\"")).collect();
        format!("[{}]", items.join(","))
    };
    let large = text
        .replacen(r#""history":["sku-3"]"#, &format!(r#""history":{}"#, array(12_000)), 1)
        .replacen(r#""disliked":[]"#, &format!(r#""disliked":{}"#, array(MAX_DISLIKES + 1)), 1);
    assert!(large.contains(r#""history":["x-0","#) && large.contains(r#""disliked":["x-0","#));
    let mut other = crate::support::session();
    other.import(large.as_bytes(), 0.0).unwrap();
    assert_eq!(other.history().len(), MAX_HISTORY);
    assert_eq!(other.history()[0].as_str(), "x-11000");
    let (request, _) = other.begin_request(None, 0.0);
    assert!(request.history.len() + request.exclude.len() <= MAX_HISTORY + MAX_DISLIKES);
    // The limit still applies, and the window of the model does not slide.
    track(&mut other, 5);
    assert_eq!((other.history().len(), other.history().last()), (MAX_HISTORY, Some(&id(5))));
    let again = other.export().unwrap();
    let mut third = crate::support::session();
    third.import(&again, 0.0).unwrap();
    assert_eq!(block_on(third.rank()).unwrap(), block_on(other.rank()).unwrap());
}

#[test]
fn a_session_of_an_older_client_is_read() {
    let mut session = session();
    give(&mut session, 0..30, 0.0);
    track(&mut session, 3);
    track(&mut session, 3);
    let text = String::from_utf8(session.export().unwrap()).unwrap();
    let older = text.replacen(r#","distinct":1,"list""#, r#","list""#, 1);
    assert_ne!(older, text);
    let mut other = crate::support::session();
    other.import(older.as_bytes(), 0.0).unwrap();
    assert_eq!(other.export().unwrap(), session.export().unwrap());
}
