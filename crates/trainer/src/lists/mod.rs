//! `tandem lists`: generates candidate lists for a protocol or for cooperative training.

mod prefixes;

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tandem_dataset::{
    Dataset, ItemIndex,
    files::{sha256_hex, sha256_hex_of_file},
};
use tandem_generator::{
    LoadOptions, Model, Query,
    ranking_signals::{self, RankingSignals},
};

use self::prefixes::{Purpose, Wanted};
use crate::{
    candidate_lists::{Content, Header, Line, distinct, read},
    failure::BadInput,
    memory,
    values::{self, ADVANCED, BASIC, FILES},
};

/// Options of `tandem lists`.
#[derive(Args, Debug)]
pub(crate) struct Lists {
    /// Language model (.gguf).
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    gguf: PathBuf,
    /// Ranking signals of `tandem fit-signals` beside the language model.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    signals: Option<PathBuf>,
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// File of the lists (JSON lines); missing lists are appended to an existing file.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Purpose of the lists.
    #[arg(long = "for", value_enum, default_value_t = Purpose::Session, help_heading = BASIC)]
    purpose: Purpose,
    /// Candidates per list.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    k: usize,
    /// Number of users, sampled by --seed [default: all].
    #[arg(long, value_name = "N", value_parser = values::positive, help_heading = BASIC)]
    users: Option<usize>,
    /// Random seed of the sampled users.
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = BASIC)]
    seed: u64,
    /// Live clicks per session (session).
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    clicks: usize,
    /// Newest interactions of each user left out (session).
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = ADVANCED)]
    skip: usize,
    /// Newest items of each user that no list is made for, at least those that `tandem train srm`
    /// holds out (training).
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    hold_out: usize,
    /// Cross-fitting: only for users that are not in this dataset folder, which the language
    /// model and the signals were trained on (`tandem folds`).
    #[arg(long, value_name = "FOLDER", help_heading = ADVANCED)]
    unseen_by: Option<PathBuf>,
    /// Newest training targets per user (training).
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    newest: usize,
}

pub(crate) fn run(args: &Lists) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let trained_on = args.unseen_by.as_deref().map(Dataset::load).transpose()?;
    let wanted = Wanted {
        purpose: args.purpose,
        users: args.users,
        clicks: args.clicks,
        skip: args.skip,
        hold_out: args.hold_out,
        newest: args.newest,
        seed: args.seed,
        unseen_by: trained_on.as_ref(),
    };
    let wanted = wanted.prefixes(&dataset);
    if wanted.is_empty() {
        let text = format!(
            "{}: no user has enough items for the requested lists; import more data, give fewer \
             --clicks, --skip or --hold-out, or give another --unseen-by",
            args.data.display()
        );
        return Err(BadInput(text).into());
    }
    let ranker = Ranker { gguf: &args.gguf, signals: args.signals.as_deref() };
    let made = make(ranker, &dataset, &wanted, args.k, &args.out)?;
    println!(
        "{}: {} lists by {}, {} of them new, {:.2} ms each{}",
        args.out.display(),
        wanted.len(),
        made.model,
        made.new,
        made.ms_each,
        memory::peak()
    );
    Ok(())
}

/// What [`make`] made.
pub(crate) struct MadeLists {
    /// Name of the language model.
    model: String,
    /// Number of lists that were not in the file.
    new: usize,
    /// Time of each of them in milliseconds.
    ms_each: f64,
}

/// A language model and the signals that it ranks with, if it has any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranker<'a> {
    pub(crate) gguf: &'a Path,
    /// Folder of `tandem fit-signals`.
    pub(crate) signals: Option<&'a Path>,
}

/// Writes the lists of `k` candidates for these prefixes, which are users (positions in the
/// dataset) with a number of their items. Lists that the file has are kept.
pub(crate) fn make(
    ranker: Ranker<'_>,
    dataset: &Dataset,
    wanted: &[(usize, usize)],
    k: usize,
    path: &Path,
) -> Result<MadeLists> {
    let options = LoadOptions { repeats: dataset.repeats, ..LoadOptions::default() };
    let mut model = Model::load(ranker.gguf, Arc::new(dataset.catalogue.clone()), &options)?;
    if let Some(folder) = ranker.signals {
        let signals = RankingSignals::read(folder, &dataset.catalogue)?;
        model = model.with_signals(Arc::new(signals))?;
    }
    let header = Header {
        model: model.info().name.clone(),
        model_sha256: model.info().sha256.clone(),
        signals_sha256: ranker.signals.map(hash_of_signals).transpose()?,
        catalogue_hash: dataset.catalogue.hash().to_owned(),
        k,
    };
    let done = resume(path, &header)?;
    let mut out = BufWriter::new(
        OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?,
    );
    let missing: Vec<_> = wanted.iter().copied().filter(|list| !done.contains(list)).collect();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} lists, {eta} left")?;
    let bar = ProgressBar::new(missing.len() as u64).with_style(style);
    let mut generator = model.generator()?;
    let started = Instant::now();
    for prefixes in missing.chunks(generator.max_batch()) {
        let histories: Vec<Vec<ItemIndex>> = prefixes
            .iter()
            .map(|&(user, length)| distinct(&dataset.sequences[user].items[..length]))
            .collect();
        let queries: Vec<Query<'_>> = histories
            .iter()
            .map(|history| Query { history, exclude: &[], only: None, added: None, k })
            .collect();
        for (&(user, length), list) in prefixes.iter().zip(generator.generate_batch(&queries)) {
            let candidates = list?.candidates;
            let (items, logprobs) =
                candidates.iter().map(|ranked| (ranked.item, ranked.logprob)).unzip();
            serde_json::to_writer(&mut out, &Line { user, length, items, logprobs })?;
            out.write_all(b"\n")?;
        }
        // An interruption loses at most the current batch.
        out.flush()?;
        bar.inc(prefixes.len() as u64);
    }
    bar.finish_and_clear();
    let ms_each = started.elapsed().as_secs_f64() * 1e3 / missing.len().max(1) as f64;
    Ok(MadeLists { model: header.model, new: missing.len(), ms_each })
}

/// A hash of the files of a folder of signals.
fn hash_of_signals(folder: &Path) -> Result<String> {
    let mut hashes = String::new();
    for file in ranking_signals::FILES.map(|name| folder.join(name)) {
        if file.exists() {
            hashes += &sha256_hex_of_file(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    Ok(sha256_hex(hashes))
}

/// Creates the file, or reads its lists and removes a truncated last line.
fn resume(path: &Path, header: &Header) -> Result<HashSet<(usize, usize)>> {
    let begin = || {
        let line = format!("{}\n", serde_json::to_string(header)?);
        fs::write(path, line).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(HashSet::new())
    };
    if !path.exists() {
        return begin();
    }
    let Some(Content { header: found, lists, complete_bytes }) = read(path)? else {
        return begin();
    };
    if found != *header {
        let text = format!(
            "{} holds lists of {} by {} ({}), not of {} by {} ({}); give another --out",
            path.display(),
            found.k,
            found.model,
            found.model_sha256,
            header.k,
            header.model,
            header.model_sha256
        );
        return Err(BadInput(text).into());
    }
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(complete_bytes))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(lists.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(k: usize) -> Header {
        Header {
            model: "m".into(),
            model_sha256: "s".into(),
            signals_sha256: None,
            catalogue_hash: "c".into(),
            k,
        }
    }

    #[test]
    fn a_file_is_continued_after_its_last_complete_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.jsonl");
        assert!(resume(&path, &header(2)).unwrap().is_empty());
        let line = "{\"user\":0,\"length\":1,\"items\":[3],\"logprobs\":[-0.5]}\n";
        let begun = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{begun}{line}{}", &line[..20])).unwrap();
        assert_eq!(resume(&path, &header(2)).unwrap(), HashSet::from([(0, 1)]));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{begun}{line}"));
        // Truncated within the header: started again.
        fs::write(&path, &begun[..10]).unwrap();
        assert!(resume(&path, &header(2)).unwrap().is_empty());
        assert_eq!(fs::read_to_string(&path).unwrap(), begun);
        let said = resume(&path, &header(3)).unwrap_err().to_string();
        assert!(said.contains("holds lists of 2 by m (s), not of 3"), "{said}");
    }
}
