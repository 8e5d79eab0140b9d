//! The engine against a scripted server, natively, with a small untrained model.

use futures_lite::future::{block_on, yield_now, zip};
use tandem_collaboration::{BucketLimits, Fusion, Policy, ReasonCode};
use tandem_model::ItemTable;
use tandem_protocol::{CandidatesResponse, EventKind, ItemId, LanguageModelCalibration};

mod script;
mod search;

use self::script::*;
use super::*;
use crate::{artifacts::sha256, server_link::ConnectionState};

#[test]
fn the_manifest_says_whether_items_are_repeated_and_the_page_can_decide_otherwise() {
    for (manifest, page, repeats) in [
        (false, "null", false),
        (true, "null", true),
        (true, "false", false),
        (false, "true", true),
    ] {
        let script = shop_with(|it, _| it.repeats = manifest);
        let engine = open_as(&script, &format!(r#""repeats":{page}"#)).map_err(drop).unwrap();
        script.lists.borrow_mut().push_back(listed(&list(0)));
        request(&engine);
        let shown = track(&engine, 3).items;
        assert_eq!(shown.len(), if repeats { ITEMS } else { ITEMS - 1 }, "{manifest} {page}");
    }
}

#[test]
fn a_session_requests_tracks_and_learns() {
    let script = shop();
    let engine = open(&script);
    let empty = block_on(engine.recommend()).unwrap();
    assert_eq!((empty.items.len(), empty.decision.reason.code()), (0, ReasonCode::NoCandidates));
    assert!(empty.stats.bytes_down > 0);

    script.lists.borrow_mut().push_back(listed(&list(0)));
    let first = request(&engine);
    assert_eq!(first.items.len(), ITEMS);
    assert_eq!(first.model.as_deref(), Some("stand-in"));
    assert_eq!(first.connection.state, ConnectionState::Online);
    assert_eq!(first.timings.server_ms, Some(12.0));
    assert_eq!((first.stats.calls, first.stats.failed_calls), (1, 0));
    assert_eq!(first.stats.bytes_up, script.asked.borrow()[0].len() as u64);

    assert!(block_on(engine.learn()).unwrap().is_none());
    track(&engine, 3);
    let second = track(&engine, 5);
    assert_eq!(second.items.len(), ITEMS - 2);
    assert_eq!(engine.history_change().added, [item(3), item(5)]);
    assert_eq!((second.stats.clicks, second.stats.clicks_since_list), (2, 2));
    assert!(second.decision.disagreement.is_some());
    let learnt = block_on(engine.learn()).unwrap().unwrap();
    assert_eq!(learnt.step, 1);
    assert!(learnt.loss_after < learnt.loss_before);
    // All that was local: one request in all.
    assert_eq!(script.asked.borrow().len(), 1);
}

#[test]
fn failures_leave_the_list_and_back_off() {
    let overloaded =
        HttpResponse { status: 429, retry_after: Some("9".into()), ..HttpResponse::default() };
    let foreign = CandidatesResponse { catalogue_hash: "another".into(), ..list(4) };
    let none = CandidatesResponse { candidates: Vec::new(), ..list(0) };
    let cases = [
        (Err(Failure::new(ErrorCode::Timeout, "late")), ErrorCode::Timeout, 1_000.0),
        (Ok(HttpResponse { status: 500, ..HttpResponse::default() }), ErrorCode::Internal, 1_000.0),
        (Ok(overloaded), ErrorCode::Overloaded, 9_000.0),
        (Ok(ok("<html>")), ErrorCode::BadResponse, 1_000.0),
        (listed(&foreign), ErrorCode::CatalogueChanged, 1_000.0),
        (listed(&none), ErrorCode::BadResponse, 1_000.0),
    ];
    for (answer, code, wait) in cases {
        let script = shop();
        let engine = open(&script);
        script.lists.borrow_mut().extend([listed(&list(0)), answer, listed(&list(10))]);
        request(&engine);
        let failing = request(&engine);
        assert_eq!(failing.connection.state, ConnectionState::Failing);
        assert_eq!(failing.connection.code, Some(code));
        assert_eq!(failing.connection.retry_in_ms, Some(wait));
        assert_eq!(failing.items.len(), ITEMS, "the last list stays in use");
        assert_eq!((failing.stats.calls, failing.stats.failed_calls), (1, 1));
        let again = request(&engine);
        assert_eq!(again.connection.state, ConnectionState::Online);
        assert_eq!(again.items.len(), ITEMS - 10);
    }
}

#[test]
fn a_call_waits_for_the_back_off() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(Err(Failure::new(ErrorCode::Unreachable, "gone")));
    let failing = request(&engine);
    assert_eq!(failing.decision.reason.to_string(), "last call failed (next try in 1 s)");
    script.clock.set(1_001.0);
    let due = block_on(engine.recommend()).unwrap();
    assert_eq!(due.decision.reason.code(), ReasonCode::NoCandidates);
}

#[test]
fn offline_never_touches_the_network() {
    let script = shop();
    let engine = open(&script);
    engine.set_offline(true);
    let update = request(&engine);
    assert_eq!(update.connection.state, ConnectionState::Offline);
    assert_eq!(update.decision.reason.code(), ReasonCode::Offline);
    track(&engine, 1);
    assert!(script.asked.borrow().is_empty());
    engine.set_offline(false);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    assert_eq!(request(&engine).items.len(), ITEMS - 1);
}

#[test]
fn clicks_go_on_while_a_request_is_in_flight() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    script.held.set(true);
    let visitor = async {
        yield_now().await;
        let update = engine.track(&click(2)).await.unwrap();
        assert_eq!(update.decision.reason.code(), ReasonCode::CallUnderWay);
        // A second request does not start.
        let second = engine.request_candidates("a test").await.unwrap();
        assert_eq!(second.decision.reason.code(), ReasonCode::CallUnderWay);
        script.held.set(false);
    };
    let (update, ()) = block_on(zip(engine.request_candidates("a test"), visitor));
    let update = update.unwrap();
    assert_eq!(update.items.len(), ITEMS - 1);
    assert_eq!(update.stats.clicks_since_list, 1);
    assert_eq!(script.asked.borrow().len(), 1);
}

#[test]
fn a_list_that_arrives_after_a_reset_is_dropped() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    script.held.set(true);
    let visitor = async {
        yield_now().await;
        let update = engine.reset().await.unwrap();
        assert!(history(&engine).is_empty());
        assert_eq!(update.stats.clicks, 0);
        assert_eq!(update.decision.reason.code(), ReasonCode::NoCandidates);
    };
    let (update, ()) = block_on(zip(engine.request_candidates("a test"), visitor));
    let update = update.unwrap();
    assert!(update.items.is_empty());
    assert_eq!(update.connection.code, Some(ErrorCode::Aborted));
    assert_eq!(update.connection.state, ConnectionState::Online);
    assert_eq!((update.stats.calls, update.stats.failed_calls), (0, 0));
}

#[test]
fn an_aborted_request_is_not_a_failure() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    script.held.set(true);
    let visitor = async {
        yield_now().await;
        engine.abort();
    };
    let (update, ()) = block_on(zip(engine.request_candidates("a test"), visitor));
    let update = update.unwrap();
    assert_eq!(update.connection.retry_in_ms, None);
    assert_eq!(update.decision.action, tandem_collaboration::Action::Request);
}

#[test]
fn an_exported_session_goes_on_in_another_client_of_the_same_model() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    request(&engine);
    track(&engine, 3);
    let before = track(&engine, 5);
    block_on(engine.learn()).unwrap().unwrap();
    let learnt = block_on(engine.recommend()).unwrap();
    assert_ne!(before.items, learnt.items, "learning changes scores");

    let other = open(&script);
    let taken = block_on(other.import(&engine.export().unwrap())).unwrap();
    assert_eq!(taken.items, learnt.items);
    assert_eq!((history(&other), taken.stats.learn_steps), (history(&engine), 1));

    let stranger = open(&shop()); // other random weights
    let error = block_on(stranger.import(&engine.export().unwrap())).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArtifact);
    let garbage = block_on(other.import(b"{}")).unwrap_err();
    assert_eq!(garbage.code, ErrorCode::InvalidArtifact);
}

#[test]
fn a_flipped_byte_in_any_file_is_refused_with_its_name() {
    for name in ["body.safetensors", "rows.bin", "items.json"] {
        let script = shop();
        for (path, reply) in script.files.borrow_mut().iter_mut() {
            if path.ends_with(name) {
                *reply.body.last_mut().unwrap() ^= 1;
            }
        }
        let error = try_open(&script).err().unwrap();
        assert_eq!(error.code, ErrorCode::Integrity);
        assert!(error.message.contains(name), "{}", error.message);
    }
}

#[test]
fn missing_artefacts_are_not_found() {
    let script = shop();
    script.files.borrow_mut().retain(|path, _| path == "/v1/manifest");
    let error = try_open(&script).err().unwrap();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.contains("status 404"), "{}", error.message);
}

#[test]
fn an_event_needs_an_item() {
    let engine = open(&shop());
    let event = Event { kind: EventKind::Click, item: ItemId::from("") };
    let error = block_on(engine.track(&event)).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

#[test]
fn a_damaged_copy_in_the_cache_is_fetched_again() {
    let script = shop();
    for (path, reply) in script.files.borrow_mut().iter_mut() {
        if path.ends_with("rows.bin") {
            reply.cached = true;
            *reply.body.last_mut().unwrap() ^= 1;
        }
    }
    try_open(&script).unwrap_or_else(|error| panic!("{error}"));
    let refetched = script.refetched.borrow();
    assert_eq!(refetched.len(), 1);
    assert!(refetched[0].ends_with("rows.bin"));
}

#[test]
fn cached_files_do_not_count_as_downloaded() {
    let script = shop();
    for reply in script.files.borrow_mut().values_mut() {
        reply.cached = true;
    }
    let engine = open(&script);
    assert_eq!(block_on(engine.recommend()).unwrap().stats.bytes_down, 0);
}

#[test]
fn the_selected_model_is_named_in_the_request() {
    let script = shop();
    let engine = open(&script);
    block_on(engine.choose_model(Some("large".to_owned())));
    script.lists.borrow_mut().push_back(listed(&list(0)));
    request(&engine);
    assert!(script.asked.borrow()[0].contains(r#""model":"large""#));
}

#[test]
fn a_reverted_event_leaves_no_trace() {
    let script = shop();
    let engine = open(&script);
    script.lists.borrow_mut().push_back(listed(&list(0)));
    request(&engine);
    let before = track(&engine, 3);
    track(&engine, 5);
    block_on(engine.learn()).unwrap().unwrap();
    let undone = block_on(engine.undo()).unwrap();
    assert_eq!(undone.event, Some(click(5)));
    assert_eq!((undone.update.items, history(&engine)), (before.items, vec![item(3)]));
    assert_eq!(undone.update.stats.learn_steps, 0);
}

#[test]
fn a_restored_session_of_another_model_keeps_its_history() {
    let engine = open(&shop());
    track(&engine, 3);
    let stranger = open(&shop()); // other random weights
    block_on(stranger.restore(&engine.export().unwrap())).unwrap();
    assert_eq!(history(&stranger), [item(3)]);
}

#[test]
fn replayed_events_act_as_if_tracked_one_by_one() {
    let (script, events) = (shop(), [click(3), click(5), click(7)]);
    let one_by_one = open(&script);
    for event in &events {
        block_on(one_by_one.track(event)).unwrap();
    }
    let at_once = open(&script);
    let replayed = block_on(at_once.replay(&events)).unwrap();
    assert_eq!(history(&at_once), [item(3), item(5), item(7)]);
    assert_eq!(replayed.stats.clicks, 3);
    assert_eq!(at_once.export().unwrap(), one_by_one.export().unwrap());
    let nameless = Event { kind: EventKind::Click, item: ItemId::from("") };
    assert!(block_on(at_once.replay(&[click(1), nameless])).is_err());
    assert_eq!(history(&at_once).len(), 3, "all or none");
}

#[test]
fn the_budget_of_the_page_applies_to_every_language_model() {
    let unlimited = Policy { bucket: None, ..Policy::default() };
    let calibration = LanguageModelCalibration {
        name: "stand-in".into(),
        sha256: None,
        fusion: Fusion::default(),
        policy: Policy { trigger: tandem_collaboration::Trigger::Always, ..unlimited },
    };
    let script = shop_with(|manifest, _| manifest.language_models = vec![calibration]);
    let budget = BucketLimits { capacity: 2, refill_per_minute: 0.0 };
    let engine = open_with(&script, Some(budget)).unwrap_or_else(|error| panic!("{error}"));
    for number in [1, 2] {
        script.lists.borrow_mut().push_back(listed(&list(0)));
        request(&engine);
        track(&engine, number);
    }
    let spent = track(&engine, 3);
    assert_eq!(spent.decision.reason.code(), ReasonCode::BudgetSpent);
}

#[test]
fn an_item_that_the_catalogue_lacks_is_refused_and_changes_nothing() {
    let engine = open(&shop());
    let error = block_on(engine.track(&click(ITEMS))).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownItem);
    assert!(error.message.contains(r#""i30""#), "{}", error.message);
    assert!(error.message.ends_with("POST /v1/items"), "{}", error.message);
    assert!(history(&engine).is_empty());
    // A stored session may be older than the catalogue.
    assert!(block_on(engine.replay(&[click(ITEMS)])).is_ok());
}

#[test]
fn other_requests_are_independent_of_lists() {
    let script = shop();
    let engine = open(&script);
    let models = ok(r#"{"models":[]}"#);
    script.files.borrow_mut().insert("/v1/models".into(), models);
    let ask = |path| block_on(engine.request(path, None, "a test".into()));
    assert_eq!(ask("/v1/models").unwrap(), r#"{"models":[]}"#);
    assert_eq!(ask("/v1/other").unwrap_err().code, ErrorCode::NotFound);
    engine.set_offline(true);
    assert_eq!(ask("/v1/models").unwrap_err().code, ErrorCode::Unreachable);
    assert_eq!(script.asked.borrow().len(), 2);
}

#[test]
fn the_bytes_of_every_exchange_are_counted() {
    let script = shop();
    let engine = open(&script);
    let stats = || block_on(engine.recommend()).unwrap().stats;
    let before = stats();
    script.lists.borrow_mut().push_back(Ok(ok("done")));
    block_on(engine.request("/v1/events", Some("event".into()), "a test".into())).unwrap();
    let after = stats();
    assert_eq!(after.bytes_up - before.bytes_up, 5);
    assert_eq!(after.bytes_down - before.bytes_down, 4);
}
