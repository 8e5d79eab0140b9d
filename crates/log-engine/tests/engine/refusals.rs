//! Logs that are imported in memory only, and limits.

use std::path::PathBuf;

use tandem_dataset::{DatasetError, ImportOptions};
use tandem_log_engine::{Engine, LogEngineError, Memory};

use crate::{Logs, TINY, check, check_text};

#[track_caller]
fn refused(logs: &Logs, options: &ImportOptions) -> LogEngineError {
    let engine = Engine::Local(Memory::Sorting(TINY));
    let error = logs.outside(options, engine).map(|_| ()).unwrap_err();
    assert!(error.blames_input(), "{error}");
    logs.assert_tidy();
    error
}

#[track_caller]
fn only_in_memory(logs: &Logs, options: &ImportOptions, expected: &str) {
    let error = refused(logs, options);
    assert!(
        matches!(error, LogEngineError::Dataset(DatasetError::OnlyInMemory { .. })),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains(expected) && text.contains("without --memory"), "{text}");
}

#[test]
fn what_cannot_be_read_twice_or_is_no_log() {
    let logs = Logs::new(&[("sequences.txt", b"1 6 5\n")]);
    only_in_memory(&logs, &ImportOptions::new("x", [PathBuf::from("-")]), "only once");
    only_in_memory(&logs, &logs.options(&["."]), "folder of sequences");
    let packed = zstd::encode_all(&b"PAR1 and so on"[..], 1).unwrap();
    let logs = Logs::new(&[("log", &packed)]);
    only_in_memory(&logs, &logs.options(&["log"]), "compressed as a whole");
}

#[test]
fn a_visitor_with_the_name_of_a_user() {
    let text = b"user_id,visitor_id,item,time\nann,v1,x,1\n,ann,y,2\n";
    let logs = Logs::new(&[("log", text)]);
    only_in_memory(&logs, &logs.options(&["log"]), "ann");
}

#[test]
fn a_column_with_too_many_event_types() {
    let mut text = "user,item,time,event\n".to_owned();
    for row in 0..1_200 {
        text += &format!("a,{row},{row},e{row}\n");
    }
    let logs = Logs::new(&[("log", text.as_bytes())]);
    only_in_memory(&logs, &logs.options(&["log"]), "event types");
}

#[test]
fn a_log_that_cannot_be_imported_at_all_is_refused_in_the_same_words() {
    check_text("who,what\n1,2\n", |_| ());
    check_text("user,item,event\n1,2,search\n", |_| ());
    check_text("user,item,rating\n1,2,0\n", |_| ());
    check_text("", |_| ());
    check_text("user,item\n1,2\n", |options| options.min_rating = Some(1.0));
    let logs = Logs::new(&[("a", b"user,item\n1,2\n"), ("b", b"user,item,time\n1,2,5\n")]);
    check(&logs, &logs.options(&["a", "b"]));
    check(&logs, &logs.options(&["a", "missing"]));
}

#[test]
fn memory_that_does_not_hold_the_items() {
    let logs = Logs::new(&[("log", b"user,item\n1,2\n")]);
    let engine = Engine::Local(Memory::Total(1_000_000));
    let error = logs.outside(&logs.options(&["log"]), engine).map(|_| ()).unwrap_err();
    assert!(matches!(error, LogEngineError::Memory { items: 1, .. }), "{error}");
}

#[test]
fn addresses_that_cannot_be_used() {
    let logs = Logs::new(&[]);
    for url in ["ftp://host/log.csv", "s3://key:tdm_secret@bucket/log.csv"] {
        let error = refused(&logs, &ImportOptions::new("x", [PathBuf::from(url)])).to_string();
        assert!(error.contains("expected `s3://") && !error.contains("tdm_secret"), "{error}");
    }
}
