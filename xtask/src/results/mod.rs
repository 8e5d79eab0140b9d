//! Tables in documents, generated from `docs/results/*.json`, which `tandem evaluate --json`
//! writes.
//!
//! A table is between two comments. Everything between them is replaced:
//!
//! ```text
//! <!-- results: beauty-paper fusion=weighted learning=no gain=llm-stale -->
//! <!-- end -->
//! ```
//!
//! The words after the file's name select rows and columns: see [`Request`].

mod request;
mod table;

use std::{fmt, fs, path::Path};

use crate::{failure::Failure, progress::say, workspace::Workspace};
use request::Request;
use table::Row;

/// Documents with tables.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/quality.md"];
/// The folder of the result files.
const FOLDER: &str = "docs/results";

const OPEN: &str = "<!-- results:";
const CLOSE: &str = "-->";
const END: &str = "<!-- end -->";

/// `cargo xtask results`
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    for name in DOCUMENTS {
        let path = workspace.at(name);
        let old = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        let new = rewrite(&old, |name| rows(workspace.root(), name))
            .map_err(|error| Failure::Check(format!("{name}: {error}")))?;
        if new == old {
            say("Unchanged", name);
        } else {
            fs::write(&path, new).map_err(Failure::file(&path))?;
            say("Rewritten", name);
        }
    }
    Ok(())
}

/// The rows of `docs/results/<name>.json`.
fn rows(root: &Path, name: &str) -> Result<Vec<Row>, Failure> {
    let file = root.join(FOLDER).join(format!("{name}.json"));
    let unreadable = |error: &dyn fmt::Display| {
        Failure::Check(format!(
            "{FOLDER}/{name}.json: {error}; write it with `tandem evaluate --json`"
        ))
    };
    let text = fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    serde_json::from_str(&text).map_err(|error| unreadable(&error))
}

/// The document with every table generated again.
fn rewrite(
    document: &str,
    rows: impl Fn(&str) -> Result<Vec<Row>, Failure>,
) -> Result<String, Failure> {
    let mut written = String::new();
    let mut rest = document;
    while let Some(at) = rest.find(OPEN) {
        let (before, from) = rest.split_at(at);
        let line = from.lines().next().unwrap_or_default();
        let wrong = |what: &dyn fmt::Display| {
            Failure::Check(format!("`{line}` {what}: correct the comment"))
        };
        let wanted = line[OPEN.len()..]
            .strip_suffix(CLOSE)
            .ok_or_else(|| wrong(&format_args!("must end in {CLOSE}")))?;
        let after = &from[line.len()..];
        let end = after.find(END).ok_or_else(|| wrong(&format_args!("has no {END} below it")))?;
        if after[..end].contains(OPEN) {
            return Err(wrong(&format_args!("has no {END} before the next table")));
        }
        let request = Request::parse(wanted)?;
        let table = table::markdown(&rows(&request.file)?, &request)?;
        written.extend([before, line, "\n", &table, END]);
        rest = &after[end + END.len()..];
    }
    written.push_str(rest);
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"[
        {"name":"llm-stale","seed":1,"hr10":0.02,"ndcg10":0.010,"history":"removed","metrics":{"count":4,"at":[]}},
        {"name":"fusion-none","seed":1,"hr10":0.03,"ndcg10":0.014,"history":"removed","metrics":{"count":4,"at":[]}},
        {"name":"fusion-none","seed":2,"hr10":0.05,"ndcg10":0.016,"history":"removed","metrics":{"count":4,"at":[]}}
    ]"#;

    fn rewritten(document: &str) -> Result<String, Failure> {
        rewrite(document, |name| match name {
            "set-paper" => Ok(serde_json::from_str(ROWS).unwrap()),
            other => Err(Failure::Check(format!("no {other}"))),
        })
    }

    #[test]
    fn tables_are_replaced_and_other_text_is_kept() {
        let open = "<!-- results: set-paper -->";
        let document = format!("Before.\n{open}\nold\n{END}\nAfter.\n");
        let new = rewritten(&document).unwrap();
        let table = "\
            | | HR@10 | NDCG@10 | seeds |\n\
            |---|---|---|---|\n\
            | llm-stale | .0200 | .0100 | 1 |\n\
            | fusion-none | .0400 ± .0141 | .0150 ± .0014 | 2 |\n";
        assert_eq!(new, format!("Before.\n{open}\n{table}{END}\nAfter.\n"));
        assert_eq!(rewritten(&new).unwrap(), new, "a second run changes nothing");
        assert_eq!(rewritten("no table").unwrap(), "no table");
    }

    #[test]
    fn errors_name_the_comment_and_the_cause() {
        let said = |text: &str| rewritten(text).unwrap_err().to_string();
        assert!(said("<!-- results: set-paper -->\n").contains("no <!-- end -->"));
        assert!(said("<!-- results: other -->\n<!-- end -->").contains("no other"));
        let nothing = "<!-- results: set-paper name=din -->\n<!-- end -->";
        assert!(said(nothing).contains("no row"), "{}", said(nothing));
        let two = "<!-- results: a -->\n<!-- results: set-paper -->\n<!-- end -->";
        assert!(said(two).contains("before the next"));
    }

    /// Fails when a figure or table was changed by hand.
    #[test]
    fn documents_agree_with_the_result_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in DOCUMENTS {
            let old = fs::read_to_string(root.join(name)).unwrap();
            let new = rewrite(&old, |name| rows(root, name)).unwrap();
            let differs = old.lines().zip(new.lines()).find(|(old, new)| old != new);
            assert!(old == new, "{name} differs, run `cargo xtask results`: {differs:?}");
        }
    }
}
