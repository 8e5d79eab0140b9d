//! Rules for single files: length, and no traces of a machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Maximum number of lines of a code file; tests and generated files are not counted.
const MAX_LINES: usize = 500;

/// Code files that are too long.
pub(super) fn too_long(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let is_code = |file: &&PathBuf| {
        file.extension().is_some_and(|extension| extension == "rs" || extension == "ts")
            && !is_test(file)
    };
    let mut broken = Vec::new();
    for file in files.iter().filter(is_code) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let lines = code_lines(&text);
        if lines > MAX_LINES && !text.starts_with("// Generated") {
            broken.push(format!(
                "{} has {lines} lines of code, at most {MAX_LINES} are allowed: split it by concept",
                file.display()
            ));
        }
    }
    broken
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| part == "tests" || part == "test" || part == "e2e")
        || file.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name == "tests.rs" || name.ends_with(".test.ts")
        })
}

/// Number of lines before the module of unit tests.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

/// Absolute paths of this machine in files, and registry hosts in lock files.
pub(super) fn machine_traces(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let home = std::env::var("HOME").ok().filter(|home| home.len() > 1);
    let mut folders = vec![format!("{}/", root.display())];
    folders.extend(home.map(|home| format!("{home}/")));
    let mut broken = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for folder in &folders {
            if let Some(line) = text.lines().position(|line| contains_path(line, folder)) {
                broken.push(format!(
                    "{}:{}: contains {folder}, a folder of this machine: use a relative path",
                    file.display(),
                    line + 1
                ));
            }
        }
        let lock = file.file_name().is_some_and(|name| name == "package-lock.json");
        if lock && text.contains("\"resolved\": \"http") {
            broken.push(format!(
                "{}: contains a registry's host: run `npm install` again with this repository's \
                 .npmrc",
                file.display()
            ));
        }
    }
    broken
}

/// Whether `line` contains `folder` as the start of a path, not inside a longer path.
fn contains_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/~".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_tests_do_not_count_as_code() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("a\nb\n"), 2);
    }

    #[test]
    fn a_file_of_501_lines_is_too_long_unless_it_is_a_test_or_generated() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("tests")).unwrap();
        for (name, lines) in [("a.rs", 500), ("b.rs", 501), ("tests/c.rs", 501), ("d.md", 501)] {
            fs::write(root.join(name), "x\n".repeat(lines)).unwrap();
        }
        fs::write(root.join("e.ts"), format!("// Generated\n{}", "x\n".repeat(501))).unwrap();
        let files = ["a.rs", "b.rs", "tests/c.rs", "d.md", "e.ts"].map(PathBuf::from);
        let found = too_long(root, &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("b.rs has 501 lines"), "{found:?}");
    }

    #[test]
    fn only_whole_paths_count() {
        assert!(contains_path("cd /srv/x/src", "/srv/x/"));
        assert!(contains_path("\"/srv/x/src\"", "/srv/x/"));
        assert!(!contains_path("target/srv/x/src", "/srv/x/"));
        assert!(!contains_path("/srv/xy", "/srv/x/"));
    }

    #[test]
    fn traces_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let place = root.display();
        fs::write(root.join("note.md"), format!("fine\nsee {place}/src\n")).unwrap();
        let lock = "{\"resolved\": \"https://packages.example/a.tgz\"}";
        fs::write(root.join("package-lock.json"), lock).unwrap();
        let files = ["note.md", "package-lock.json", "absent"].map(PathBuf::from);
        let found = machine_traces(root, &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("note.md:2: contains "), "{found:?}");
        assert!(found[1].starts_with("package-lock.json: "), "{found:?}");
    }
}
