//! Tables of the documents, made from `docs/results/*.json`, which `tandem evaluate --json`
//! writes.
//!
//! A table stands between two comments, and whatever stands there is made anew:
//!
//! ```text
//! <!-- results: beauty-paper fusion=weighted learning=no gain=llm-stale -->
//! <!-- end -->
//! ```
//!
//! What comes after the file's name chooses rows and columns: see [`Request`].

mod request;
mod table;

use std::{fmt, fs, path::Path};

use serde_json::{Map, Value};

use crate::{failure::Failure, say, workspace::Workspace};
use request::Request;

/// Documents with tables.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/quality.md"];
/// Where the rows are.
const FOLDER: &str = "docs/results";

const OPEN: &str = "<!-- results:";
const CLOSE: &str = "-->";
const END: &str = "<!-- end -->";

/// A measured row.
type Row = Map<String, Value>;

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
    let said = |error: &dyn fmt::Display| {
        Failure::Check(format!(
            "{FOLDER}/{name}.json: {error}; `tandem evaluate --json` writes such files"
        ))
    };
    let text = fs::read_to_string(file).map_err(|error| said(&error))?;
    serde_json::from_str(&text).map_err(|error| said(&error))
}

/// The document with every table made anew.
fn rewrite(
    document: &str,
    rows: impl Fn(&str) -> Result<Vec<Row>, Failure>,
) -> Result<String, Failure> {
    let mut written = String::new();
    let mut rest = document;
    while let Some(at) = rest.find(OPEN) {
        let (before, from) = rest.split_at(at);
        let line = from.lines().next().unwrap_or_default();
        let wrong = |what: &dyn fmt::Display| Failure::Check(format!("`{line}` {what}"));
        let wanted = line[OPEN.len()..]
            .strip_suffix(CLOSE)
            .ok_or_else(|| wrong(&format_args!("has to end in {CLOSE}")))?;
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
    fn a_table_is_made_anew_and_the_rest_stays() {
        let open = "<!-- results: set-paper -->";
        let document = format!("Before.\n{open}\nold\n{END}\nAfter.\n");
        let new = rewritten(&document).unwrap();
        let table = "\
            | | HR@10 | NDCG@10 | seeds |\n\
            |---|---|---|---|\n\
            | llm-stale | .0200 | .0100 | 1 |\n\
            | fusion-none | .0400 ± .0141 | .0150 ± .0014 | 2 |\n";
        assert_eq!(new, format!("Before.\n{open}\n{table}{END}\nAfter.\n"));
        assert_eq!(rewritten(&new).unwrap(), new, "once more changes nothing");
        assert_eq!(rewritten("no table").unwrap(), "no table");
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let said = |text: &str| rewritten(text).unwrap_err().to_string();
        assert!(said("<!-- results: set-paper -->\n").contains("no <!-- end -->"));
        assert!(said("<!-- results: other -->\n<!-- end -->").contains("no other"));
        let nothing = "<!-- results: set-paper name=din -->\n<!-- end -->";
        assert!(said(nothing).contains("no row"), "{}", said(nothing));
        let two = "<!-- results: a -->\n<!-- results: set-paper -->\n<!-- end -->";
        assert!(said(two).contains("before the next"));
    }

    /// Whoever changes figures or tables by hand is told here.
    #[test]
    fn the_documents_show_what_the_result_files_hold() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in DOCUMENTS {
            let old = fs::read_to_string(root.join(name)).unwrap();
            let new = rewrite(&old, |name| rows(root, name)).unwrap();
            let differs = old.lines().zip(new.lines()).find(|(old, new)| old != new);
            assert!(old == new, "{name} differs, run `cargo xtask results`: {differs:?}");
        }
    }
}
