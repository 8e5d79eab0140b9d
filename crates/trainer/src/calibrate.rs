//! `tandem calibrate`: the fusion, the learning rates and the decision that a manifest ships,
//! chosen on validation sessions.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use tandem_collaboration::Trigger;
use tandem_dataset::Dataset;
use tandem_evaluation::{
    Sessions,
    fitting::{DecisionFit, FitChoices, HORIZON, RIDGE, SessionFit, fit_session},
};

use crate::{
    calibration::read_calibration, candidate_lists::load, small_model::SmallModel, write_atomically,
};

/// Options of `tandem calibrate`.
#[derive(Args, Debug)]
pub(crate) struct Calibrate {
    /// Dataset folder, written by `tandem import`.
    #[arg(long)]
    data: PathBuf,
    /// Small model (.safetensors), not trained on the live clicks or anything newer.
    #[arg(long)]
    srm: PathBuf,
    /// Candidate lists for the same clicks, written by `tandem lists`.
    #[arg(long)]
    lists: PathBuf,
    /// Calibration to start from: learning rates, limits of the policy, scales of the fusion.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Where the calibration is written.
    #[arg(long)]
    out: PathBuf,
    /// Live clicks per session.
    #[arg(long, default_value_t = 10)]
    clicks: usize,
    /// Number of newest interactions of each user that are left out: the clicks of the test,
    /// so that nothing is chosen on what is tested.
    #[arg(long)]
    skip: usize,
    /// Call budget: mean share of clicks after which the cloud may be called, 0 to 1.
    #[arg(long, default_value_t = 0.1)]
    budget: f64,
    /// Number of clicks over which the gain of a call is averaged.
    #[arg(long, default_value_t = HORIZON)]
    horizon: usize,
    /// Ridge (L2) penalty of the uplift regression.
    #[arg(long, default_value_t = RIDGE)]
    ridge: f64,
    /// Keep the fusion of the calibration.
    #[arg(long)]
    keep_fusion: bool,
    /// Keep the learning rates of the calibration.
    #[arg(long)]
    keep_learning: bool,
}

pub(crate) fn run(args: &Calibrate) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let mut calibration = read_calibration(args.calibration.as_deref())?;
    let model = SmallModel::read(&args.srm, &dataset, &calibration)?;
    let lists = load(&args.lists, &dataset)?;
    let replay = model.replay(&dataset, &lists);
    let in_lists = || args.lists.display().to_string();
    let sessions = replay.sessions(args.clicks, args.skip).with_context(in_lists)?.learning(true);

    let choices = FitChoices { fusion: !args.keep_fusion, learning: !args.keep_learning };
    let fit = fit_session(&replay, &sessions, &model.settings, choices)?;
    print!("{}", choices_table(&fit)?);
    let how = (args.horizon, args.ridge);
    let decision = DecisionFit::fit(&replay, &sessions, &fit.settings, how)?;
    print!("{}", decision_table(&decision, &sessions, args)?);

    calibration.fusion = fit.settings.fusion;
    calibration.learning = fit.settings.learning;
    calibration.policy.trigger = Trigger::Uplift {
        threshold: decision.uplift_threshold(args.budget)?,
        model: decision.model,
    };
    let mut json = serde_json::to_vec_pretty(&calibration)?;
    json.push(b'\n');
    write_atomically(&args.out, &json)
        .with_context(|| format!("cannot write {}", args.out.display()))
}

fn choices_table(fit: &SessionFit) -> Result<String> {
    let mut text = String::new();
    if let Some((fusion, lists)) = &fit.fusion {
        writeln!(
            text,
            "fusion, on {lists} lists: NDCG@10 {:.4} with α = {:.2}; small model alone {:.4}, language model alone {:.4}",
            fusion.ndcg10, fusion.alpha, fusion.small_model_ndcg10, fusion.language_model_ndcg10
        )?;
    }
    if !fit.learning.is_empty() {
        text += "learning rates of rows, adapter and preference: NDCG@10 with no call, with a call after every click\n";
    }
    for trial in &fit.learning {
        let config = &trial.config;
        let (rows, adapter, preference) =
            (config.row_rate, config.adapter_rate, config.preference_rate);
        let (never, always) = (trial.never, trial.always);
        writeln!(text, "  {rows} {adapter} {preference}: {never:.4} {always:.4}")?;
    }
    Ok(text)
}

fn decision_table(decision: &DecisionFit, sessions: &Sessions, args: &Calibrate) -> Result<String> {
    let count = sessions.users().len();
    let mut table = format!(
        "decision, on {count} sessions:\n| rule | calls a click | NDCG@10 | share of the gain of always |\n|---|---|---|---|\n"
    );
    for outcome in decision.outcomes(args.budget, args.clicks)? {
        let (name, gain_share) = (outcome.name, outcome.gain_share * 100.0);
        let (call_share, ndcg10) = (outcome.call_share, outcome.ndcg10);
        writeln!(table, "| {name} | {call_share:.3} | {ndcg10:.4} | {gain_share:.0} % |")?;
    }
    Ok(table)
}
