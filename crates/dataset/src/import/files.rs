use std::path::{Path, PathBuf};

use crate::{DatasetError, event_log::INTERACTIONS};

/// The files that paths, patterns and folders of the server's event log stand for, those of a
/// pattern in the order of their names.
///
/// # Errors
/// [`DatasetError::Input`] for a pattern that matches nothing, or a file that is given twice.
pub fn input_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
        match pattern {
            // A file can have such a name.
            Some(pattern) if !path.exists() => files.extend(matches(path, pattern)?),
            _ if path.join(INTERACTIONS).is_file() => files.push(path.join(INTERACTIONS)),
            _ => files.push(path.clone()),
        }
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = files.iter().find(|path| !seen.insert(path.as_path())) {
        return Err(DatasetError::input(twice, "is given twice"));
    }
    Ok(files)
}

/// Whether this is the file of a server's event log, without an event yet.
pub(super) fn is_empty_log(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == INTERACTIONS)
        && path.metadata().is_ok_and(|metadata| metadata.len() == 0)
}

fn matches(path: &Path, pattern: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let found = glob::glob(pattern).map_err(|error| {
        DatasetError::input(path, format!("is not a pattern of file names: {error}"))
    })?;
    let files: Result<Vec<PathBuf>, glob::GlobError> = found.collect();
    let mut files = files.map_err(|error| {
        let path = error.path().to_path_buf();
        DatasetError::io("read", &path)(error.into())
    })?;
    files.retain(|path| path.is_file());
    if files.is_empty() {
        return Err(DatasetError::input(path, "matches no file"));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_expanded_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "c.txt", "odd[1].csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |patterns: &[&str]| {
            let paths: Vec<PathBuf> = patterns.iter().map(|it| folder.path().join(it)).collect();
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            input_files(&paths).map(|paths| paths.into_iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["*.csv"]).unwrap(), ["a.csv", "b.csv", "odd[1].csv"]);
        assert_eq!(names(&["odd[1].csv", "?.txt"]).unwrap(), ["odd[1].csv", "c.txt"]);
        let error = names(&["*.json"]).unwrap_err().to_string();
        assert!(error.contains("matches no file"), "{error}");
        let error = names(&["a.csv", "a*"]).unwrap_err().to_string();
        assert!(error.contains("a.csv is given twice"), "{error}");
        let log = folder.path().join(INTERACTIONS);
        std::fs::write(&log, "").unwrap();
        assert_eq!(input_files(&[folder.path().to_path_buf()]).unwrap(), [log]);
        assert_eq!(input_files(&["-".into()]).unwrap(), [PathBuf::from("-")]);
    }
}
