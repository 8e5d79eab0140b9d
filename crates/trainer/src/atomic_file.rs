use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::interrupt;

/// Writes a file that appears whole or not at all, also if an older one is there; missing
/// folders are made.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    interrupt::finish_first(|| {
        fs::create_dir_all(parent)?;
        // A folder rather than a temporary file: the file gets the usual permissions.
        let shelter = tempfile::Builder::new().prefix(".writing.").tempdir_in(parent)?;
        let draft = shelter.path().join("new");
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b.txt");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(home.path().join("a")).unwrap().count(), 1);
        // A folder cannot be replaced by a file: refused, and no draft is left.
        assert!(write_atomically(&home.path().join("a"), b"new").is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
