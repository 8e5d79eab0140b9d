//! `tandem train counts-part`: adds co-occurrence counts to a small model.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use tandem_dataset::{Dataset, counts::CountTable};
use tandem_evaluation::{History, fitting::fit_counts_weight};
use tandem_model::{Checkpoint, CountRows, CountsPart, MAX_NEIGHBOURS};
use tandem_protocol::ModelKind;

use super::{
    counts::CountArgs,
    fit_targets::{HOLD_OUT, fit_targets, left_out},
};
use crate::{
    failure::BadInput,
    small_model::{bar, read_checkpoint},
    values::{self, ADVANCED, BASIC, FILES, InvalidValue},
    write_atomically,
};

/// Options of `tandem train counts-part`.
#[derive(Args, Debug)]
pub(crate) struct TrainCountsPart {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Small model of `tandem train srm` or `tandem train text-part` (SASRec or GRU4Rec).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: PathBuf,
    /// The small model with counts (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Number of neighbours of each item that devices get, at most 255.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = device_neighbours)]
    #[arg(help_heading = BASIC)]
    device_neighbours: usize,
    /// Newest items of each user left out of the counts that are written; 2 to evaluate them.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = BASIC)]
    hold_out: usize,
    /// Weight of the counts [default: fitted on validation targets].
    #[arg(long, value_parser = values::zero_or_more_f32, help_heading = ADVANCED)]
    weight: Option<f32>,
    /// Number of validation users to fit the weight on, sampled by --seed.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    users: usize,
    /// Random seed of the sampled users.
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = ADVANCED)]
    seed: u64,
    #[command(flatten)]
    counts: CountArgs,
}

pub(crate) fn run(args: &TrainCountsPart) -> Result<()> {
    let added = add(args, &Dataset::load(&args.data)?)?;
    println!("{}: {added}", args.out.display());
    Ok(())
}

/// Adds counts to a model of `dataset`, which is that of `--data`, and writes it. Returns what
/// was added, for people.
pub(crate) fn add(args: &TrainCountsPart, dataset: &Dataset) -> Result<String> {
    let counted = args.counts.options().max_neighbours;
    if counted < args.device_neighbours {
        let text = format!(
            "expected --neighbours of at least --device-neighbours, found {counted} and {}",
            args.device_neighbours
        );
        return Err(BadInput(text).into());
    }
    let model = read_checkpoint(&args.srm, dataset)?;
    if model.config.kind == ModelKind::Din {
        let text = format!(
            "{}: expected a model that scores by a dot product (SASRec or GRU4Rec), found DIN",
            args.srm.display()
        );
        return Err(BadInput(text).into());
    }
    let (weight, fitted) = match args.weight {
        Some(weight) => (weight, String::new()),
        None => fit_weight(args, dataset, &model)?,
    };
    let rows = count_rows(args, dataset, args.hold_out)?;
    let bytes = rows.as_bytes().len();
    let model = Checkpoint {
        provenance: format!("{}, counts of weight {weight}", model.provenance),
        counts: Some(CountsPart { rows: Arc::new(rows), weight }),
        ..model
    };
    write_atomically(&args.out, &model.to_bytes()?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    Ok(format!("counts of weight {weight:.4}, {bytes} bytes{fitted}"))
}

/// A number of neighbours that [`CountRows`] can have.
fn device_neighbours(text: &str) -> Result<usize, InvalidValue> {
    values::positive(text)
        .ok()
        .filter(|number| *number <= MAX_NEIGHBOURS)
        .ok_or(InvalidValue("a whole number from 1 to 255"))
}

/// The counts without the newest `hold_out` items of each user, as devices get them.
fn count_rows(args: &TrainCountsPart, dataset: &Dataset, hold_out: usize) -> Result<CountRows> {
    let table = CountTable::of_dataset(dataset, hold_out, args.counts.options());
    Ok(CountRows::new(&table.nearest(args.device_neighbours))?)
}

/// The weight with the best NDCG@10 on validation targets, and a report of it.
fn fit_weight(
    args: &TrainCountsPart,
    dataset: &Dataset,
    model: &Checkpoint,
) -> Result<(f32, String)> {
    let left_out = left_out(&args.srm, model)?.max(HOLD_OUT);
    let held = fit_targets((&args.data, dataset), left_out, args.users, args.seed)?;
    let (scorer, rows) = (model.scorer()?, count_rows(args, dataset, left_out)?);
    let bar = bar(held.len(), "counts");
    let fitted = fit_counts_weight(
        &scorer,
        &model.items.values()?,
        &rows,
        &held,
        History::of(dataset),
        |users| bar.inc(users as u64),
    )?;
    bar.finish_and_clear();
    let report = format!(
        "; validation NDCG@10 {:.4} (without counts {:.4}, {} users)",
        fitted.ndcg,
        fitted.ndcg_without,
        held.len()
    );
    Ok((fitted.weight, report))
}
