//! `tandem embed`: text embeddings of the items of a catalogue.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_dataset::{
    Catalogue, Dataset,
    text_vectors::{
        DEFAULT_TEMPLATE, TextSource, TextVectors, check_template, item_text, text_hash,
    },
};
use tandem_generator::llama::{self, TextEmbedder};

use crate::{
    failure::BadInput,
    values::{ADVANCED, FILES},
};

/// Texts embedded between two saves, at least; the work since the last save is lost by an
/// interruption.
const CHUNK: usize = 256;
/// Time between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(20);

/// Options of `tandem embed`.
#[derive(Args, Debug)]
pub(crate) struct Embed {
    /// Embedding model (.gguf): an encoder, or any causal language model.
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    gguf: PathBuf,
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// File of the vectors (.safetensors); texts that an existing file holds are not embedded
    /// again.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// The text of an item, with the fields {title}, {year}, {categories}, {brand} and
    /// {description}.
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_TEMPLATE, help_heading = ADVANCED)]
    template: String,
    /// How the vectors of tokens become one [default: as the model's metadata say, else mean].
    #[arg(long, value_enum, help_heading = ADVANCED)]
    pooling: Option<Pooling>,
    /// Number of threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = crate::values::positive, help_heading = ADVANCED)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token.
    Cls,
    /// The last token.
    Last,
}

impl From<Pooling> for llama::Pooling {
    fn from(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Cls => Self::Cls,
            Pooling::Last => Self::Last,
        }
    }
}

pub(crate) fn run(args: &Embed) -> Result<()> {
    check_template(&args.template)?;
    let catalogue = Dataset::load(&args.data)?.catalogue;
    let threads = args.threads.unwrap_or_else(all_cores);
    let embedder = TextEmbedder::load(&args.gguf, args.pooling.map(Into::into), threads)?;
    let start = Instant::now();
    let (vectors, computed) = embed(&embedder, &catalogue, &args.template, &args.out)?;
    println!(
        "{}: {} vectors of {} numbers from {} ({} pooling); {computed} texts embedded in {:.1} s",
        args.out.display(),
        vectors.len(),
        vectors.dims(),
        vectors.source.model,
        vectors.source.pooling,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// All cores of the machine.
pub(crate) fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Embeds the items of a catalogue and writes `out`. Returns the vectors and the number of
/// different texts that were not known.
///
/// Vectors of an existing `out` of the same source are used again, so an interrupted run
/// continues where it was saved last.
pub(crate) fn embed(
    embedder: &TextEmbedder,
    catalogue: &Catalogue,
    template: &str,
    out: &Path,
) -> Result<(TextVectors, usize)> {
    let texts: Vec<String> =
        catalogue.items().iter().map(|item| item_text(item, template)).collect();
    if texts.iter().all(String::is_empty) {
        let text = "no item of the catalogue has a text; import a catalogue with titles, categories, brands or descriptions, or choose other fields with --template";
        return Err(BadInput(text.to_owned()).into());
    }
    let source = TextSource {
        model: embedder.name().to_owned(),
        model_sha256: embedder.sha256().to_owned(),
        pooling: embedder.pooling().name().to_owned(),
        template: template.to_owned(),
    };
    let mut known = known_vectors(out, &source, embedder.dims());
    let new = new_texts(&texts, &known);
    let style = ProgressStyle::with_template("embedding {bar:30} {pos}/{len}, {eta} left")?;
    let bar = ProgressBar::new(new.len() as u64).with_style(style);
    let mut saved = Instant::now();
    let assemble = |known: &HashMap<String, Vec<f32>>| {
        let zeros = vec![0.0; embedder.dims()];
        let of = |text: &String| known.get(&text_hash(text)).unwrap_or(&zeros);
        // A text that is not embedded yet is stored as an empty one.
        let done = |text: &String| {
            if known.contains_key(&text_hash(text)) { text.clone() } else { String::new() }
        };
        let values: Vec<f32> = texts.iter().flat_map(of).copied().collect();
        let done: Vec<String> = texts.iter().map(done).collect();
        TextVectors::new(source.clone(), catalogue, &done, embedder.dims(), &values)
    };
    for chunk in new.chunks(CHUNK) {
        let values = embedder.embed(chunk, |count| bar.inc(count as u64))?;
        let rows = values.chunks_exact(embedder.dims());
        known.extend(chunk.iter().map(|text| text_hash(text)).zip(rows.map(<[f32]>::to_vec)));
        if saved.elapsed() > SAVE_EVERY {
            assemble(&known)?.write(out)?;
            saved = Instant::now();
        }
    }
    bar.finish_and_clear();
    let vectors = assemble(&known)?;
    vectors.write(out)?;
    Ok((vectors, new.len()))
}

/// Vectors by the hash of their text, from an earlier file of the same source.
fn known_vectors(out: &Path, source: &TextSource, dims: usize) -> HashMap<String, Vec<f32>> {
    let earlier = TextVectors::read(out).ok();
    let same = earlier.filter(|old| old.source == *source && old.dims() == dims);
    let Some(old) = same else { return HashMap::new() };
    let empty = text_hash("");
    let vectors = old.by_text().into_iter().filter(|(hash, _)| *hash != empty);
    vectors.map(|(hash, vector)| (hash.to_owned(), vector)).collect()
}

/// The different texts without a vector, longest first, so that the time left is never
/// underestimated and texts of one length share a batch.
fn new_texts<'t>(texts: &'t [String], known: &HashMap<String, Vec<f32>>) -> Vec<&'t str> {
    let mut new: Vec<&str> = texts.iter().map(String::as_str).collect();
    new.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    new.dedup();
    new.retain(|text| !text.is_empty() && !known.contains_key(&text_hash(text)));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_and_different_texts_are_embedded() {
        let texts = ["bb", "a", "bb", "", "ccc"].map(str::to_owned);
        assert_eq!(new_texts(&texts, &HashMap::new()), ["ccc", "bb", "a"]);
        let known = HashMap::from([(text_hash("bb"), vec![1.0])]);
        assert_eq!(new_texts(&texts, &known), ["ccc", "a"]);
    }
}
