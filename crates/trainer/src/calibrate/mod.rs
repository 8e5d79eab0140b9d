//! `tandem calibrate`: what the manifest ships of fusion and decision, chosen on validation
//! sessions.

mod fit;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use tandem_collaboration::Trigger;
use tandem_dataset::Dataset;

pub(crate) use fit::{Decision, best, fusion, learning};

use crate::{
    export::read_calibration, sessions::SessionReplay, small_model::SmallModel, write_atomically,
};

/// Clicks over which a call's gain is averaged.
pub(crate) const HORIZON: usize = 3;
/// How much the rule is held back.
pub(crate) const RIDGE: f64 = 0.01;

/// Options of `tandem calibrate`.
#[derive(Args, Debug)]
pub(crate) struct Calibrate {
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    data: PathBuf,
    /// The small model (.safetensors), trained on nothing from the first live click on.
    #[arg(long)]
    srm: PathBuf,
    /// Candidate lists for the same clicks, made by `tandem lists`.
    #[arg(long)]
    lists: PathBuf,
    /// Where to start from: learning, limits of the policy, the scales that are fused.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Where the calibration goes.
    #[arg(long)]
    out: PathBuf,
    /// Live clicks a session.
    #[arg(long, default_value_t = 10)]
    clicks: usize,
    /// Newest interactions left out: as many as the test's clicks, so that nothing is
    /// chosen on what is tested.
    #[arg(long)]
    skip: usize,
    /// Share of clicks after which the cloud may be called, on average.
    #[arg(long, default_value_t = 0.1)]
    budget: f64,
    /// Clicks over which a call's gain is averaged.
    #[arg(long, default_value_t = HORIZON)]
    horizon: usize,
    /// How much the rule is held back; see `UpliftModel::fit`.
    #[arg(long, default_value_t = RIDGE)]
    ridge: f64,
    /// Leave the fusion as it is.
    #[arg(long)]
    keep_fusion: bool,
    /// Leave learning as it is.
    #[arg(long)]
    keep_learning: bool,
}

pub(crate) fn run(args: &Calibrate) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let mut calibration = read_calibration(args.calibration.as_deref())?;
    let model = SmallModel::read(&args.srm, &dataset, &calibration)?;
    let mut settings = model.settings.clone();
    let bench = SessionReplay::new(&dataset, model, &args.lists)?;
    let sessions = bench.sessions(args.clicks, args.skip)?.learning(true);

    if !args.keep_fusion {
        let (fit, lists) = fusion(&bench, &sessions, &settings)?;
        println!(
            "fusion, on {lists} lists: NDCG@10 {:.4} with α = {:.2}; small model alone {:.4}, language model alone {:.4}",
            fit.ndcg10, fit.alpha, fit.small_model_ndcg10, fit.language_model_ndcg10
        );
        settings.fusion = fit.fusion;
    }
    if !args.keep_learning {
        let tried = learning(&bench, &sessions, &settings)?;
        println!(
            "learning: step sizes of rows, adapter and preference, NDCG@10 with no call and with every one:"
        );
        for (config, [never, always]) in &tried {
            let (rows, adapter, preference) =
                (config.row_rate, config.adapter_rate, config.preference_rate);
            println!("  {rows} {adapter} {preference}: {never:.4} {always:.4}");
        }
        if let Some(best) = best(&tried) {
            settings.learning = best.clone();
        }
    }
    let decision = Decision::fit(&bench, &sessions, &settings, (args.horizon, args.ridge))?;
    print!("{}", decision.table(args.budget, args.clicks)?);

    calibration.fusion = settings.fusion;
    calibration.learning = settings.learning;
    calibration.policy.trigger = Trigger::Uplift {
        threshold: decision.uplift_threshold(args.budget)?,
        model: decision.model,
    };
    let mut json = serde_json::to_vec_pretty(&calibration)?;
    json.push(b'\n');
    write_atomically(&args.out, &json)
        .with_context(|| format!("cannot write {}", args.out.display()))
}
