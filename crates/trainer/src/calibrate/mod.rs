//! `tandem calibrate`: what the manifest ships of fusion and decision, chosen on validation
//! sessions.

mod study;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_collaboration::{
    CollaborationError, Fusion, JudgedList, LanguageModelScore, Normalisation, Policy, Trigger,
    UpliftModel, UpliftSample, fit_alpha, fit_threshold,
};
use tandem_dataset::Dataset;
use tandem_evaluation::SessionProtocol;
use tandem_model::{Device, Scorer};
use tandem_session::{RowStore, Settings};

use crate::{
    evaluate::read_checkpoint, export::read_calibration, failure::BadInput, lists, write_atomically,
};
use study::{Observed, Replay, expects, simulate};

/// A rule is judged on a fifth of the sessions that it was not fitted on.
const FOLDS: usize = 5;
/// Thresholds that are tried: no call gains or loses more than an NDCG.
const GAINS: (f32, f32) = (-1.0, 1.0);
/// Draws of the random baseline, of which the mean is reported.
const DRAWS: u64 = 20;

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
    #[arg(long, default_value_t = 3)]
    horizon: usize,
    /// How much the rule is held back; see `UpliftModel::fit`.
    #[arg(long, default_value_t = 0.01)]
    ridge: f64,
    /// Leave the fusion as it is.
    #[arg(long)]
    keep_fusion: bool,
}

pub(crate) fn run(args: &Calibrate) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let lists = lists::load(&args.lists, &dataset)?;
    let mut calibration = read_calibration(args.calibration.as_deref())?;
    let checkpoint = read_checkpoint(&args.srm, &dataset)?;
    let scorer = Scorer::new(&checkpoint.config, &checkpoint.body, &Device::flex())?;
    let names = dataset.catalogue.items().iter().map(|item| item.id.clone());
    let rows = RowStore::whole(checkpoint.items, names)?;
    let protocol = SessionProtocol {
        clicks: args.clicks,
        skip: args.skip,
        ms_between_clicks: 0.0,
        learn: true,
    };
    let users: BTreeSet<usize> = lists.keys().map(|(user, _)| *user).collect();
    let users: Vec<usize> = users.into_iter().collect();
    let replay =
        Replay { dataset: &dataset, lists: &lists, scorer: &scorer, rows: &rows, protocol };
    let observe = |fusion, trigger, what| -> Result<Vec<Observed>> {
        let settings = Settings {
            fusion,
            policy: Policy { trigger, ..Policy::default() },
            learning: calibration.learning.clone(),
            base: String::new(),
            catalogue_hash: dataset.catalogue.hash().to_owned(),
        };
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}, {eta} left")?;
        let bar = ProgressBar::new(users.len() as u64).with_style(style).with_message(what);
        let sessions = replay.run(&settings, &users, || bar.inc(1))?;
        bar.finish_and_clear();
        if sessions.is_empty() {
            let text = format!(
                "{}: expected the lists of a session of {} clicks before the last {}, found none; make them with the same --clicks and --skip",
                args.lists.display(),
                args.clicks,
                args.skip
            );
            return Err(BadInput(text).into());
        }
        Ok(sessions)
    };

    if !args.keep_fusion {
        let sessions = observe(calibration.fusion, Trigger::Never, "fusion")?;
        calibration.fusion = fit_fusion(&sessions, calibration.fusion)?;
    }
    // With no weights there is evidence all the same.
    let asking = Trigger::Uplift { threshold: 0.0, model: UpliftModel::default() };
    let sessions = observe(calibration.fusion, asking, "decision")?;
    let (trigger, table) = fit_uplift(&sessions, args)?;
    print!("{table}");
    calibration.policy.trigger = trigger;
    let mut json = serde_json::to_vec_pretty(&calibration)?;
    json.push(b'\n');
    write_atomically(&args.out, &json)
        .with_context(|| format!("cannot write {}", args.out.display()))
}

/// The best weight of the language model over every list at every click.
fn fit_fusion(sessions: &[Observed], before: Fusion) -> Result<Fusion, CollaborationError> {
    let (language_model, small_model) = match before {
        Fusion::Weighted { language_model, small_model, .. } => (language_model, small_model),
        Fusion::Paper { .. } => (LanguageModelScore::LogProb, Normalisation::ZScore),
    };
    let lists: Vec<JudgedList<'_>> = sessions
        .iter()
        .flat_map(|session| &session.shown)
        .map(|shown| JudgedList {
            logprobs: &shown.logprobs,
            small_model: &shown.small_model,
            chosen: shown.chosen,
        })
        .collect();
    let fit = fit_alpha(&lists, language_model, small_model)?;
    println!(
        "fusion, on {} lists: NDCG@10 {:.4} with α = {:.2}; small model alone {:.4}, language model alone {:.4}",
        lists.len(),
        fit.ndcg10,
        fit.alpha,
        fit.small_model_ndcg10,
        fit.language_model_ndcg10
    );
    Ok(fit.fusion)
}

/// The rule, its threshold, and a table of what it is worth beside the baselines: on the
/// sessions it is fitted on, each fifth judged by a rule of the other four.
fn fit_uplift(sessions: &[Observed], args: &Calibrate) -> Result<(Trigger, String)> {
    let fit = |of: &dyn Fn(usize) -> bool| -> Result<UpliftModel, CollaborationError> {
        let kept = sessions.iter().enumerate().filter(|(number, _)| of(*number));
        let samples: Vec<UpliftSample> =
            kept.flat_map(|(_, session)| session.samples(args.horizon)).collect();
        UpliftModel::fit(&samples, args.ridge)
    };
    let folds: Vec<UpliftModel> =
        (0..FOLDS).map(|fold| fit(&|number| number % FOLDS != fold)).collect::<Result<_, _>>()?;
    let of_fold = |session: usize| &folds[session % FOLDS];
    let threshold = fit_threshold(GAINS, args.budget, |threshold| {
        Ok::<_, CollaborationError>(simulate(sessions, expects(sessions, of_fold, threshold)).1)
    })?;
    let by_disagreement = |threshold: f32| {
        simulate(sessions, |session, made, at| {
            let evidence = sessions[session].evidence(made, at);
            evidence.is_some_and(|evidence| evidence.disagreement > threshold)
        })
    };
    let disagreement = fit_threshold((0.0, 1.0), args.budget, |threshold| {
        Ok::<_, CollaborationError>(by_disagreement(threshold).1)
    })?;

    let never = simulate(sessions, |_, _, _| false);
    let always = simulate(sessions, |_, _, _| true);
    let random: Vec<(f64, f64)> = (0..DRAWS)
        .map(|seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            simulate(sessions, |_, _, _| rng.random_bool(args.budget))
        })
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| random.iter().map(of).sum::<f64>() / DRAWS as f64;
    let every_kth = |k: usize| simulate(sessions, |_, _, at| at.is_multiple_of(k));
    // Of the fixed rhythms the one that comes nearest to the budget.
    let off_budget = |k: &usize| (every_kth(*k).1 - args.budget).abs();
    let k = (1..args.clicks).min_by(|a, b| off_budget(a).total_cmp(&off_budget(b))).unwrap_or(1);
    let rules = [
        ("never".to_owned(), never),
        ("random".to_owned(), (mean(|run| run.0), mean(|run| run.1))),
        (format!("every {k} clicks"), every_kth(k)),
        (format!("disagreement > {disagreement:.3}"), by_disagreement(disagreement)),
        (
            format!("learnt uplift > {threshold:.4}"),
            simulate(sessions, expects(sessions, of_fold, threshold)),
        ),
        ("always".to_owned(), always),
    ];
    let mut table = format!(
        "decision, on {} sessions:\n| rule | calls a click | NDCG@10 | of what always gains |\n|---|---|---|---|\n",
        sessions.len()
    );
    for (name, (ndcg, share)) in rules {
        let kept = (ndcg - never.0) / (always.0 - never.0) * 100.0;
        writeln!(table, "| {name} | {share:.3} | {ndcg:.4} | {kept:.0} % |")?;
    }
    Ok((Trigger::Uplift { threshold, model: fit(&|_| true)? }, table))
}
