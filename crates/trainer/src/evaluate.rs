//! `tandem evaluate`: figures on held-out interactions.

use std::{
    convert::Infallible,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use futures_lite::future::block_on;
use indicatif::{ProgressBar, ProgressStyle};
use tandem_dataset::{
    Dataset, ItemIndex,
    counts::{CoOccurrence, Popularity},
};
use tandem_evaluation::{CUTOFFS, History, Metrics, Part, ResultRow, StandardProtocol};
use tandem_model::{Checkpoint, Device, ModelError, Scorer};
use tandem_protocol::ModelKind;

use crate::{failure::BadInput, write_atomically};

/// Options of `tandem evaluate`.
#[derive(Args, Debug)]
pub(crate) struct Evaluate {
    /// What is asked of the models.
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Which targets: choose on validation, report on test.
    #[arg(long, value_enum, default_value_t = Targets::Test)]
    part: Targets,
    /// A trained small model (.safetensors) to measure beside the baselines.
    #[arg(long)]
    pub(crate) srm: Option<PathBuf>,
    /// A language model (.gguf) to measure beside the baselines, its history removed
    /// (standard).
    #[arg(long)]
    pub(crate) gguf: Option<PathBuf>,
    /// What the language model's row is called, after `llm-` (standard).
    #[arg(long, default_value = "gguf")]
    pub(crate) variant: String,
    /// The seed that the models were trained with, to be written into their rows.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Write the rows as JSON too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Candidate lists made by `tandem lists` (session).
    #[arg(long)]
    pub(crate) lists: Option<PathBuf>,
    /// Fusion, policy and learning as for `tandem export` (session).
    #[arg(long)]
    pub(crate) calibration: Option<PathBuf>,
    /// Live clicks a session (session).
    #[arg(long, default_value_t = 10)]
    pub(crate) clicks: usize,
    /// Newest interactions left out, to choose on what is not tested (session).
    #[arg(long, default_value_t = 0)]
    pub(crate) skip: usize,
    /// The device does not learn (session).
    #[arg(long)]
    pub(crate) no_learning: bool,
}

/// The protocols.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// Leave one out, whole catalogue, full history: as published figures are made.
    Standard,
    /// Each user's newest interactions as live clicks, answered by the device's own code.
    Session,
}

/// The held-out targets.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Targets {
    /// Each user's last item but one.
    Validation,
    /// Each user's last item.
    Test,
}

pub(crate) fn run(args: &Evaluate) -> Result<()> {
    match args.protocol {
        Protocol::Standard => standard(args),
        #[cfg(feature = "llama")]
        Protocol::Session => crate::evaluate_session::run(args),
        #[cfg(not(feature = "llama"))]
        Protocol::Session => {
            Err(BadInput("this build has no language model: build with --features llama".into())
                .into())
        }
    }
}

fn standard(args: &Evaluate) -> Result<()> {
    let part = match args.part {
        Targets::Validation => Part::Validation,
        Targets::Test => Part::Test,
    };
    let dataset = Dataset::load(&args.data)?;
    let users = StandardProtocol { part, history: History::Kept }.targets(&dataset).len();
    if users == 0 {
        let text = format!(
            "{}: expected a user with the 3 items that a held-out target needs, found none; import more data",
            args.data.display()
        );
        return Err(BadInput(text).into());
    }
    let mut measurement =
        Measurement { dataset: &dataset, part, users, seed: None, rows: Vec::new() };
    measurement.baselines()?;
    measurement.seed = args.seed;
    if let Some(path) = &args.srm {
        measurement.small_model(path)?;
    }
    if let Some(path) = &args.gguf {
        measurement.language_model(path, &args.variant)?;
    }
    print!("{}", markdown(&measurement.rows));
    if let Some(path) = &args.json {
        let mut json = serde_json::to_vec_pretty(&measurement.rows)?;
        json.push(b'\n');
        write_atomically(path, &json)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The rows measured so far, and what on.
struct Measurement<'a> {
    dataset: &'a Dataset,
    part: Part,
    users: usize,
    /// Of the models measured next.
    seed: Option<u64>,
    rows: Vec<ResultRow>,
}

impl Measurement<'_> {
    /// Popularity and co-occurrence, counted on the training part and, where the test is
    /// reported, once more with the validation targets. What co-occurrence is relative to
    /// stays the popularity of the training part, as in the figures quoted for it.
    fn baselines(&mut self) -> Result<()> {
        let (dataset, items) = (self.dataset, self.dataset.catalogue.len());
        let refits: &[bool] = match self.part {
            Part::Validation => &[false],
            Part::Test => &[false, true],
        };
        let train = Popularity::fit(items, dataset.sequences.iter().map(|s| s.split().train));
        for &refit in refits {
            let log = || {
                dataset.sequences.iter().map(|sequence| {
                    let split = sequence.split();
                    split.test.filter(|_| refit).map_or(split.train, |test| test.history)
                })
            };
            let popularity = Popularity::fit(items, log()).scores();
            self.measure("popularity", refit, |histories: &[&[ItemIndex]]| {
                Ok::<_, Infallible>(vec![popularity.clone(); histories.len()])
            })?;
            let pairs = CoOccurrence::fit(log(), &train);
            self.measure("co-occurrence", refit, |histories: &[&[ItemIndex]]| {
                Ok::<_, Infallible>(histories.iter().map(|items| pairs.scores(items)).collect())
            })?;
        }
        Ok(())
    }

    /// The small model alone on the whole catalogue, with the rows that the device gets.
    fn small_model(&mut self, path: &Path) -> Result<()> {
        let checkpoint = read_checkpoint(path, self.dataset)?;
        let scorer = Scorer::new(&checkpoint.config, &checkpoint.body, &Device::flex())?;
        let mut table = Vec::with_capacity(checkpoint.items.len() * checkpoint.items.dims());
        for position in 0..checkpoint.items.len() {
            if let Some(row) = checkpoint.items.row(position) {
                table.extend(row?.values());
            }
        }
        let dims = checkpoint.items.dims();
        let name = match checkpoint.config.kind {
            ModelKind::Sasrec => "srm-sasrec",
            ModelKind::Gru4rec => "srm-gru4rec",
            ModelKind::Din => "srm-din",
        };
        self.measure(name, false, |histories: &[&[ItemIndex]]| {
            let score = |history: &&[ItemIndex]| {
                let rows: Vec<f32> = history
                    .iter()
                    .flat_map(|item| &table[item.position() * dims..][..dims])
                    .copied()
                    .collect();
                block_on(scorer.score(&rows, &table))
            };
            histories.iter().map(score).collect::<Result<Vec<_>, ModelError>>()
        })
    }

    /// One model, with the history removed from the ranking and with it kept.
    fn measure<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        name: &str,
        refit: bool,
        score: impl Fn(&[&[ItemIndex]]) -> Result<Vec<Vec<f32>>, E> + Sync,
    ) -> Result<()> {
        for history in [History::Removed, History::Kept] {
            let style =
                ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} users, {eta} left")?;
            let bar =
                ProgressBar::new(self.users as u64).with_style(style).with_message(name.to_owned());
            let protocol = StandardProtocol { part: self.part, history };
            let report = protocol.run(self.dataset, |users| bar.inc(users as u64), &score)?;
            bar.finish_and_clear();
            if report.non_finite > 0 {
                eprintln!("{name}: {} scores were not finite and ranked last", report.non_finite);
            }
            self.record(name, refit, history, report.metrics)?;
        }
        Ok(())
    }

    /// A language model as the cloud hosts it: one list of the whole catalogue a user. It
    /// prunes the history before it ranks, so there is no row with the history kept.
    #[cfg(feature = "llama")]
    fn language_model(&mut self, path: &Path, variant: &str) -> Result<()> {
        use tandem_generator::{LoadOptions, Model, Query};

        let catalogue = std::sync::Arc::new(self.dataset.catalogue.clone());
        let model = Model::load(path, catalogue, &LoadOptions::default())?;
        let mut generator = model.generator()?;
        let protocol = StandardProtocol { part: self.part, history: History::Removed };
        let targets = protocol.targets(self.dataset);
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} users, {eta} left")?;
        let bar = ProgressBar::new(targets.len() as u64)
            .with_style(style)
            .with_message(model.info().name.clone());
        // Ranks beyond the last cut-off are misses at every one.
        let k = CUTOFFS.into_iter().max().unwrap_or(0);
        let mut ranks = Vec::with_capacity(targets.len());
        for held in targets {
            let history = crate::lists::distinct(held.history);
            let list = generator.generate(&Query { history: &history, exclude: &[], k })?;
            ranks.push(list.candidates.iter().position(|ranked| ranked.item == held.target));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let metrics = Metrics::of(&ranks);
        self.record(&format!("llm-{variant}"), false, History::Removed, metrics)
    }

    #[cfg(not(feature = "llama"))]
    fn language_model(&mut self, path: &Path, _variant: &str) -> Result<()> {
        let text = format!(
            "{}: this build has no language model: build with --features llama",
            path.display()
        );
        Err(BadInput(text).into())
    }

    fn record(
        &mut self,
        name: &str,
        refit: bool,
        history: History,
        metrics: Metrics,
    ) -> Result<()> {
        let at = metrics.at(10).context("the metrics have no cut-off 10")?;
        self.rows.push(ResultRow {
            name: name.to_owned(),
            seed: self.seed,
            hr10: at.hr,
            ndcg10: at.ndcg,
            budget: None,
            calls: None,
            command: command(std::env::args().skip(1)),
            part: self.part,
            history,
            refit,
            metrics,
        });
        Ok(())
    }
}

/// Reads a trained model and makes sure that it is of this dataset.
pub(crate) fn read_checkpoint(path: &Path, dataset: &Dataset) -> Result<Checkpoint> {
    let bytes = fs::read(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let checkpoint = Checkpoint::from_bytes(&bytes).with_context(|| path.display().to_string())?;
    let (expected, found) = (dataset.catalogue.hash(), checkpoint.catalogue_hash.as_str());
    if expected != found || checkpoint.items.len() != dataset.catalogue.len() {
        let text = format!(
            "{}: expected a model of catalogue {expected} with {} items, found one of {found} with {}; train it on this dataset",
            path.display(),
            dataset.catalogue.len(),
            checkpoint.items.len(),
        );
        return Err(BadInput(text).into());
    }
    Ok(checkpoint)
}

/// The command as it can be pasted into a shell again.
fn command(args: impl Iterator<Item = String>) -> String {
    let quoted = args.map(|arg| {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    });
    std::iter::once("tandem".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// The rows as a table for people.
fn markdown(rows: &[ResultRow]) -> String {
    let mut head = ["model", "trained on", "history", "users"].map(str::to_owned).to_vec();
    for metric in ["HR", "NDCG", "MRR"] {
        // At 1 the three are the same.
        let cutoffs = CUTOFFS.into_iter().filter(|&k| k > 1 || metric == "HR");
        head.extend(cutoffs.map(|k| format!("{metric}@{k}")));
    }
    let rule = vec!["---".to_owned(); head.len()];
    let cells = rows.iter().map(|row| {
        let trained = if row.refit { "train, validation" } else { "train" };
        let history = match row.history {
            History::Removed => "removed",
            History::Kept => "kept",
        };
        let about =
            [row.name.clone(), trained.into(), history.into(), row.metrics.count.to_string()];
        let at = &row.metrics.at;
        let hr = at.iter().map(|at| at.hr);
        let ndcg = at.iter().filter(|at| at.k > 1).map(|at| at.ndcg);
        let mrr = at.iter().filter(|at| at.k > 1).map(|at| at.mrr);
        let figures = hr.chain(ndcg).chain(mrr).map(|figure| format!("{figure:.4}"));
        about.into_iter().chain(figures).collect::<Vec<_>>()
    });
    [head, rule]
        .into_iter()
        .chain(cells)
        .map(|cells| format!("| {} |\n", cells.join(" | ")))
        .collect::<Vec<_>>()
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        let args = ["evaluate", "--data", "my data", "it's", ""].map(str::to_owned);
        assert_eq!(command(args.into_iter()), r"tandem evaluate --data 'my data' 'it'\''s' ''");
    }

    #[test]
    fn the_table_has_a_figure_in_every_column() {
        let row = ResultRow {
            name: "popularity".into(),
            seed: None,
            hr10: 0.5,
            ndcg10: 0.5,
            budget: None,
            calls: None,
            command: String::new(),
            part: Part::Test,
            history: History::Kept,
            refit: false,
            metrics: Metrics::of(&[Some(0), None]),
        };
        let expected = "\
            | model | trained on | history | users | HR@1 | HR@5 | HR@10 | HR@20 | NDCG@5 | NDCG@10 | NDCG@20 | MRR@5 | MRR@10 | MRR@20 |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | popularity | train | kept | 2 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 |\n";
        assert_eq!(markdown(&[row]), expected);
    }
}
