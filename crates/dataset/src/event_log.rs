//! The folder of a server's event log: its files, its lock, and the removal of a user.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::files::FileDraft;

/// The file of clicks and purchases.
pub const INTERACTIONS: &str = "interactions.jsonl";
/// The file of views and dislikes.
pub const SIGNALS: &str = "signals.jsonl";
/// The file of the disagreements that devices report.
pub const DISAGREEMENTS: &str = "disagreements.jsonl";
/// The file that is locked by a process that writes to the folder.
pub const LOCK: &str = ".lock";

/// The fields of every line of the files with events.
pub const FIELDS: [&str; 5] = ["user", "item", "timestamp", "type", "id"];

/// Extension of the files with events, also of those that were renamed within the folder.
const EXTENSION: &str = "jsonl";

/// The part of a line that names its user.
#[derive(Deserialize)]
struct Line {
    user: String,
}

/// Opens the lock file of the folder and waits for its lock, which ends when the file is dropped.
///
/// # Errors
/// If the file cannot be created or locked.
pub fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(LOCK))?;
    file.lock()?;
    Ok(file)
}

/// The files with events in the folder, in the order of their names.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the file begins with a line of a server's event log.
///
/// # Errors
/// If the file cannot be read.
pub fn is_event_log(path: &Path) -> io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&line).unwrap_or_default();
    Ok(FIELDS.iter().all(|name| fields.contains_key(*name)))
}

/// Removes the lines of `user` from a file of events and returns their number. The file is
/// replaced atomically, and stays as it is if it has no such line. A process that may write to
/// the file must hold its lock.
///
/// # Errors
/// If the file cannot be read or replaced; it is then unchanged.
pub fn remove_user(path: &Path, user: &str) -> io::Result<u64> {
    let found = each_line(path, |line| Ok(is_of(line, user)))?;
    if found == 0 {
        return Ok(0);
    }
    let mut draft = FileDraft::new(path)?;
    fs::set_permissions(draft.path(), fs::metadata(path)?.permissions())?;
    let removed = each_line(path, |line| {
        let remove = is_of(line, user);
        if !remove {
            draft.write_all(line)?;
        }
        Ok(remove)
    })?;
    draft.publish()?;
    Ok(removed)
}

/// Calls `take` with each line and its end; returns how often it said yes.
fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut count = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        count += u64::from(take(&line)?);
        line.clear();
    }
    Ok(count)
}

fn is_of(line: &[u8], user: &str) -> bool {
    serde_json::from_slice::<Line>(line).is_ok_and(|line| line.user == user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str, id: &str) -> String {
        format!(r#"{{"user":"{user}","item":"1","timestamp":5,"type":"click","id":"{id}"}}"#)
    }

    #[test]
    fn only_the_lines_of_the_user_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let of = |names: &[&str]| names.iter().map(|it| line(it, "1") + "\n").collect::<String>();
        // The last line has no end, and one line is no event.
        let text = of(&["ann", "bob"]) + "not json\n" + &of(&["anna", "ann"]) + &line("bob", "2");
        fs::write(&path, &text).unwrap();
        assert_eq!(remove_user(&path, "carl").unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(remove_user(&path, "ann").unwrap(), 2);
        let left = of(&["bob"]) + "not json\n" + &of(&["anna"]) + &line("bob", "2");
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
        assert_eq!(files(folder.path()).unwrap(), [path]);
    }

    #[cfg(unix)]
    #[test]
    fn a_log_that_others_cannot_read_stays_so() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, line("ann", "1") + "\n" + &line("bob", "1")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        remove_user(&path, "ann").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_of_events_are_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let is = |text: &str| {
            let path = folder.path().join("file");
            fs::write(&path, text).unwrap();
            is_event_log(&path).unwrap()
        };
        assert!(is(&(line("ann", "1") + "\n")));
        assert!(!is("{\"user\":\"ann\",\"item\":\"1\"}\n"));
        assert!(!is("user,item\n") && !is(""));
    }
}
