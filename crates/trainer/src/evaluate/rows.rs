//! The rows of a run: created, printed and stored.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use tandem_dataset::{
    Dataset,
    files::{sha256_hex, sha256_hex_of_file},
};
use tandem_evaluation::{History, Metrics, Part, ResultRow};

use super::{Evaluate, charts, table::markdown};
use crate::{failure::BadInput, memory, write_atomically};

/// Number of hash digits in a row.
const HASH_DIGITS: usize = 16;

/// Properties of all rows of a run.
pub(super) struct Origin<'a> {
    pub(super) part: Part,
    args: &'a Evaluate,
    command: String,
    /// Whether visitors are shown items of their history.
    history: History,
}

impl<'a> Origin<'a> {
    pub(super) fn new(args: &'a Evaluate, part: Part, dataset: &Dataset) -> Self {
        let command = command(std::env::args().skip(1));
        Self { part, args, command, history: History::of(dataset) }
    }

    /// Hash of the command and of the content of these files.
    pub(super) fn inputs(&self, files: &[&Path]) -> Result<String> {
        let mut text = self.command.clone();
        for path in files {
            let hash = sha256_hex_of_file(path)
                .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
            text.push_str(&hash);
        }
        Ok(sha256_hex(&text)[..HASH_DIGITS].to_owned())
    }

    /// A row of ranks with the training seed of the model.
    pub(super) fn row(&self, name: &str, ranks: &[Option<usize>]) -> Result<ResultRow> {
        self.of_metrics(name, Metrics::of(ranks))
    }

    pub(super) fn of_metrics(&self, name: &str, metrics: Metrics) -> Result<ResultRow> {
        let at = metrics.at(10).context("the metrics have no cut-off 10")?;
        Ok(ResultRow {
            name: name.to_owned(),
            seed: self.args.seed,
            hr10: at.hr,
            ndcg10: at.ndcg,
            budget: None,
            calls: None,
            command: self.command.clone(),
            part: self.part,
            history: self.history,
            refit: false,
            stratum: None,
            small_model: None,
            variant: None,
            learning: None,
            fusion: None,
            search: None,
            consistency: None,
            threshold: None,
            cost: None,
            inputs: None,
            metrics,
        })
    }
}

/// Prints the rows and, if asked for, adds them to the file and draws the chart.
pub(super) fn publish(args: &Evaluate, rows: &[ResultRow]) -> Result<()> {
    print!("{}", markdown(rows));
    let all = keep(args, rows)?;
    if let Some(path) = &args.plot {
        let panels = charts::panels(&all);
        write_atomically(path, tandem_evaluation::plot::svg(&panels).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::terminal::note(format_args!("done{}", memory::peak()));
    Ok(())
}

/// Adds the rows to those of the file, if there is one, and returns all rows.
pub(super) fn keep(args: &Evaluate, rows: &[ResultRow]) -> Result<Vec<ResultRow>> {
    let mut all = earlier(args)?;
    ResultRow::merge(&mut all, rows.iter().cloned());
    if let Some(path) = &args.json {
        write_atomically(path, &json(&all)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(all)
}

/// The rows of earlier runs; none without a file.
pub(super) fn earlier(args: &Evaluate) -> Result<Vec<ResultRow>> {
    let Some(path) = args.json.as_ref().filter(|path| path.exists()) else {
        return Ok(Vec::new());
    };
    let bytes = fs::read(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    Ok(serde_json::from_slice(&bytes).map_err(|error| {
        BadInput(format!(
            "{}: expected the rows of earlier evaluations: {error}; name another file",
            path.display()
        ))
    })?)
}

/// A JSON array with one row per line, so that diffs are readable.
fn json(rows: &[ResultRow]) -> serde_json::Result<Vec<u8>> {
    let line = |row: &ResultRow| serde_json::to_string(&rounded(row));
    let lines: Vec<String> = rows.iter().map(line).collect::<serde_json::Result<_>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")).into_bytes())
}

/// The row with all figures rounded to six decimals.
fn rounded(row: &ResultRow) -> ResultRow {
    let round = |figure: &mut f64| *figure = (*figure * 1e6).round() / 1e6;
    let mut row = row.clone();
    let figures = [&mut row.hr10, &mut row.ndcg10].into_iter().chain(&mut row.calls);
    let metrics = row.metrics.at.iter_mut();
    let metrics = metrics.flat_map(|at| [&mut at.hr, &mut at.ndcg, &mut at.mrr]);
    let cost = row.cost.iter_mut().flat_map(|cost| {
        let rank = [&mut cost.rank_ms_p50, &mut cost.rank_ms_p95];
        let learn = [&mut cost.learn_ms_p50, &mut cost.learn_ms_p95];
        rank.into_iter().chain(learn).chain([&mut cost.bytes_up, &mut cost.bytes_down])
    });
    figures.chain(metrics).chain(cost).for_each(round);
    row
}

/// The command, quoted for a shell.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        let args = ["evaluate", "--data", "my data", "it's", ""].map(str::to_owned);
        assert_eq!(command(args.into_iter()), r"tandem evaluate --data 'my data' 'it'\''s' ''");
    }
}
