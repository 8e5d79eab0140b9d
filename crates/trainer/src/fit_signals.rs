//! `tandem fit-signals`: fits the weights of ranking signals for a language model and writes the
//! folder that the server reads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Args;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tandem_dataset::{
    Dataset, HeldOutTarget, ItemIndex, counts::CountTable, text_vectors::TextVectors,
};
use tandem_evaluation::{
    History, Part, StandardProtocol,
    fitting::{FittedSignals, MAX_WEIGHT, SignalSample, fit_signals},
};
use tandem_generator::{
    LoadOptions, Model,
    llama::ItemTokenGenerator,
    popularity::log_counts,
    ranking_signals::{
        RankingSignals, SignalParts, SignalWeights, SignalsInfo, SmallModelTable, TextTable,
        standard_deviation,
    },
};
use tandem_model::Checkpoint;
use tandem_protocol::EngineKind;
use tandem_training::initial::principal_axes;

use crate::{
    candidate_lists::distinct,
    failure::BadInput,
    language_model::left_out,
    small_model::{bar, read_checkpoint},
    terminal::note,
    text_vectors::read_text_vectors,
    train::counts::CountArgs,
    values::{self, ADVANCED, BASIC, FILES},
};

/// Scores of all users that are in memory at once (512 MB), whatever the size of the catalogue.
const MAX_SCORES: usize = 1 << 27;
/// Users to fit on, at least.
const MIN_USERS: usize = 50;
/// Newest items of each user that fitting must not have counted: the validation and test targets.
const HOLD_OUT: usize = 2;

/// Options of `tandem fit-signals`.
#[derive(Args, Debug)]
pub(crate) struct FitSignals {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Item-token model, or text model (the signals then choose which titles it is asked about).
    /// Must not be trained on the validation targets.
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    gguf: PathBuf,
    /// Text vectors of `tandem embed` [default: no text]. Refused if more than 1 % of the
    /// catalogue's texts have changed since.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    text: Option<PathBuf>,
    /// Small model of `tandem train srm` (SASRec or GRU4Rec), not trained on the validation targets
    /// [default: none].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: Option<PathBuf>,
    /// Folder of the signals.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    out: PathBuf,
    /// Newest items of each user left out of the counts that are written; 2 to evaluate them.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = BASIC)]
    hold_out: usize,
    /// Number of validation users to fit on, sampled by --seed.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = values::positive)]
    #[arg(help_heading = ADVANCED)]
    users: usize,
    /// Random seed of the sampled users.
    #[arg(long, value_name = "N", default_value_t = 7, help_heading = ADVANCED)]
    seed: u64,
    /// Dimensions of the text vectors that are written; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = ADVANCED)]
    text_dims: usize,
    #[command(flatten)]
    counts: CountArgs,
}

pub(crate) fn run(args: &FitSignals) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let (fitted, weights, kind) = fit(args, &dataset)?;
    let first = match kind {
        EngineKind::ItemTokens => "language model",
        EngineKind::Titles => "popularity",
    };
    let given = [
        Some(("counts", weights.counts)),
        args.text.as_ref().map(|_| ("text", weights.text)),
        args.srm.as_ref().map(|_| ("small model", weights.small_model)),
    ];
    let given = given.into_iter().flatten();
    let others: Vec<String> =
        given.clone().map(|(name, weight)| format!("{name} {weight}")).collect();
    println!(
        "{}: {first} {}, {}, temperature {:.3}; NDCG@10 {:.4} ({first} alone {:.4}) and {:.3} nats on the validation targets that the weights were fitted on",
        args.out.display(),
        weights.language_model,
        others.join(", "),
        weights.temperature,
        fitted.ndcg,
        fitted.first_ndcg,
        fitted.loss
    );
    for (name, weight) in given.filter(|(_, weight)| *weight >= MAX_WEIGHT) {
        note(format_args!(
            "the weight of {name} is {weight}, the largest that is tried; a larger one may rank better"
        ));
    }
    Ok(())
}

/// Fits the weights on validation targets of `dataset`, which is that of `--data`, and writes the
/// folder. The first weight is that of the language model, or of popularity for a model of titles.
pub(crate) fn fit(
    args: &FitSignals,
    dataset: &Dataset,
) -> Result<(FittedSignals, SignalWeights, EngineKind)> {
    if let Some(left_out) = left_out(&args.gguf)?.filter(|left_out| *left_out < HOLD_OUT) {
        let text = format!(
            "{}: expected a model that was trained without the newest {HOLD_OUT} items of each user, found one that left out {left_out}; the weights would be fitted on targets that it knows",
            args.gguf.display()
        );
        return Err(BadInput(text).into());
    }
    let small_model = args.srm.as_deref().map(|path| small_model(path, dataset)).transpose()?;
    let text = args.text.as_deref().map(|path| -> Result<TextVectors> {
        let vectors = read_text_vectors(path, &dataset.catalogue)?;
        let dims = if args.text_dims == 0 { vectors.dims() } else { args.text_dims };
        if dims >= vectors.dims() {
            return Ok(vectors);
        }
        Ok(vectors.reduced(dims, &principal_axes(&vectors.values(), vectors.dims(), dims))?)
    });
    let text = text.transpose()?;
    let catalogue = Arc::new(dataset.catalogue.clone());
    // The model itself makes no list here, so a text model is not measured without a history.
    let options =
        LoadOptions { repeats: dataset.repeats, unconditional_histories: 0, ..Default::default() };
    let model = Model::load(&args.gguf, catalogue, &options)?;
    let counts = CountTable::of_dataset(dataset, HOLD_OUT, args.counts.options());
    let table = small_model
        .as_ref()
        .map(|small_model| SmallModelTable::new(small_model, &dataset.catalogue))
        .transpose()?;
    let signals = Signals { text: text.as_ref().map(TextTable::new), counts, small_model: table };
    let samples = samples(args, dataset, &model, &signals)?;
    let fitted = fit_signals(&samples).context("no user has a validation target")?;
    // In the order of `samples`; of a signal that is missing there is none.
    let mut of_others = fitted.weights[2..].iter().copied();
    let weights = SignalWeights {
        language_model: 1.0,
        counts: fitted.weights[1],
        text: signals.text.as_ref().and_then(|_| of_others.next()).unwrap_or_default(),
        small_model: signals
            .small_model
            .as_ref()
            .and_then(|_| of_others.next())
            .unwrap_or_default(),
        temperature: fitted.temperature,
    };
    let counts = CountTable::of_dataset(dataset, args.hold_out, args.counts.options());
    let language_model_sha256 = model.info().sha256.clone();
    let info = SignalsInfo { weights, language_model_sha256, hold_out: args.hold_out };
    let parts = SignalParts {
        text: text.as_ref(),
        counts: Some(&counts),
        small_model: small_model.as_ref(),
    };
    RankingSignals::write(&args.out, &dataset.catalogue, &info, parts)?;
    Ok((fitted, weights, model.kind()))
}

/// The small model of `path`.
///
/// # Errors
/// [`BadInput`] if it cannot be read, is of another catalogue, or was trained on the targets.
fn small_model(path: &Path, dataset: &Dataset) -> Result<Checkpoint> {
    let checkpoint = read_checkpoint(path, dataset)?;
    if let Some(left_out) = checkpoint.left_out.filter(|left_out| *left_out < HOLD_OUT) {
        let text = format!(
            "{}: expected a model that was trained without the newest {HOLD_OUT} items of each user, found one that left out {left_out}; the weights would be fitted on targets that it knows",
            path.display()
        );
        return Err(BadInput(text).into());
    }
    Ok(checkpoint)
}

/// The signals beside the language model.
struct Signals {
    text: Option<TextTable>,
    counts: CountTable,
    small_model: Option<SmallModelTable>,
}

/// Standardised signals of sampled validation targets.
fn samples(
    args: &FitSignals,
    dataset: &Dataset,
    model: &Model,
    signals: &Signals,
) -> Result<Vec<SignalSample>> {
    let history = History::of(dataset);
    let mut targets: Vec<HeldOutTarget<'_>> =
        StandardProtocol { part: Part::Validation, history }.targets(dataset);
    targets.shuffle(&mut StdRng::seed_from_u64(args.seed));
    let items = dataset.catalogue.len();
    let count =
        2 + usize::from(signals.text.is_some()) + usize::from(signals.small_model.is_some());
    targets.truncate(args.users.min((MAX_SCORES / (count * items.max(1))).max(MIN_USERS)));
    let mut first = match model.kind() {
        EngineKind::ItemTokens => First::LanguageModel(Box::new(model.item_tokens()?)),
        EngineKind::Titles => First::Popularity(log_counts(&dataset.catalogue)),
    };
    let bar = bar(targets.len(), "signals");
    let samples = targets.iter().map(|held| {
        let read = distinct(held.history);
        let first = first.scores(&read)?;
        let mut counted = vec![0.0; items];
        signals.counts.add_scores(&read, &mut counted);
        let mut scores = vec![first, counted];
        if let Some(text) = &signals.text {
            let mut similar = vec![0.0; items];
            text.scores(&read, None, &mut similar);
            scores.push(similar);
        }
        if let Some(small_model) = &signals.small_model {
            let mut by_small_model = vec![0.0; items];
            small_model.scores(&read, &mut by_small_model);
            scores.push(by_small_model);
        }
        bar.inc(1);
        Ok(SignalSample {
            signals: scores.into_iter().map(standardised).collect(),
            target: held.target,
            removed: history.excluded(held).to_vec(),
        })
    });
    let samples = samples.collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    Ok(samples)
}

/// The signal whose weight is 1.
enum First<'m> {
    LanguageModel(Box<ItemTokenGenerator<'m>>),
    /// `ln(count + 1)` of each item, beside a model of titles.
    Popularity(Vec<f32>),
}

impl First<'_> {
    /// Scores of all items after a history.
    fn scores(&mut self, history: &[ItemIndex]) -> Result<Vec<f32>> {
        match self {
            Self::LanguageModel(generator) => Ok(generator.logits(history)?),
            Self::Popularity(scores) => Ok(scores.clone()),
        }
    }
}

/// Divided by the standard deviation, which is what the server does. The mean is the same for all
/// items.
fn standardised(mut values: Vec<f32>) -> Vec<f32> {
    let deviation = standard_deviation(&values);
    if deviation > 0.0 {
        for value in &mut values {
            *value /= deviation;
        }
    }
    values
}
