//! Clean-up after a signal, in a child process.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tandem_dataset::files::{FileDraft, FolderDraft, clean_up_on_interrupt, write_atomically};

const FOLDER: &str = "TANDEM_TEST_DRAFTS";

/// Not a test of its own: what the child process of the test below runs.
#[test]
#[ignore = "runs in the child process of another test"]
fn holds_drafts_until_it_is_interrupted() {
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    clean_up_on_interrupt().unwrap();
    write_atomically(&folder.join("complete"), b"x").unwrap();
    let mut file = FileDraft::new(&folder.join("file")).unwrap();
    file.write_all(b"half").unwrap();
    let parts = FolderDraft::new(&folder.join("parts")).unwrap();
    parts.write("first", |writer| writer.write_all(b"x")).unwrap();
    println!("\nready");
    thread::sleep(Duration::from_mins(1));
    drop((file, parts));
}

#[cfg(unix)]
#[test]
fn a_signal_deletes_the_drafts_and_keeps_what_is_complete() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "interrupt::holds_drafts_until_it_is_interrupted"])
            .args(["--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line == "ready"), "{signal}");
        let names = || {
            let entries = folder.path().read_dir().unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        assert_eq!(names().len(), 3, "{signal}: a file and two drafts");
        let kill = ["-s", signal, &child.id().to_string()].map(str::to_owned);
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(names(), ["complete"], "{signal}");
    }
}
