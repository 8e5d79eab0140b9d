//! `tandem train srm`: the small model that re-ranks on the device.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tandem_dataset::Dataset;
use tandem_model::Body;
use tandem_protocol::{ModelConfig, ModelKind};
use tandem_training::{
    Checkpoint, Objective, Trainer, TrainingConfig,
    fit::{FitConfig, FitJob, TrainingData},
};
#[cfg(feature = "llama")]
use tandem_training::{ListLoss, ListObjective};

use super::{
    options::{FitOptions, Loss},
    report::fit,
};
use crate::{small_model::read_checkpoint, write_atomically};

/// Options of `tandem train srm`.
#[derive(Args, Debug, Serialize)]
pub(crate) struct TrainSrm {
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    #[serde(skip)]
    data: PathBuf,
    /// Where the trained model goes (a .safetensors file).
    #[arg(long)]
    #[serde(skip)]
    out: PathBuf,
    /// The kind of model.
    #[arg(long, value_enum, default_value_t = Model::Sasrec, conflicts_with = "start")]
    model: Model,
    /// Width of an item row.
    #[arg(long, default_value_t = 64, conflicts_with = "start")]
    dims: usize,
    /// Blocks of attention (`SASRec`, 2 if absent), recurrent layers (`GRU4Rec`, 1) or hidden
    /// layers above the history (DIN, 1).
    #[arg(long, conflicts_with = "start")]
    blocks: Option<usize>,
    /// Attention heads (`SASRec`).
    #[arg(long, default_value_t = 2, conflicts_with = "start")]
    heads: usize,
    /// Go on from this trained model, in its shape, rather than from random weights.
    #[arg(long)]
    start: Option<PathBuf>,
    /// Predict only so many of the newest items of each user's training part: a few epochs
    /// from `--start` fit a model to the newest interactions (adaptive re-training).
    #[arg(long, conflicts_with = "lists")]
    newest: Option<usize>,
    /// Learn to rank the next item above a language model's lists for training histories, as
    /// `tandem lists` made them (cooperative training).
    #[arg(long)]
    lists: Option<PathBuf>,
    /// The loss over a list.
    #[arg(long, value_enum, default_value_t = ListLossName::Bce, requires = "lists")]
    list_loss: ListLossName,
    /// Items of a list that are learnt from, from the top.
    #[arg(long, default_value_t = 20, requires = "lists")]
    listed: usize,
    /// Items ranked in all: the next one, those of the list, and random ones for the rest.
    #[arg(long, default_value_t = 100, requires = "lists")]
    ranked: usize,
    #[command(flatten)]
    #[serde(flatten)]
    fit: FitOptions,
}

/// Kinds of small model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
enum Model {
    /// Self-attention over the history.
    Sasrec,
    /// A recurrent state of the history.
    Gru4rec,
    /// The history weighed for each candidate.
    Din,
}

/// Losses over a list.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
enum ListLossName {
    /// Binary cross-entropy of each item, the paper's.
    Bce,
    /// Cross-entropy of the next item among all of them.
    Softmax,
}

pub(crate) fn run(args: &TrainSrm) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let start = args.start.as_ref().map(|path| read_checkpoint(path, &dataset)).transpose()?;
    let config = start.as_ref().map_or_else(|| args.config(), |start| start.config.clone());
    let fit_options = args.fit_options(&config);
    let items = dataset.catalogue.len();
    let build = |device: &_| {
        let body = Body::new(&config, fit_options.dropout, device)?;
        match &start {
            Some(start) => body.load(&start.body, device),
            None => Ok(body),
        }
    };
    let mut trainer = Trainer::new(
        build,
        (items, config.dims),
        config.max_length,
        TrainingConfig { newest_targets: args.newest, ..fit_options.training() },
        &fit_options.device.device()?,
    )?;
    if let Some(start) = &start {
        trainer.start_from(&start.items)?;
    }
    eprintln!(
        "{:?} {} × {} on {}: {} users, {items} items, {} interactions",
        config.kind,
        config.dims,
        config.blocks,
        dataset.name,
        dataset.sequences.len(),
        dataset.interactions()
    );
    let fit_config = fit_options.fit_config();
    let job = FitJob {
        dataset: &dataset,
        config: &fit_config,
        data: args.training_data(&dataset, &fit_config)?,
        out: &args.out,
        settings: serde_json::to_value(args)?,
    };
    let strategy = args.strategy(&fit_options);
    let best = fit(&mut trainer, &job, &fit_options, |trainer, epoch| {
        let checkpoint = Checkpoint {
            config: config.clone(),
            body: trainer.model().to_bytes(&HashMap::new())?,
            items: trainer.item_table()?,
            catalogue_hash: dataset.catalogue.hash().to_owned(),
            provenance: format!("{}, {strategy}, seed {}, {epoch}", dataset.name, fit_options.seed),
        };
        write_atomically(&args.out, &checkpoint.to_bytes()?)
            .with_context(|| format!("cannot write {}", args.out.display()))
    })?;
    println!("{}: {best}", args.out.display());
    Ok(())
}

impl TrainSrm {
    /// The shape of a new model.
    fn config(&self) -> ModelConfig {
        let (kind, blocks, heads) = match self.model {
            Model::Sasrec => (ModelKind::Sasrec, 2, self.heads),
            Model::Gru4rec => (ModelKind::Gru4rec, 1, 1),
            Model::Din => (ModelKind::Din, 1, 1),
        };
        ModelConfig {
            kind,
            dims: self.dims,
            blocks: self.blocks.unwrap_or(blocks),
            heads,
            max_length: self.fit.max_length,
        }
    }

    /// The options with what the kind of model changes of them.
    fn fit_options(&self, config: &ModelConfig) -> FitOptions {
        let mut options = self.fit.clone();
        options.max_length = config.max_length;
        if config.kind == ModelKind::Din {
            // The full softmax would weigh each history anew for every item there is.
            let sampled = Loss(Objective::SampledSoftmax { negatives: 32 });
            options.loss.get_or_insert(sampled);
        }
        options
    }

    fn training_data(&self, dataset: &Dataset, config: &FitConfig) -> Result<TrainingData> {
        if let Some(path) = &self.lists {
            return self.lists(path, dataset, config);
        }
        Ok(match self.newest {
            Some(newest) => TrainingData::newest(dataset, config, newest)?,
            None => TrainingData::histories(dataset, config)?,
        })
    }

    #[cfg(feature = "llama")]
    fn lists(
        &self,
        path: &std::path::Path,
        dataset: &Dataset,
        config: &FitConfig,
    ) -> Result<TrainingData> {
        let loss = match self.list_loss {
            ListLossName::Bce => ListLoss::BinaryCrossEntropy,
            ListLossName::Softmax => ListLoss::Softmax,
        };
        let objective = ListObjective { loss, ranked: self.ranked };
        let lists = crate::candidate_lists::load(path, dataset)?;
        Ok(TrainingData::lists(dataset, config, &lists, self.listed, objective)?)
    }

    #[cfg(not(feature = "llama"))]
    fn lists(&self, path: &std::path::Path, _: &Dataset, _: &FitConfig) -> Result<TrainingData> {
        let text = format!(
            "{}: this build has no language model: build with --features llama",
            path.display()
        );
        Err(crate::failure::BadInput(text).into())
    }

    /// How the model is trained, for people.
    fn strategy(&self, options: &FitOptions) -> String {
        let what = match (&self.lists, self.newest) {
            (Some(_), _) => format!("cooperative training, list loss {:?}", self.list_loss),
            (None, Some(newest)) => {
                format!("training on the {newest} newest items, loss {}", options.loss())
            }
            (None, None) => format!("independent training, loss {}", options.loss()),
        };
        let from = self.start.as_ref().and_then(|start| start.file_name());
        let from = from.map(|name| format!(", from {}", name.display()));
        format!("{what}{}", from.unwrap_or_default())
    }
}
