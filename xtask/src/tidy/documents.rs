//! Paths in documents: a file or folder of this repository that a page names must exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders of generated files, absent in a fresh checkout.
const GENERATED: [&str; 7] =
    ["pkg/dist", "pkg/wasm", "web/dist", "target", "data", "artifacts", "node_modules"];

/// Paths in the Markdown files among `files` that do not exist.
pub(super) fn missing_paths(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let tops: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.components().count() > 1)
        .filter_map(|file| file.iter().next()?.to_str())
        .collect();
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let folder = file.parent().unwrap_or(Path::new(""));
        for (number, line) in text.lines().enumerate() {
            let code = code_spans(line).filter(|path| is_path(path, &tops)).map(PathBuf::from);
            let links = links(line).map(|link| folder.join(link));
            for path in code.chain(links) {
                let generated = GENERATED.iter().any(|folder| path.starts_with(folder));
                if !generated && !root.join(&path).exists() {
                    broken.push(format!(
                        "{}:{}: names {}, which does not exist: correct the path",
                        file.display(),
                        number + 1,
                        path.display()
                    ));
                }
            }
        }
    }
    broken
}

/// The text between backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a code span is a path from the root of this repository.
fn is_path(span: &str, tops: &BTreeSet<&str>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    span.split_once('/').is_some_and(|(top, _)| tops.contains(top)) && span.chars().all(plain)
}

/// Targets of links into the repository, without a fragment.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        let local = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        local.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("src/deep")).unwrap();
        fs::write(root.join("src/deep/a.rs"), "").unwrap();
        let text = "`src/deep/a.rs` and [a](deep/a.rs), `or/else`, `src/{a,b}`, <https://x.y/z>\n\
                    `src/gone.rs`\n[b](lost.md#part) and [c](https://example.com/c.md) [d](#here)\n";
        fs::write(root.join("src/page.md"), text).unwrap();
        let files = ["src/page.md", "src/deep/a.rs"].map(PathBuf::from);
        assert_eq!(
            missing_paths(root, &files),
            [
                "src/page.md:2: names src/gone.rs, which does not exist: correct the path",
                "src/page.md:3: names src/lost.md, which does not exist: correct the path",
            ]
        );
    }
}
