//! `tandem train srm`: trains the small model that re-ranks on the device.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::CandidateLists;
use tandem_model::{Body, Checkpoint};
use tandem_protocol::{ItemId, ModelConfig, ModelKind};
use tandem_training::{
    ListLoss, ListObjective, Objective, Trainer, TrainingConfig,
    fit::{Epoch, FitConfig, FitJob, TrainingData},
};

use super::{
    options::{Display, FitOptions, Loss},
    report::fit,
    start::rows_by_id,
    text::add_text,
};
use crate::{
    candidate_lists::load,
    small_model::read_checkpoint,
    values::{self, ADVANCED, BASIC, FILES, RESEARCH},
    write_atomically,
};

/// Options of `tandem train srm`.
#[derive(Args, Debug, Serialize)]
pub(crate) struct TrainSrm {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    #[serde(skip)]
    data: PathBuf,
    /// File of the trained model (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    #[serde(skip)]
    out: PathBuf,
    /// Model architecture.
    #[arg(long, value_enum, default_value_t = Model::Sasrec, conflicts_with = "start")]
    #[arg(help_heading = BASIC)]
    model: Model,
    /// Width of an item row.
    #[arg(long, value_name = "N", default_value_t = 64, conflicts_with = "start")]
    #[arg(value_parser = values::positive, help_heading = BASIC)]
    dims: usize,
    /// Number of attention blocks (`SASRec`), recurrent layers (`GRU4Rec`) or hidden layers (DIN)
    /// [default: 2, 1, 1].
    #[arg(long, value_name = "N", conflicts_with = "start")]
    #[arg(value_parser = values::positive, help_heading = BASIC)]
    blocks: Option<usize>,
    /// Number of attention heads (`SASRec`).
    #[arg(long, value_name = "N", default_value_t = 2, conflicts_with = "start")]
    #[arg(value_parser = values::positive, help_heading = BASIC)]
    heads: usize,
    /// Trained model to continue from, with its configuration.
    #[arg(long, value_name = "FILE", help_heading = ADVANCED)]
    start: Option<PathBuf>,
    /// Dataset folder that --start was trained on, if its catalogue is another one: items keep
    /// their rows by id, new items start from random rows.
    #[arg(long, value_name = "FOLDER", requires = "start", help_heading = ADVANCED)]
    start_data: Option<PathBuf>,
    /// Adaptive re-training: number of newest training items per user that are targets
    /// [default: all].
    #[arg(long, value_name = "N", conflicts_with = "lists")]
    #[arg(value_parser = values::positive, help_heading = RESEARCH)]
    newest: Option<usize>,
    /// Cooperative training: candidate lists of `tandem lists --for training`, one file or more.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = RESEARCH)]
    lists: Vec<PathBuf>,
    /// Train on histories as well, as without --lists.
    #[arg(long, requires = "lists", help_heading = RESEARCH)]
    with_histories: bool,
    /// Loss over a candidate list.
    #[arg(long, value_enum, default_value_t = ListLossName::Bce, requires = "lists")]
    #[arg(help_heading = RESEARCH)]
    list_loss: ListLossName,
    /// Number of items taken from the top of a list.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "lists")]
    #[arg(help_heading = RESEARCH)]
    listed: usize,
    /// Number of items ranked per list by `bce` and `softmax`: the target, list items, then random
    /// items.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "lists")]
    #[arg(value_parser = values::positive, help_heading = RESEARCH)]
    ranked: usize,
    /// Share of the list's probabilities in the target of `distillation`; the next item has the
    /// rest.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "lists")]
    #[arg(value_parser = values::share, help_heading = RESEARCH)]
    teacher: f64,
    /// Factor of the loss over lists beside that of histories.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "with_histories")]
    #[arg(value_parser = values::above_zero, help_heading = RESEARCH)]
    list_weight: f64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) fit: FitOptions,
}

/// Architectures of the small model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
enum Model {
    /// Self-attention (Kang & `McAuley` 2018).
    Sasrec,
    /// Gated recurrent units (Hidasi et al. 2016).
    Gru4rec,
    /// Deep interest network: attention per candidate (Zhou et al. 2018).
    Din,
}

/// Losses over a candidate list.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
enum ListLossName {
    /// Binary cross-entropy of each item, as in the paper.
    Bce,
    /// Cross-entropy of the target over the ranked items.
    Softmax,
    /// Cross-entropy over the whole catalogue, with the list's probabilities as the target.
    Distillation,
}

pub(crate) fn run(args: &TrainSrm) -> Result<()> {
    let best = train(args, &Dataset::load(&args.data)?)?;
    println!("{}: {best}", args.out.display());
    Ok(())
}

/// Trains on `dataset`, which is that of `--data`, and writes the model. Returns the best epoch.
pub(crate) fn train(args: &TrainSrm, dataset: &Dataset) -> Result<Epoch> {
    let earlier = args.start_data.as_deref().map(Dataset::load).transpose()?;
    let known = earlier.as_ref().unwrap_or(dataset);
    let start = args.start.as_ref().map(|path| read_checkpoint(path, known)).transpose()?;
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
    let fit_config = fit_options.fit_config();
    add_text(&mut trainer, &fit_options, dataset, &fit_config)?;
    if let Some(start) = &start {
        let place = |id: &ItemId| known.catalogue.index_of(id).map(ItemIndex::position);
        let rows = rows_by_id(trainer.rows().into_owned(), &start.own_rows()?, dataset, place);
        trainer.set_initial_rows(&rows, &rows)?;
    }
    if fit_options.display == Display::Epochs {
        crate::terminal::note(format_args!(
            "{:?} {} × {} on {}: {} users, {items} items, {} interactions",
            config.kind,
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
        data: args.training_data(dataset, &fit_config)?,
        out: &args.out,
        settings: serde_json::to_value(args)?,
    };
    let strategy = args.strategy(&fit_options);
    fit(&mut trainer, &job, &fit_options, |trainer, epoch| {
        let checkpoint = Checkpoint {
            config: config.clone(),
            body: trainer.model().to_bytes(&HashMap::new())?,
            items: trainer.item_table()?,
            catalogue_hash: dataset.catalogue.hash().to_owned(),
            text: None,
            counts: None,
            left_out: Some(fit_config.hold_out),
            provenance: format!("{}, {strategy}, seed {}, {epoch}", dataset.name, fit_options.seed),
        };
        write_atomically(&args.out, &checkpoint.to_bytes()?)
            .with_context(|| format!("cannot write {}", args.out.display()))
    })
}

impl TrainSrm {
    /// Configuration of a new model.
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

    /// The options with the defaults of the architecture.
    fn fit_options(&self, config: &ModelConfig) -> FitOptions {
        let mut options = self.fit.clone();
        options.max_length = config.max_length;
        if config.kind == ModelKind::Din {
            // The full softmax would encode each history once per item of the catalogue.
            let sampled = Loss(Objective::SampledSoftmax { negatives: 32 });
            options.loss.get_or_insert(sampled);
        }
        options
    }

    fn training_data(&self, dataset: &Dataset, config: &FitConfig) -> Result<TrainingData> {
        if !self.lists.is_empty() {
            let data = self.lists(dataset, config)?;
            return Ok(if self.with_histories {
                data.with_histories(dataset, config)?
            } else {
                data
            });
        }
        Ok(match self.newest {
            Some(newest) => TrainingData::newest(dataset, config, newest)?,
            None => TrainingData::histories(dataset, config)?,
        })
    }

    fn lists(&self, dataset: &Dataset, config: &FitConfig) -> Result<TrainingData> {
        let ranked = self.ranked;
        let loss = match self.list_loss {
            ListLossName::Bce => ListLoss::BinaryCrossEntropy { ranked },
            ListLossName::Softmax => ListLoss::Softmax { ranked },
            ListLossName::Distillation => ListLoss::Distillation { teacher: self.teacher as f32 },
        };
        let objective = ListObjective { loss, weight: self.list_weight };
        let mut lists = CandidateLists::new();
        for path in &self.lists {
            lists.extend(load(path, dataset)?);
        }
        Ok(TrainingData::lists(dataset, config, &lists, self.listed, objective)?)
    }

    /// The training strategy, as text for people.
    fn strategy(&self, options: &FitOptions) -> String {
        let what = match self.newest {
            _ if !self.lists.is_empty() => {
                let beside = if self.with_histories { " beside histories" } else { "" };
                format!("cooperative training, list loss {:?}{beside}", self.list_loss)
            }
            Some(newest) => {
                format!("training on the {newest} newest items, loss {}", options.loss())
            }
            None => format!("independent training, loss {}", options.loss()),
        };
        let from = self.start.as_ref().and_then(|start| start.file_name());
        let from = from.map(|name| format!(", from {}", name.display()));
        format!("{what}{}", from.unwrap_or_default())
    }
}
