//! Damaged bytes from outside never panic: exported sessions, responses and manifests.

use futures_lite::future::block_on;
use tandem_collaboration::{Fusion, Policy};
use tandem_model::LearningConfig;
use tandem_protocol::{CandidatesResponse, Event, EventKind, Manifest};
use tandem_session::Connection;

use crate::support::{click, give, id, response, session, thin_session};

#[test]
fn damaged_sessions_never_panic() {
    let mut saved = session();
    give(&mut saved, 0..30, 0.0);
    for item in [3, 8, 15] {
        saved.track(&click(item));
        block_on(saved.learn()).unwrap();
    }
    saved.track(&Event { kind: EventKind::Dislike, item: id(20) });
    let seeds = [saved.export().unwrap(), thin_session().export().unwrap()];
    tandem_fuzzing::fuzz("exported session", &seeds, |bytes| {
        let mut imported = session();
        let is_accepted = imported.import(bytes, 1.0).is_ok();
        if is_accepted {
            // What was imported can be used and exported.
            imported.track(&click(5));
            let ranked = block_on(imported.rank()).unwrap();
            let _ = imported.decide(&ranked, Connection::default(), 2.0);
            imported.export().unwrap();
        }
        // A session that is not imported may still be restored in part.
        let _ = session().restore(bytes, 1.0);
        is_accepted
    });
}

#[test]
fn damaged_responses_and_manifests_never_panic() {
    let seed = serde_json::to_vec(&response(0..30)).unwrap();
    tandem_fuzzing::fuzz("response with candidates", &[seed], |bytes| {
        serde_json::from_slice::<CandidatesResponse>(bytes).is_ok()
    });
    let file =
        |name: &str| serde_json::json!({ "path": name, "sha256": "0".repeat(64), "bytes": 10 });
    let seed = serde_json::json!({
        "version": 1,
        "catalogue": { "hash": "0".repeat(64), "items": 30 },
        "model": { "kind": "sasrec", "dims": 4, "blocks": 1, "heads": 1, "max_length": 50 },
        "body": file("body.safetensors"), "rows": file("rows.bin"), "items": file("items.json"),
        "fusion": Fusion::default(), "policy": Policy::default(),
        "learning": LearningConfig::default(),
        "search": { "k": 100, "cells": file("cells.bin") },
        "popular": ["2", "1"],
    });
    let seed = serde_json::to_vec(&seed).unwrap();
    let outcome = tandem_fuzzing::fuzz("manifest", &[seed], |bytes| {
        serde_json::from_slice::<Manifest<Fusion, Policy, LearningConfig>>(bytes).is_ok()
    });
    assert!(outcome.accepted > 0, "the seed is not a manifest");
}
