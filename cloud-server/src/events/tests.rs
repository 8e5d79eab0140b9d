use std::io::Write as _;

use tandem_protocol::ItemId;

use super::*;

fn event(id: &str, kind: EventKind) -> LoggedEvent {
    LoggedEvent { id: id.to_owned(), kind, item: ItemId::from("1"), at: 5, recommendation: None }
}

fn click(id: &str) -> LoggedEvent {
    event(id, EventKind::Click)
}

fn open(folder: &Path) -> EventLog {
    EventLog::open(folder, MAX_FILE_BYTES).unwrap()
}

fn ids(folder: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|text| line(text)["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_request_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    // The second file cannot be opened.
    let signals = folder.path().join(SIGNALS);
    fs::remove_file(&signals).unwrap();
    fs::create_dir(&signals).unwrap();
    let events = [click("a"), event("b", EventKind::View)];
    assert!(matches!(log.append("s", &events), Err(EventLogError::Io { .. })));
    assert!(ids(folder.path(), INTERACTIONS).is_empty());
    fs::remove_dir(&signals).unwrap();
    assert_eq!(log.append("s", &events).unwrap().len(), 2);
    assert_eq!(log.append("s", &events).unwrap().len(), 0);
    assert_eq!(ids(folder.path(), INTERACTIONS), ["a"]);
    assert_eq!(ids(folder.path(), SIGNALS), ["b"]);
}

#[test]
fn events_are_repeated_only_within_their_session() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert_eq!(log.append("s1", &[click("1")]).unwrap().len(), 1);
    assert_eq!(log.append("s2", &[click("1")]).unwrap().len(), 1, "an id of another session");
    assert_eq!(log.append("s1", &[click("1"), click("2"), click("2")]).unwrap().len(), 1);
    assert_eq!(ids(folder.path(), INTERACTIONS), ["1", "1", "2"]);
}

#[test]
fn a_restarted_server_and_one_that_shares_the_folder_know_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    assert_eq!(first.append("s", &[click("1"), event("2", EventKind::View)]).unwrap().len(), 2);
    let second = open(folder.path());
    assert_eq!(second.append("s", &[click("1"), event("2", EventKind::View)]).unwrap().len(), 0);
    assert_eq!(second.append("s", &[click("3")]).unwrap().len(), 1);
    assert_eq!(first.append("s", &[click("3"), click("4")]).unwrap().len(), 1);
    assert_eq!(ids(folder.path(), INTERACTIONS), ["1", "3", "4"]);
}

#[test]
fn a_forgotten_session_is_in_no_file_and_other_processes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (open(folder.path()), open(folder.path()));
    let events = [click("1"), event("2", EventKind::View)];
    assert_eq!(first.append("s", &events).unwrap().len(), 2);
    assert_eq!(first.append("other", &events).unwrap().len(), 2);
    // A file that was renamed within the folder.
    fs::copy(folder.path().join(INTERACTIONS), folder.path().join("old.jsonl")).unwrap();
    assert_eq!(first.forget("s").unwrap(), 3);
    assert_eq!(first.forget("s").unwrap(), 0);
    for name in [INTERACTIONS, SIGNALS, "old.jsonl"] {
        assert_eq!(ids(folder.path(), name).len(), 1, "{name}");
    }
    // The files are others now; both logs know what is in them.
    assert_eq!(second.append("other", &events).unwrap().len(), 0);
    assert_eq!(second.append("other", &[click("3")]).unwrap().len(), 1);
    assert_eq!(first.append("other", &[click("3")]).unwrap().len(), 0);
    assert_eq!(ids(folder.path(), INTERACTIONS), ["1", "3"]);
}

#[test]
fn half_a_line_is_removed_and_a_line_without_its_end_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(INTERACTIONS);
    let log = open(folder.path());
    assert_eq!(log.append("s", &[click("1")]).unwrap().len(), 1);
    let append = |text: &str| {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("{\"user\":\"s\",\"item\":\"1\",\"time");
    assert_eq!(log.append("s", &[click("2")]).unwrap().len(), 1);
    append("{\"user\":\"s\",\"item\":\"1\",\"timestamp\":5,\"type\":\"click\",\"id\":\"3\"}");
    assert_eq!(log.append("s", &[click("3"), click("4")]).unwrap().len(), 1);
    assert_eq!(ids(folder.path(), INTERACTIONS), ["1", "2", "3", "4"]);
}

#[test]
fn a_file_at_its_maximum_size_refuses_events() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(folder.path(), 100).unwrap();
    assert_eq!(log.append("s", &[click("a")]).unwrap().len(), 1);
    assert!(matches!(log.append("s", &[click("b")]), Err(EventLogError::Full { .. })));
    let path = folder.path().join(INTERACTIONS);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\"user\":\"s\",\"item\":\"1\",\"timestamp\":5,\"type\":\"click\",\"id\":\"a\"}\n"
    );
    assert_eq!(log.sizes()[0], (INTERACTIONS, 62));
    // After the file was moved, the log accepts the refused event as a new one.
    fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
    assert_eq!(log.append("s", &[click("b"), click("a")]).unwrap().len(), 1);
}

#[test]
fn a_folder_that_another_process_locks_is_refused_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let other = OpenOptions::new().append(true).open(folder.path().join(LOCK)).unwrap();
    other.lock().unwrap();
    assert!(matches!(log.append("s", &[click("1")]), Err(EventLogError::Locked { .. })));
    other.unlock().unwrap();
    assert_eq!(log.append("s", &[click("1")]).unwrap().len(), 1);
}

/// `/dev/full` refuses every write.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_has_its_own_error_and_loses_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let signals = folder.path().join(SIGNALS);
    fs::remove_file(&signals).unwrap();
    std::os::unix::fs::symlink("/dev/full", &signals).unwrap();
    let events = [click("a"), event("b", EventKind::View)];
    assert!(matches!(log.append("s", &events), Err(EventLogError::NoSpace { .. })));
    assert!(ids(folder.path(), INTERACTIONS).is_empty(), "the click was taken back");
    fs::remove_file(&signals).unwrap();
    assert_eq!(log.append("s", &events).unwrap().len(), 2);
}
