//! `tandem train llm`: trains a language model of item tokens.

use std::{collections::HashMap, path::PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_generator::item_tokens::{DecoderConfig, ItemTokenModel};
use tandem_protocol::ItemId;
use tandem_training::{
    Decoder, Trainer, TrainingConfig,
    fit::{Epoch, FitConfig, FitJob, TrainingData, training_part},
    initial::co_occurrence_rows,
    item_token_model,
};

use super::{
    options::{Display, FitOptions},
    report::fit,
    start::rows_by_id,
    text::add_text,
};
use crate::{
    gguf_encoding::GgufEncoding,
    values::{self, ADVANCED, BASIC, FILES},
};

/// Options of `tandem train llm`.
#[derive(Args, Debug, Serialize)]
#[command(mut_arg("loss", |it| it.default_value_if("recipe", "best", "sampled:1024")))]
pub(crate) struct TrainLlm {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    #[serde(skip)]
    data: PathBuf,
    /// File of the trained model (.gguf).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    #[serde(skip)]
    out: PathBuf,
    /// Encoding of the matrices in the GGUF file.
    #[arg(long, value_enum, default_value_t = GgufEncoding::Q8_0, help_heading = FILES)]
    #[serde(skip)]
    encoding: GgufEncoding,
    /// Trained model of item tokens to continue from (.gguf), with its sizes: items keep their
    /// rows by id, new items start from random rows.
    #[arg(long, value_name = "GGUF", conflicts_with = "co_occurrence")]
    #[arg(help_heading = ADVANCED)]
    start: Option<PathBuf>,
    /// Width of the model and of an item row.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = values::positive)]
    #[arg(help_heading = BASIC, default_value_if("recipe", "best", "128"))]
    dims: usize,
    /// Number of transformer blocks.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = values::positive)]
    #[arg(help_heading = BASIC, default_value_if("recipe", "best", "1"))]
    blocks: usize,
    /// Number of query heads.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    heads: usize,
    /// Number of key and value heads [default: --heads].
    #[arg(long, value_name = "N", value_parser = values::positive, help_heading = ADVANCED)]
    kv_heads: Option<usize>,
    /// Width of the feed-forward network [default: 8/3 of --dims].
    #[arg(long, value_name = "N", value_parser = values::positive, help_heading = ADVANCED)]
    #[arg(default_value_if("recipe", "best", "128"))]
    feed_forward: Option<usize>,
    /// Standard deviation of the initial item rows.
    #[arg(long, value_name = "STD", default_value_t = 0.05)]
    #[arg(value_parser = values::zero_or_more_f32, help_heading = ADVANCED)]
    #[arg(default_value_if("recipe", "best", "0.1"))]
    row_std: f32,
    /// Initialise the item rows from co-occurrence in the log.
    #[arg(long, help_heading = ADVANCED, default_value_if("recipe", "best", "true"))]
    co_occurrence: bool,
    /// Use separate input and output item rows.
    #[arg(long, help_heading = ADVANCED, default_value_if("recipe", "best", "true"))]
    untied: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) fit: FitOptions,
}

pub(crate) fn run(args: &TrainLlm) -> Result<()> {
    let best = train(args, &Dataset::load(&args.data)?)?;
    println!("{}: {best}", args.out.display());
    Ok(())
}

/// Trains on `dataset`, which is that of `--data`, and writes the model. Returns the best epoch.
pub(crate) fn train(args: &TrainLlm, dataset: &Dataset) -> Result<Epoch> {
    let start = args.start.as_deref().map(ItemTokenModel::read).transpose()?;
    let config = start.as_ref().map_or_else(|| args.config(), |start| start.shape.clone());
    let fit_config = FitConfig { max_length: config.max_length, ..args.fit.fit_config() };
    let untied = start.as_ref().map_or(args.untied, |start| start.output.is_some());
    let training = TrainingConfig { row_std: args.row_std, untied, ..args.fit.training() };
    let items = dataset.catalogue.len();
    let mut trainer = Trainer::new(
        |device| {
            let decoder = Decoder::new(&config, args.fit.dropout, device)?;
            match &start {
                Some(start) => decoder.load(start, device),
                None => Ok(decoder),
            }
        },
        (items, config.dims),
        config.max_length,
        training,
        &args.fit.device.device()?,
    )?;
    add_text(&mut trainer, &args.fit, dataset, &fit_config)?;
    if let Some(start) = &start {
        start_from_model(&mut trainer, start, dataset)?;
    }
    if args.co_occurrence && start.is_none() {
        let log: Vec<&[ItemIndex]> =
            dataset.sequences.iter().map(|sequence| training_part(sequence, &fit_config)).collect();
        let (rows, output) = co_occurrence_rows(&log, items, args.dims, args.row_std);
        trainer.set_initial_rows(&rows, &output)?;
    }
    if args.fit.display == Display::Epochs {
        crate::terminal::note(format_args!(
            "decoder {} × {} blocks on {}: {} users, {items} items, {} interactions",
            config.dims,
            config.blocks,
            dataset.name,
            dataset.sequences.len(),
            dataset.interactions()
        ));
    }
    let job = FitJob {
        dataset,
        config: &fit_config,
        data: TrainingData::histories(dataset, &fit_config)?,
        out: &args.out,
        settings: serde_json::to_value(args)?,
    };
    fit(&mut trainer, &job, &args.fit, |trainer, epoch| {
        let model = item_token_model(trainer, &config, dataset, provenance(dataset, args, epoch))?;
        Ok(model.write(&args.out, args.encoding.into())?)
    })
}

impl TrainLlm {
    /// Sizes of a new model.
    fn config(&self) -> DecoderConfig {
        let usual = DecoderConfig::usual(self.dims, self.blocks, self.heads, self.fit.max_length);
        DecoderConfig {
            kv_heads: self.kv_heads.unwrap_or(usual.kv_heads),
            feed_forward: self.feed_forward.unwrap_or(usual.feed_forward),
            ..usual
        }
    }
}

/// Gives the items that `start` knows the rows that they have there.
fn start_from_model(
    trainer: &mut Trainer<Decoder>,
    start: &ItemTokenModel,
    dataset: &Dataset,
) -> Result<()> {
    let places: HashMap<&ItemId, usize> =
        start.item_ids.iter().enumerate().map(|(at, id)| (id, at)).collect();
    let place = |id: &ItemId| places.get(id).copied();
    let rows = rows_by_id(trainer.rows().into_owned(), &start.token_embedding, dataset, place);
    let output = match (trainer.output_rows(), &start.output) {
        (Some(random), Some(known)) => rows_by_id(random.into_owned(), known, dataset, place),
        _ => rows.clone(),
    };
    Ok(trainer.set_initial_rows(&rows, &output)?)
}

/// Provenance written to the GGUF file.
fn provenance(dataset: &Dataset, args: &TrainLlm, epoch: &Epoch) -> Vec<(String, String)> {
    let mut facts = vec![
        ("dataset", dataset.name.clone()),
        ("loss", args.fit.loss().to_string()),
        ("seed", args.fit.seed.to_string()),
        ("epoch", epoch.number.to_string()),
        // Read by `tandem evaluate`, which refuses targets that the model was trained on.
        ("hold_out", args.fit.fit_config().hold_out.to_string()),
    ];
    if let Some(validation) = epoch.validation {
        facts.push(("validation_ndcg10", format!("{:.4}", validation.ndcg10)));
    }
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_dataset::{Catalogue, Item, ItemIndex};
    use tandem_generator::item_tokens::Encoding;
    use tandem_generator::{LoadOptions, Model, Query};
    use tandem_model::Device;
    use tandem_training::Rates;

    use super::*;

    #[test]
    fn llama_cpp_scores_as_the_trainer_does() {
        let shared = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(32, 2, 2, 8) };
        one_model(&shared, false);
        one_model(&shared, true);
    }

    /// Two of the thirty blocks of `SmolLM2-135M`.
    #[test]
    fn llama_cpp_scores_as_the_trainer_does_at_the_width_of_smollm2() {
        let usual = DecoderConfig::usual(576, 2, 9, 8);
        one_model(
            &DecoderConfig { kv_heads: 3, feed_forward: 1536, rope_base: 100_000.0, ..usual },
            false,
        );
    }

    /// The GGUF file in llama.cpp gives the scores of the trainer.
    fn one_model(config: &DecoderConfig, untied: bool) {
        let items = (0..40).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let catalogue = Catalogue::new(items).unwrap();
        let dataset = Dataset::new("d", catalogue.clone(), Vec::new(), None).unwrap();
        let training = TrainingConfig { row_std: 0.3, untied, ..TrainingConfig::default() };
        let build = |device: &Device| Decoder::new(config, 0.0, device);
        let mut trainer =
            Trainer::new(build, (40, config.dims), 8, training, &Device::flex()).unwrap();
        // A few steps change norms and rows from their initial values.
        for start in 0..5 {
            let window = [start, start + 7, start + 14, start + 30];
            trainer.step(&[&window], Rates { network: 0.01, rows: 0.01 }).unwrap();
        }

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.gguf");
        let written = item_token_model(&trainer, config, &dataset, Vec::new()).unwrap();
        assert_eq!(written.output.is_some(), untied);
        written.write(&file, Encoding::F32).unwrap();
        let model = Model::load(&file, Arc::new(catalogue), &LoadOptions::default()).unwrap();
        let history = [3_u32, 17, 5, 29];
        let query: Vec<ItemIndex> = history.iter().copied().map(ItemIndex).collect();
        let query = Query { history: &query, exclude: &[], only: None, added: None, k: 40 };
        let found = model.generator().unwrap().generate(&query).unwrap().candidates;
        assert_eq!(found.len(), 36);

        let scores = trainer.score(&[&history]).unwrap().remove(0);
        let left = || (0..40_u32).filter(|item| !history.contains(item));
        let best = left().map(|item| scores[item as usize]).fold(f32::MIN, f32::max);
        let sum: f32 = left().map(|item| (scores[item as usize] - best).exp()).sum();
        for ranked in found {
            let expected = scores[ranked.item.position()] - best - sum.ln();
            assert!((ranked.logprob - expected).abs() < 1e-4, "{ranked:?} {expected}");
        }
    }
}
