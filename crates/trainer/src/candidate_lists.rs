//! Files of candidate lists that a language model made before, so that protocols can be run
//! many times over the same answers. A file is a header line, then one line of JSON for each
//! list.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::CandidateLists;

use crate::failure::BadInput;

/// First line of a file: the model, the catalogue and the length of the lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) model: String,
    pub(crate) model_sha256: String,
    /// Hash of the ranking signals beside the model, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signals_sha256: Option<String>,
    pub(crate) catalogue_hash: String,
    pub(crate) k: usize,
}

/// One list: for the first `length` items of a user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) user: usize,
    pub(crate) length: usize,
    pub(crate) items: Vec<ItemIndex>,
    pub(crate) logprobs: Vec<f32>,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) header: Header,
    pub(crate) lists: CandidateLists,
    /// Bytes of the complete lines. What follows was cut off while it was written.
    pub(crate) complete_bytes: u64,
}

/// Reads the lists of a file, which must be of this dataset.
pub(crate) fn load(path: &Path, dataset: &Dataset) -> Result<CandidateLists> {
    let Some(Content { header, lists, .. }) = read(path)? else {
        return Err(bad_line(path, 1, &"the end of the file").into());
    };
    if header.catalogue_hash != dataset.catalogue.hash() {
        let text = format!(
            "{}: expected lists of catalogue {}, found lists of {}; make them again with `tandem lists`",
            path.display(),
            dataset.catalogue.hash(),
            header.catalogue_hash
        );
        return Err(BadInput(text).into());
    }
    Ok(lists)
}

/// Reads all complete lines; a line is complete once its line feed is there. `None` if the
/// header is not complete.
pub(crate) fn read(path: &Path) -> Result<Option<Content>> {
    let file = File::open(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let mut lines = CompleteLines { source: BufReader::new(file), text: String::new(), bytes: 0 };
    let Some(first) = lines.next()? else { return Ok(None) };
    let header = serde_json::from_str(first).map_err(|error| bad_line(path, 1, &error))?;
    let mut lists = HashMap::new();
    let mut number = 1;
    while let Some(text) = lines.next()? {
        number += 1;
        let line: Line =
            serde_json::from_str(text).map_err(|error| bad_line(path, number, &error))?;
        if line.items.len() != line.logprobs.len() {
            let found = format!("{} items, {} of them", line.items.len(), line.logprobs.len());
            return Err(bad_line(
                path,
                number,
                &format!("one log-probability for each item, found {found}"),
            )
            .into());
        }
        let list = line.items.into_iter().zip(line.logprobs).collect();
        lists.insert((line.user, line.length), list);
    }
    Ok(Some(Content { header, lists, complete_bytes: lines.bytes }))
}

fn bad_line(path: &Path, line: usize, error: &dyn std::fmt::Display) -> BadInput {
    BadInput(format!("{}:{line}: expected a candidate list: {error}", path.display()))
}

/// The complete lines of a file.
struct CompleteLines<R> {
    source: R,
    text: String,
    bytes: u64,
}

impl<R: BufRead> CompleteLines<R> {
    fn next(&mut self) -> std::io::Result<Option<&str>> {
        self.text.clear();
        let read = self.source.read_line(&mut self.text)?;
        if !self.text.ends_with('\n') {
            return Ok(None);
        }
        self.bytes += read as u64;
        Ok(Some(&self.text))
    }
}

/// A history as the server makes it: of repeats, only the newest stays.
#[cfg(feature = "llama")]
pub(crate) fn distinct(items: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut seen = std::collections::HashSet::new();
    let mut newest: Vec<ItemIndex> =
        items.iter().rev().copied().filter(|item| seen.insert(*item)).collect();
    newest.reverse();
    newest
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEADER: &str =
        "{\"model\":\"m\",\"model_sha256\":\"s\",\"catalogue_hash\":\"c\",\"k\":2}\n";
    const FIRST: &str = "{\"user\":0,\"length\":1,\"items\":[3,1],\"logprobs\":[-0.5,-1.5]}\n";

    fn read_text(text: &str) -> Result<Option<Content>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.jsonl");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn an_incomplete_line_does_not_count() {
        let second = FIRST.replace("\"user\":0", "\"user\":1");
        let whole = format!("{HEADER}{FIRST}");
        // Cut anywhere, its end included.
        for cut in 0..second.len() {
            let content = read_text(&format!("{whole}{}", &second[..cut])).unwrap().unwrap();
            assert_eq!(content.complete_bytes, whole.len() as u64);
            assert_eq!(content.lists.len(), 1);
            assert_eq!(content.lists[&(0, 1)], [(ItemIndex(3), -0.5), (ItemIndex(1), -1.5)]);
        }
        assert!(read_text(&HEADER[..20]).unwrap().is_none());
        assert!(read_text("").unwrap().is_none());
    }

    #[test]
    fn a_malformed_line_is_refused_with_its_number() {
        let said = |text: &str| read_text(text).unwrap_err().to_string();
        assert!(said(&format!("{HEADER}{FIRST}{{\"user\":1\n")).contains(":3: expected a"));
        let uneven = FIRST.replace("[3,1]", "[3]");
        assert!(said(&format!("{HEADER}{uneven}")).contains("found 1 items, 2 of them"));
        assert!(said("none\n").contains(":1: expected a"));
    }
}
