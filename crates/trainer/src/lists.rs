//! `tandem lists`: candidate lists of a language model, made once and kept, so that
//! protocols can be run many times over the very same answers.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::SessionProtocol;
use tandem_generator::{LoadOptions, Model, Query};

use crate::failure::BadInput;

/// Options of `tandem lists`.
#[derive(Args, Debug)]
pub(crate) struct Lists {
    /// The language model.
    #[arg(long)]
    gguf: PathBuf,
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    data: PathBuf,
    /// Where the lists go; lists that are there already are not made again.
    #[arg(long)]
    out: PathBuf,
    /// So many users, drawn by `--seed`; all of them if there are fewer.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Live clicks of a session.
    #[arg(long, default_value_t = 10)]
    clicks: usize,
    /// Newest interactions left out: 0 to test, as many as the test's clicks to choose.
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// Candidates a list.
    #[arg(long, default_value_t = 50)]
    k: usize,
    /// Which users.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// First line of a file of lists: what they are of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    model: String,
    model_sha256: String,
    catalogue_hash: String,
    k: usize,
}

/// One list: for the first `length` items of a user.
#[derive(Serialize, Deserialize)]
struct Line {
    user: usize,
    length: usize,
    items: Vec<ItemIndex>,
    logprobs: Vec<f32>,
}

pub(crate) fn run(args: &Lists) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let protocol = SessionProtocol {
        clicks: args.clicks,
        skip: args.skip,
        ms_between_clicks: 0.0,
        learn: false,
    };
    let wanted = wanted(&dataset, &protocol, args.users, args.seed);
    let model =
        Model::load(&args.gguf, Arc::new(dataset.catalogue.clone()), &LoadOptions::default())?;
    let header = Header {
        model: model.info().name.clone(),
        model_sha256: model.info().sha256.clone(),
        catalogue_hash: dataset.catalogue.hash().to_owned(),
        k: args.k,
    };
    let done = resume(&args.out, &header)?;
    let mut out = BufWriter::new(
        OpenOptions::new()
            .append(true)
            .open(&args.out)
            .with_context(|| format!("cannot write {}", args.out.display()))?,
    );
    let missing: Vec<_> = wanted.iter().filter(|list| !done.contains(list)).collect();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} lists, {eta} left")?;
    let bar = ProgressBar::new(missing.len() as u64).with_style(style);
    let mut generator = model.generator()?;
    for &(user, length) in missing {
        let items = &dataset.sequences[user].items[..length];
        let generation =
            generator.generate(&Query { history: &distinct(items), exclude: &[], k: args.k })?;
        let (items, logprobs) =
            generation.candidates.iter().map(|ranked| (ranked.item, ranked.logprob)).unzip();
        serde_json::to_writer(&mut out, &Line { user, length, items, logprobs })?;
        // A line is whole on disk before the next is begun: killed at any moment, at most
        // one list is lost.
        out.write_all(b"\n")?;
        out.flush()?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{}: {} lists by {}", args.out.display(), wanted.len(), header.model);
    Ok(())
}

/// Users and lengths for which a session may ask for a list.
fn wanted(
    dataset: &Dataset,
    protocol: &SessionProtocol,
    users: usize,
    seed: u64,
) -> Vec<(usize, usize)> {
    let sequences = dataset.sequences.iter().enumerate();
    let mut able: Vec<(usize, usize)> = sequences
        .filter_map(|(user, sequence)| Some((user, protocol.cut(sequence)?.0.len())))
        .collect();
    able.shuffle(&mut StdRng::seed_from_u64(seed));
    able.truncate(users);
    able.sort_unstable();
    // After the last click a list would be asked for that nobody sees.
    let lengths = |(user, before): (usize, usize)| {
        (before..before + protocol.clicks).map(move |length| (user, length))
    };
    able.into_iter().flat_map(lengths).collect()
}

/// The history as the server makes it: of repeats the newest.
pub(crate) fn distinct(items: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut seen = HashSet::new();
    let mut newest: Vec<ItemIndex> =
        items.iter().rev().copied().filter(|item| seen.insert(*item)).collect();
    newest.reverse();
    newest
}

/// Begins a file, or finds what it holds already.
fn resume(path: &Path, header: &Header) -> Result<HashSet<(usize, usize)>> {
    if !path.exists() {
        let mut file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(file, "{}", serde_json::to_string(header)?)?;
        return Ok(HashSet::new());
    }
    let (found, lists) = read(path)?;
    if found != *header {
        let text = format!(
            "{} holds lists of {} ({}), not of {} ({}); name another file",
            path.display(),
            found.model,
            found.model_sha256,
            header.model,
            header.model_sha256
        );
        return Err(BadInput(text).into());
    }
    Ok(lists.keys().copied().collect())
}

/// Lists by user and length.
pub(crate) type ListsByPrefix = HashMap<(usize, usize), Vec<(ItemIndex, f32)>>;

/// The lists of a file, which must be of this dataset.
pub(crate) fn load(path: &Path, dataset: &Dataset) -> Result<ListsByPrefix> {
    let (header, lists) = read(path)?;
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

fn read(path: &Path) -> Result<(Header, ListsByPrefix)> {
    let bad = |line: usize, error: &dyn std::fmt::Display| {
        BadInput(format!("{}:{line}: expected a candidate list: {error}", path.display()))
    };
    let file = fs::File::open(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let mut lines = BufReader::new(file).lines().enumerate();
    let first = lines.next().map_or(Ok(String::new()), |(_, line)| line)?;
    let header = serde_json::from_str(&first).map_err(|error| bad(1, &error))?;
    let mut lists = HashMap::new();
    for (number, line) in lines {
        let line: Line = match serde_json::from_str(&line?) {
            Ok(line) => line,
            // Cut off while it was written: it is made again.
            Err(error) if error.is_eof() => continue,
            Err(error) => return Err(bad(number + 1, &error).into()),
        };
        let list = line.items.into_iter().zip(line.logprobs).collect();
        lists.insert((line.user, line.length), list);
    }
    Ok((header, lists))
}
