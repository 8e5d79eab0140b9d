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
    calibration::{CALL_BUDGET, read_calibration, write_calibration},
    candidate_lists::load,
    search::{CellOptions, Search},
    small_model::SmallModel,
    values::{self, ADVANCED, BASIC, FILES, RESEARCH},
};

/// Options of `tandem calibrate`.
#[derive(Args, Debug)]
pub(crate) struct Calibrate {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Small model (.safetensors), not trained on the live clicks or anything newer.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: PathBuf,
    /// Candidate lists of `tandem lists` for the same clicks.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    lists: PathBuf,
    /// Calibration to start from (JSON) [default: built-in settings].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    calibration: Option<PathBuf>,
    /// File of the new calibration (JSON).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Live clicks per session.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    clicks: usize,
    /// Newest interactions of each user left out, usually the clicks of the test.
    #[arg(long, value_name = "N", help_heading = BASIC)]
    skip: usize,
    /// Call budget: mean share of clicks with a call to the cloud.
    #[arg(long, value_name = "SHARE", default_value_t = CALL_BUDGET, value_parser = values::share)]
    #[arg(help_heading = BASIC)]
    budget: f64,
    /// What the device searches beside the list, as in the export.
    #[arg(long, value_enum, default_value_t = Search::Whole, help_heading = BASIC)]
    search: Search,
    #[command(flatten)]
    cells: CellOptions,
    /// Keep the fusion of --calibration.
    #[arg(long, help_heading = ADVANCED)]
    keep_fusion: bool,
    /// Keep the learning rates of --calibration.
    #[arg(long, help_heading = ADVANCED)]
    keep_learning: bool,
    /// Clicks over which the gain of a call is averaged.
    #[arg(long, value_name = "N", default_value_t = HORIZON, value_parser = values::positive)]
    #[arg(help_heading = RESEARCH)]
    horizon: usize,
    /// Ridge (L2) penalty of the uplift regression.
    #[arg(long, value_name = "PENALTY", default_value_t = RIDGE)]
    #[arg(value_parser = values::above_zero, help_heading = RESEARCH)]
    ridge: f64,
}

/// Printed if there is nothing to fit a decision to.
const NO_DECISION: &str = "decision: unchanged, because the lists hold every item of the catalogue, or the sessions have a single click; calls gain nothing that could be learnt";

pub(crate) fn run(args: &Calibrate) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let mut calibration = read_calibration(args.calibration.as_deref())?;
    let model = SmallModel::read(&args.srm, &dataset, &calibration)?;
    let model = model.with_search(args.search, &dataset, args.cells)?;
    let lists = load(&args.lists, &dataset)?;
    let replay = model.replay(&dataset, &lists);
    let in_lists = || args.lists.display().to_string();
    let sessions = replay.sessions(args.clicks, args.skip).with_context(in_lists)?.learning(true);

    let choices = FitChoices { fusion: !args.keep_fusion, learning: !args.keep_learning };
    let fit = fit_session(&replay, &sessions, &model.settings, choices)?;
    print!("{}", choices_table(&fit)?);
    let how = (args.horizon, args.ridge);
    let decision = DecisionFit::fit(&replay, &sessions, &fit.settings, how)?;
    calibration.fusion = fit.settings.fusion;
    calibration.learning = fit.settings.learning;
    if let Some(decision) = decision {
        print!("{}", decision_table(&decision, &sessions, args)?);
        calibration.policy.trigger = Trigger::Uplift {
            threshold: decision.uplift_threshold(args.budget)?,
            model: decision.model,
        };
    } else {
        println!("{NO_DECISION}");
    }
    write_calibration(&args.out, &calibration)
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
        let (name, gain_share) = (outcome.name, percent(outcome.gain_share));
        let (call_share, ndcg10) = (outcome.call_share, outcome.ndcg10);
        writeln!(table, "| {name} | {call_share:.3} | {ndcg10:.4} | {gain_share} |")?;
    }
    Ok(table)
}

/// A share in percent, or a dash.
fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_does_not_exist_is_a_dash() {
        assert_eq!(percent(Some(0.834)), "83 %");
        assert_eq!(percent(None), "–");
    }
}
