//! Embeddings of item titles by a text language model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_dataset::{Catalogue, Item, files::Sha256Hex};
use tandem_generator::{llama::TextEmbedder, titles::label};

use crate::{failure::BadInput, write_atomically};

const MAGIC: &[u8; 16] = b"tandem titles 1\n";

/// Embeddings of the titles of a catalogue.
#[derive(Debug)]
pub(crate) struct TitleVectors {
    /// Width of a vector.
    pub(crate) dims: usize,
    /// `[items, dims]`.
    pub(crate) values: Vec<f32>,
}

impl TitleVectors {
    /// Computes the embeddings, or reads them from the cache file in `folder` that an earlier
    /// run wrote for the same texts and model.
    pub(crate) fn of(gguf: &Path, catalogue: &Catalogue, folder: &Path) -> Result<Self> {
        if catalogue.items().iter().all(|item| item.title.is_empty()) {
            let text =
                "the catalogue has no titles; import it with titles, or train without --titles";
            return Err(BadInput(text.to_owned()).into());
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let embedder = TextEmbedder::load(gguf, threads)?;
        let texts: Vec<String> = catalogue.items().iter().map(text).collect();
        let path = folder.join(file_name(&embedder, &texts));
        if let Some(known) = read(&path, embedder.dims(), texts.len()) {
            return Ok(known);
        }
        let style =
            ProgressStyle::with_template("embedding titles {bar:30} {pos}/{len}, {eta} left")?;
        let bar = ProgressBar::new(texts.len() as u64).with_style(style);
        let values = embedder.embed(&texts, |count| bar.inc(count as u64))?;
        bar.finish_and_clear();
        let vectors = Self { dims: embedder.dims(), values };
        let bytes = vectors.values.iter().flat_map(|value| value.to_le_bytes());
        let bytes: Vec<u8> = MAGIC.iter().copied().chain(bytes).collect();
        write_atomically(&path, &bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(vectors)
    }
}

impl TitleVectors {
    /// The vector of the item at a catalogue position.
    pub(crate) fn of_item(&self, at: usize) -> &[f32] {
        &self.values[at * self.dims..(at + 1) * self.dims]
    }
}

/// The embedded text: title and categories, empty without a title.
fn text(item: &Item) -> String {
    if item.title.is_empty() {
        return String::new();
    }
    let title = label(item, false);
    if item.genres.is_empty() { title } else { format!("{title} ({})", item.genres.join(", ")) }
}

/// A name with the hash of the model and the texts.
fn file_name(embedder: &TextEmbedder, texts: &[String]) -> PathBuf {
    let mut hash = Sha256Hex::default();
    hash.update(embedder.sha256());
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    format!("titles-{}.f32", &hash.finish()[..16]).into()
}

/// The cached vectors; `None` if the file is missing or has another size.
fn read(path: &Path, dims: usize, items: usize) -> Option<TitleVectors> {
    let bytes = fs::read(path).ok()?;
    let values = bytes.strip_prefix(MAGIC)?;
    if values.len() != items * dims * 4 {
        return None;
    }
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Some(TitleVectors { dims, values: values.chunks_exact(4).map(number).collect() })
}
