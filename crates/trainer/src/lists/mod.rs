//! `tandem lists`: makes the lists that a protocol or a training asks for.

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
use tandem_dataset::{Dataset, ItemIndex};
use tandem_generator::{LoadOptions, Model, Query};

use self::prefixes::{Purpose, Wanted};
use crate::{
    candidate_lists::{Content, Header, Line, distinct, read},
    failure::BadInput,
    memory,
};

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
    /// What for.
    #[arg(long = "for", value_enum, default_value_t = Purpose::Session)]
    purpose: Purpose,
    /// So many users, drawn by `--seed`; all of them if there are fewer, or if it is absent.
    #[arg(long)]
    users: Option<usize>,
    /// Live clicks of a session (session).
    #[arg(long, default_value_t = 10)]
    clicks: usize,
    /// Newest interactions left out (session).
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// Newest items of each user that are not trained on (training); as in `train srm`.
    #[arg(long, default_value_t = 3)]
    hold_out: usize,
    /// Lists for so many of each user's newest targets (training).
    #[arg(long, default_value_t = 4)]
    newest: usize,
    /// Candidates a list.
    #[arg(long, default_value_t = 50)]
    k: usize,
    /// Which users.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

pub(crate) fn run(args: &Lists) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let wanted = Wanted {
        purpose: args.purpose,
        users: args.users,
        clicks: args.clicks,
        skip: args.skip,
        hold_out: args.hold_out,
        newest: args.newest,
        seed: args.seed,
    };
    let wanted = wanted.prefixes(&dataset);
    if wanted.is_empty() {
        let text = format!("{}: no user has enough items for such lists", args.data.display());
        return Err(BadInput(text).into());
    }
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
    let missing: Vec<_> = wanted.iter().copied().filter(|list| !done.contains(list)).collect();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} lists, {eta} left")?;
    let bar = ProgressBar::new(missing.len() as u64).with_style(style);
    let mut generator = model.generator()?;
    let begun = Instant::now();
    for prefixes in missing.chunks(generator.together()) {
        let histories: Vec<Vec<ItemIndex>> = prefixes
            .iter()
            .map(|&(user, length)| distinct(&dataset.sequences[user].items[..length]))
            .collect();
        let queries: Vec<Query<'_>> =
            histories.iter().map(|history| Query { history, exclude: &[], k: args.k }).collect();
        for (&(user, length), list) in prefixes.iter().zip(generator.generate_batch(&queries)) {
            let candidates = list?.candidates;
            let (items, logprobs) =
                candidates.iter().map(|ranked| (ranked.item, ranked.logprob)).unzip();
            serde_json::to_writer(&mut out, &Line { user, length, items, logprobs })?;
            out.write_all(b"\n")?;
        }
        // Killed at any moment, at most the lists made together are lost.
        out.flush()?;
        bar.inc(prefixes.len() as u64);
    }
    bar.finish_and_clear();
    let each = begun.elapsed().as_secs_f64() * 1e3 / missing.len().max(1) as f64;
    println!(
        "{}: {} lists by {}, {} of them new, {each:.2} ms each{}",
        args.out.display(),
        wanted.len(),
        header.model,
        missing.len(),
        memory::peak()
    );
    Ok(())
}

/// Begins a file, or finds what it holds already and removes a line that was cut off.
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
            "{} holds lists of {} by {} ({}), not of {} by {} ({}); name another file",
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
        Header { model: "m".into(), model_sha256: "s".into(), catalogue_hash: "c".into(), k }
    }

    #[test]
    fn a_file_goes_on_where_its_last_whole_line_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.jsonl");
        assert!(resume(&path, &header(2)).unwrap().is_empty());
        let line = "{\"user\":0,\"length\":1,\"items\":[3],\"logprobs\":[-0.5]}\n";
        let begun = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{begun}{line}{}", &line[..20])).unwrap();
        assert_eq!(resume(&path, &header(2)).unwrap(), HashSet::from([(0, 1)]));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{begun}{line}"));
        // Cut off within the header: begun anew.
        fs::write(&path, &begun[..10]).unwrap();
        assert!(resume(&path, &header(2)).unwrap().is_empty());
        assert_eq!(fs::read_to_string(&path).unwrap(), begun);
        let said = resume(&path, &header(3)).unwrap_err().to_string();
        assert!(said.contains("holds lists of 2 by m (s), not of 3"), "{said}");
    }
}
