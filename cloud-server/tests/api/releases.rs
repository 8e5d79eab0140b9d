//! A server that follows the releases of a recommender.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::json;
use tandem_dataset::{Catalogue, Dataset, Item};
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    testing::random_item_tokens,
};
use tempfile::TempDir;

use crate::{
    fixture::{candidate_ids, wait_until, write_artifacts},
    process::Process,
};

/// Writes the release `name` with the items 0 to `items`, not in use yet.
pub(crate) fn write_release(root: &Path, name: &str, items: usize) {
    let ids = (0..items).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
    let catalogue = Catalogue::new(ids).unwrap();
    let release = root.join("releases").join(name);
    let dataset = Dataset::new("shop", catalogue.clone(), Vec::new(), None).unwrap();
    dataset.save(&release.join("data")).unwrap();
    let model = random_item_tokens(&catalogue, DecoderConfig::usual(8, 1, 2, 10), true, 7);
    model.write(&release.join("language-model.gguf"), Encoding::F32).unwrap();
    let artifacts = write_artifacts(&root.join("artifacts"), &catalogue, 0);
    fs::write(release.join("artifacts"), artifacts).unwrap();
}

pub(crate) fn use_release(root: &Path, name: &str) {
    fs::write(root.join("current.new"), name).unwrap();
    fs::rename(root.join("current.new"), root.join("current")).unwrap();
}

fn start(folder: &TempDir) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-server"));
    command.arg("--release").arg(folder.path());
    command.args(["--port", "0"]).env("RUST_LOG", "off").stdin(Stdio::null());
    Process::start_with(folder.path(), &mut command).ready()
}

pub(crate) const FIRST: &str = "0000000000000001";
pub(crate) const SECOND: &str = "0000000000000002";

#[test]
fn a_new_release_is_taken_up_without_dropping_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_release(root, FIRST, 20);
    use_release(root, FIRST);
    let mut server = start(&folder);
    // The newest item of the second release is unknown to the first.
    let request = json!({"history": ["24"], "k": 30});
    assert_eq!(server.candidates(&request)["ranking"], "popularity");

    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Fails for any other status than 200.
                    let answer = server.candidates(&json!({"history": ["3", "4"], "k": 30}));
                    let count = candidate_ids(&answer).len();
                    assert!([18, 23].contains(&count), "{count} candidates");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        write_release(root, SECOND, 25);
        use_release(root, SECOND);
        wait_until("the second release is used", || {
            server.candidates(&request)["ranking"] == "language_model"
        });
        let before = answered.load(Ordering::Relaxed);
        wait_until("requests go on", || answered.load(Ordering::Relaxed) > before + 3);
        done.store(true, Ordering::Relaxed);
    });
    // A device that read the older manifest can load the rest of its artefacts.
    let older = fs::read_to_string(root.join("releases").join(FIRST).join("artifacts")).unwrap();
    assert_eq!(server.get(&format!("/artifacts/{older}/rows.bin")).0, 200);
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}

#[test]
fn a_damaged_release_is_refused_and_the_earlier_one_stays() {
    check_refusal(|gguf| {
        // The language model of another catalogue.
        let first = gguf.parent().unwrap().with_file_name(FIRST);
        fs::copy(first.join("language-model.gguf"), gguf).unwrap();
    });
}

/// Checks that a release is refused whose language model `damage` has replaced.
pub(crate) fn check_refusal(damage: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_release(root, FIRST, 20);
    use_release(root, FIRST);
    let mut server = start(&folder);
    write_release(root, SECOND, 25);
    damage(&root.join("releases").join(SECOND).join("language-model.gguf"));
    use_release(root, SECOND);
    thread::sleep(std::time::Duration::from_millis(2500));
    let answer = server.candidates(&json!({"history": ["3"], "k": 30}));
    assert_eq!(candidate_ids(&answer).len(), 19);
    let metrics = String::from_utf8(server.get("/metrics").1).unwrap();
    assert!(metrics.contains("tandem_release_refusals_total 1\n"), "{metrics}");
    // The server switches to another release at once.
    write_release(root, "0000000000000003", 25);
    use_release(root, "0000000000000003");
    wait_until("the third release is used", || {
        candidate_ids(&server.candidates(&json!({"history": ["3"], "k": 30}))).len() == 24
    });
    assert_eq!(server.stop_with("-TERM").code(), Some(0));
}
