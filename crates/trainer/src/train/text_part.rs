//! `tandem train text-part`: adds a text part to the item rows of a small model.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use tandem_dataset::Dataset;
use tandem_evaluation::{History, fitting::fit_text_weight};
use tandem_model::{Checkpoint, ItemTable};
use tandem_protocol::TextPart;
use tandem_training::initial::principal_axes;

use super::fit_targets::{fit_targets, left_out};
use crate::{
    failure::BadInput,
    small_model::{bar, read_checkpoint},
    text_vectors::read_text_vectors,
    values::{self, ADVANCED, BASIC, FILES},
    write_atomically,
};

/// Options of `tandem train text-part`.
#[derive(Args, Debug)]
pub(crate) struct TrainTextPart {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Small model of `tandem train srm` (SASRec or GRU4Rec), without counts: they come afterwards.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: PathBuf,
    /// Text vectors of `tandem embed`. Refused if more than 1 % of the catalogue's texts have
    /// changed since.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    text: PathBuf,
    /// The small model with a text part (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Dimensions of the text part, one byte each in every item row.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    dims: usize,
    /// Weight of the text part [default: fitted on validation targets].
    #[arg(long, value_parser = values::zero_or_more_f32, help_heading = ADVANCED)]
    weight: Option<f32>,
    /// Number of validation users to fit the weight on, sampled by --seed.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    users: usize,
    /// Random seed of the sampled users.
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = ADVANCED)]
    seed: u64,
}

pub(crate) fn run(args: &TrainTextPart) -> Result<()> {
    let added = add(args, &Dataset::load(&args.data)?)?;
    println!("{}: {added}", args.out.display());
    Ok(())
}

/// Adds the text part to a model of `dataset`, which is that of `--data`, and writes it. Returns
/// what was added, for people.
pub(crate) fn add(args: &TrainTextPart, dataset: &Dataset) -> Result<String> {
    let model = read_checkpoint(&args.srm, dataset)?;
    if model.counts.is_some() {
        let text = format!(
            "{}: expected a small model without counts, whose weight was fitted without a text part, found one with counts; add the text part to the model without them, then run `tandem train counts-part` on the result",
            args.srm.display()
        );
        return Err(BadInput(text).into());
    }
    let model = with_text_vectors(args, dataset, model)?;
    let (weight, fitted) = match args.weight {
        Some(weight) => (weight, String::new()),
        None => fit_weight(args, dataset, &model)?,
    };
    let text = model.text.map(|text| TextPart { weight, ..text });
    let row_bytes = model.items.dims() + size_of::<f32>();
    let model = Checkpoint {
        provenance: format!("{}, text part of weight {weight}", model.provenance),
        text,
        ..model
    };
    // Refuses a weight or an architecture that a device would refuse.
    model.scorer()?;
    write_atomically(&args.out, &model.to_bytes()?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    Ok(format!("text part of weight {weight:.4}, {row_bytes} bytes a row{fitted}"))
}

/// The model with rows that end in the vectors of `--text`, reduced to `--dims` and scaled to the
/// size of the model's own numbers, because a row has one scale for its bytes. The weight is 1.
fn with_text_vectors(
    args: &TrainTextPart,
    dataset: &Dataset,
    model: Checkpoint,
) -> Result<Checkpoint> {
    let vectors = read_text_vectors(&args.text, &dataset.catalogue)?;
    let (from, to) = (vectors.dims(), args.dims.min(vectors.dims()));
    let vectors = if to < from {
        vectors.reduced(to, &principal_axes(&vectors.values(), from, to))?
    } else {
        vectors
    };
    let (own, text, dims) = (model.own_rows()?, vectors.values(), model.config.dims);
    let scale = mean_of_largest(&own, dims) / mean_of_largest(&text, to).max(f32::MIN_POSITIVE);
    let mut rows = Vec::with_capacity(own.len() + text.len());
    for (own, text) in own.chunks_exact(dims).zip(text.chunks_exact(to)) {
        rows.extend_from_slice(own);
        rows.extend(text.iter().map(|value| scale * value));
    }
    let items = ItemTable::quantise(&rows, dims + to)?;
    Ok(Checkpoint { items, text: Some(TextPart { dims: to, weight: 1.0 }), ..model })
}

/// The mean of the largest magnitude of each row that is not zero.
fn mean_of_largest(rows: &[f32], dims: usize) -> f32 {
    let largest =
        rows.chunks_exact(dims).map(|row| row.iter().fold(0.0_f32, |a, b| a.max(b.abs())));
    let largest: Vec<f32> = largest.filter(|value| *value > 0.0).collect();
    largest.iter().sum::<f32>() / largest.len().max(1) as f32
}

/// The weight with the best NDCG@10 on validation targets, and a report of it.
fn fit_weight(
    args: &TrainTextPart,
    dataset: &Dataset,
    model: &Checkpoint,
) -> Result<(f32, String)> {
    let left_out = left_out(&args.srm, model)?;
    let held = fit_targets((&args.data, dataset), left_out, args.users, args.seed)?;
    let scorer = model.scorer()?;
    let bar = bar(held.len(), "text part");
    let fitted =
        fit_text_weight(&scorer, &model.items.values()?, &held, History::of(dataset), |users| {
            bar.inc(users as u64);
        })?;
    bar.finish_and_clear();
    let report = format!(
        "; validation NDCG@10 {:.4} (without text {:.4}, {} users)",
        fitted.ndcg,
        fitted.ndcg_without,
        held.len()
    );
    Ok((fitted.weight, report))
}
