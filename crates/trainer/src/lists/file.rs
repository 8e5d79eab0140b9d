//! A file of lists: a header, then a line of JSON a list.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tandem_dataset::{Dataset, ItemIndex};

use crate::failure::BadInput;

/// First line of a file of lists: what they are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) model: String,
    pub(super) model_sha256: String,
    pub(super) catalogue_hash: String,
    pub(super) k: usize,
}

/// One list: for the first `length` items of a user.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) user: usize,
    pub(super) length: usize,
    pub(super) items: Vec<ItemIndex>,
    pub(super) logprobs: Vec<f32>,
}

/// Candidates with log-probabilities in nats, best first.
pub(crate) type List = Vec<(ItemIndex, f32)>;

/// Lists by user and length.
pub(crate) type ListsByPrefix = HashMap<(usize, usize), List>;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) header: Header,
    pub(super) lists: ListsByPrefix,
    /// Bytes of the lines that are whole. What comes after was cut off while it was written.
    pub(super) whole: u64,
}

/// The lists of a file, which must be of this dataset.
pub(crate) fn load(path: &Path, dataset: &Dataset) -> Result<ListsByPrefix> {
    let Some(Content { header, lists, .. }) = read(path)? else {
        return Err(bad_line(path, 1, &"the end of the file").into());
    };
    if header.catalogue_hash != dataset.catalogue.hash() {
        let text = format!(
            "{}: expected lists of catalogue {}, found some of {}; make them again",
            path.display(),
            dataset.catalogue.hash(),
            header.catalogue_hash
        );
        return Err(BadInput(text).into());
    }
    Ok(lists)
}

/// Reads what is whole: a line counts once its end is there. `None` if not even the header
/// is.
pub(super) fn read(path: &Path) -> Result<Option<Content>> {
    let file = File::open(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let mut lines = Whole { source: BufReader::new(file), text: String::new(), bytes: 0 };
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
                &format!("a log-probability an item, found {found}"),
            )
            .into());
        }
        let list = line.items.into_iter().zip(line.logprobs).collect();
        lists.insert((line.user, line.length), list);
    }
    Ok(Some(Content { header, lists, whole: lines.bytes }))
}

fn bad_line(path: &Path, line: usize, error: &dyn std::fmt::Display) -> BadInput {
    BadInput(format!("{}:{line}: expected a candidate list: {error}", path.display()))
}

/// The lines of a file that have an end.
struct Whole<R> {
    source: R,
    text: String,
    bytes: u64,
}

impl<R: BufRead> Whole<R> {
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
    fn a_line_that_was_cut_off_does_not_count() {
        let second = FIRST.replace("\"user\":0", "\"user\":1");
        let whole = format!("{HEADER}{FIRST}");
        // Cut anywhere, its end included.
        for cut in 0..second.len() {
            let content = read_text(&format!("{whole}{}", &second[..cut])).unwrap().unwrap();
            assert_eq!(content.whole, whole.len() as u64);
            assert_eq!(content.lists.len(), 1);
            assert_eq!(content.lists[&(0, 1)], [(ItemIndex(3), -0.5), (ItemIndex(1), -1.5)]);
        }
        assert!(read_text(&HEADER[..20]).unwrap().is_none());
        assert!(read_text("").unwrap().is_none());
    }

    #[test]
    fn a_line_that_is_no_list_is_refused_by_its_number() {
        let said = |text: &str| read_text(text).unwrap_err().to_string();
        assert!(said(&format!("{HEADER}{FIRST}{{\"user\":1\n")).contains(":3: expected a"));
        let uneven = FIRST.replace("[3,1]", "[3]");
        assert!(said(&format!("{HEADER}{uneven}")).contains("found 1 items, 2 of them"));
        assert!(said("none\n").contains(":1: expected a"));
    }
}
