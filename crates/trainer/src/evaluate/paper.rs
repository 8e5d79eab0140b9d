//! `tandem evaluate --protocol paper`: the protocol of `LSC4Rec`.

use anyhow::Result;
use tandem_collaboration::{
    Fusion, LanguageModelScore, Normalisation, Policy, Trigger, UpliftModel,
};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{
    CandidateList, CandidateLists, EvaluationError, History, Part, ResultRow,
    paper::{Measured, Options, PaperCut, PaperProtocol, PaperUser, measure},
    rank_all,
};
use tandem_session::Settings;

use super::{
    Evaluate,
    rows::{Origin, keep, publish},
    strata::Strata,
};
use crate::{
    calibration::read_calibration,
    candidate_lists::load,
    failure::BadInput,
    small_model::{SmallModel, bar},
};

/// Seed of the random requests without `--seed`.
const SEED: u64 = 7;

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let part = args.part.into();
    let budgets = args.budgets();
    let srm = args.need(args.srm.as_ref(), "srm")?;
    let path = args.need(args.lists.as_ref(), "lists (made by `tandem lists --for paper`)")?;
    let dataset = Dataset::load(&args.data)?;
    let calibration = read_calibration(args.calibration.as_deref())?;
    let model = SmallModel::read(srm, &dataset, &calibration)?;
    let model = model.with_search(args.search, &dataset, args.cells)?;
    let lists = load(path, &dataset)?;
    let (validation, test) = cuts(&dataset, &lists);
    if test.is_empty() {
        let text = format!(
            "{}: expected the four lists of a user with 5 items, found none; make them with `tandem lists --for paper`",
            path.display()
        );
        return Err(BadInput(text).into());
    }
    let reported = match part {
        Part::Validation => &validation,
        Part::Test => &test,
    };
    crate::terminal::note(format_args!(
        "{} of {} users have all lists",
        test.len(),
        dataset.sequences.len()
    ));

    let table = Table::new(args, part, &dataset, &model, reported);
    let mut rows = Vec::new();
    if !args.lists_only {
        let name = model.row_name();
        let bar = bar(reported.len(), &name);
        let held = PaperProtocol::held(reported);
        let (items, done) = (dataset.catalogue.len(), |users| bar.inc(users as u64));
        let ranked = rank_all(&held, items, History::Removed, done, |it| model.score_all(it))?;
        bar.finish_and_clear();
        rows.extend(table.of_small_model(&name, &ranked.ranks)?);
    }
    // The small model ranks until the fusion is fitted; the learnt rule needs evidence.
    let fusion = Fusion::weighted(0.0, LanguageModelScore::LogProb, Normalisation::ZScore);
    let trigger = Trigger::Uplift { threshold: 0.0, model: UpliftModel::default() };
    let policy = Policy::bare(trigger);
    let settings = Settings { fusion, policy, ..model.settings.clone() };
    let ways: &[bool] = if args.no_learning { &[false] } else { &[false, true] };
    for &learning in ways {
        let scored = |cuts: &[PaperCut<'_>], what: &str| -> Result<Vec<PaperUser>> {
            let bar =
                bar(cuts.len(), &format!("{what}{}", if learning { ", learning" } else { "" }));
            let device = model.device(&settings);
            let list = |user, items: &[ItemIndex]| find(&lists, user, items.len());
            let users = PaperProtocol::run(cuts, &dataset, device, learning, |_| bar.inc(1), list)?;
            bar.finish_and_clear();
            Ok(users)
        };
        let fitted_on = scored(&validation, "validation lists")?;
        let tested = if part == Part::Test { Some(scored(&test, "test lists")?) } else { None };
        let options = Options {
            small_model: &model.row_name(),
            budgets: &budgets,
            seed: args.seed.unwrap_or(SEED),
            learning,
        };
        let measured = measure(&fitted_on, tested.as_deref().unwrap_or(&fitted_on), &options)?;
        for row in measured {
            rows.extend(table.of_lists(row, learning)?);
        }
        // An interruption loses at most the rows with learning.
        keep(args, &rows)?;
    }
    publish(args, &rows)
}

/// The users who have all lists.
fn cuts<'a>(
    dataset: &'a Dataset,
    lists: &CandidateLists,
) -> (Vec<PaperCut<'a>>, Vec<PaperCut<'a>>) {
    let validation = PaperProtocol { part: Part::Validation }.cuts(dataset);
    let test = PaperProtocol { part: Part::Test }.cuts(dataset);
    let known = |cut: &PaperCut<'_>| {
        [cut.stale, cut.seen].iter().all(|items| lists.contains_key(&(cut.user, items.len())))
    };
    // Both have the same users in the same order.
    validation.into_iter().zip(test).filter(|(older, newer)| known(older) && known(newer)).unzip()
}

fn find(
    lists: &CandidateLists,
    user: usize,
    length: usize,
) -> Result<&CandidateList, EvaluationError> {
    lists.get(&(user, length)).ok_or(EvaluationError::MissingList { user, length })
}

/// Turns ranks into rows of all users and of parts of the users.
struct Table<'a> {
    args: &'a Evaluate,
    origin: Origin<'a>,
    model: &'a SmallModel,
    strata: Strata,
}

impl<'a> Table<'a> {
    fn new(
        args: &'a Evaluate,
        part: Part,
        dataset: &Dataset,
        model: &'a SmallModel,
        cuts: &[PaperCut<'_>],
    ) -> Self {
        let targets: Vec<(usize, usize)> =
            cuts.iter().map(|cut| (cut.user, cut.seen.len())).collect();
        let strata = Strata::of(dataset, &targets);
        Self { args, origin: Origin::new(args, part, dataset), model, strata }
    }

    fn of_small_model(&self, name: &str, ranks: &[Option<usize>]) -> Result<Vec<ResultRow>> {
        let whole = ResultRow {
            small_model: Some(self.model.kind().to_owned()),
            variant: self.args.srm_variant.clone(),
            ..self.origin.row(name, ranks)?
        };
        self.strata.rows(&self.origin, whole, ranks)
    }

    fn of_lists(&self, measured: Measured, learning: bool) -> Result<Vec<ResultRow>> {
        let Measured { name, history, fusion, consistency, threshold, budget, calls, ranks } =
            measured;
        let language_model_alone = name.starts_with("llm-");
        let small_model = (!language_model_alone).then(|| self.model.kind().to_owned());
        let whole = ResultRow {
            budget: Some(budget),
            calls: Some(calls),
            history,
            variant: self.args.srm_variant.clone().filter(|_| small_model.is_some()),
            learning: small_model.is_some().then_some(learning),
            search: small_model.is_some().then_some(self.args.search.into()),
            small_model,
            fusion,
            consistency,
            threshold: threshold.filter(|threshold| threshold.is_finite()),
            ..self.origin.row(&name, &ranks)?
        };
        if self.has_stratum_rows(&whole) {
            self.strata.rows(&self.origin, whole, &ranks)
        } else {
            Ok(vec![whole])
        }
    }

    /// Whether there are rows of parts of the users: for the rows that others are compared with,
    /// and for the decision at the smallest budget.
    fn has_stratum_rows(&self, row: &ResultRow) -> bool {
        let smallest = self.args.budgets.iter().copied().filter(|budget| *budget > 0.0);
        let smallest = smallest.fold(f64::INFINITY, f64::min);
        let fitted = !matches!(row.fusion, Some(tandem_collaboration::Fusion::Paper { .. }));
        let compared = ["llm-stale", "llm-fresh", "fusion-none", "fusion-always"];
        let decided = ["fusion-consistency", "fusion-uplift"].contains(&row.name.as_str())
            && row.budget.is_some_and(|budget| budget <= smallest);
        fitted
            && row.history == History::Removed
            && (compared.contains(&row.name.as_str()) || row.name.ends_with("-list") || decided)
    }
}
