use std::convert::Infallible;

use tandem_collaboration::{Consistency, Fusion, LanguageModelScore, Normalisation, Trigger};

use super::{measure::PaperFit, *};
use crate::{
    History,
    fitting::threshold_for,
    testing::{Parts, dataset, next_items},
};

fn indices(items: &[u32]) -> Vec<ItemIndex> {
    items.iter().copied().map(ItemIndex).collect()
}

#[test]
fn each_model_sees_what_the_protocol_allows() {
    let dataset = dataset();
    let test = PaperProtocol { part: Part::Test }.cuts(&dataset);
    // `b` and `c` have fewer than five items.
    assert_eq!(test.iter().map(|cut| cut.user).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(test[0].target, ItemIndex(5));
    assert_eq!(test[0].seen, indices(&[0, 1, 2, 3, 4]));
    assert_eq!(test[0].stale, indices(&[0, 1, 2]), "up to s[-4]");
    let validation = PaperProtocol { part: Part::Validation }.cuts(&dataset);
    assert_eq!(validation[1].target, ItemIndex(6));
    assert_eq!(validation[1].seen, indices(&[9, 8, 7]));
    assert_eq!(validation[1].stale, indices(&[9]), "up to s[-5]");
}

fn run(parts: &Parts, learn: bool) -> Vec<PaperUser> {
    run_with_lists(parts, learn, usize::MAX)
}

/// As [`run`], with lists of at most `k` items.
fn run_with_lists(parts: &Parts, learn: bool, k: usize) -> Vec<PaperUser> {
    let dataset = dataset();
    let cuts = PaperProtocol { part: Part::Test }.cuts(&dataset);
    let list = |_, items: &[ItemIndex]| {
        let list: Vec<_> = next_items(items).into_iter().take(k).collect();
        Ok::<_, Infallible>(list)
    };
    PaperProtocol::run(&cuts, &dataset, parts.device(), learn, |_| (), list).unwrap()
}

#[test]
fn the_device_ranks_the_stale_list_and_the_fresh_one() {
    let [a, d] = &run(&Parts::new(Trigger::Never), false)[..] else { panic!("two users") };
    // a: the list after 2 is 3, 4, 5, …; 3 and 4 were consumed since. After 4 it is 5, 6, …
    assert_eq!(a.unfiltered, Some(2));
    assert_eq!((a.stale.target, a.fresh.target), (Some(0), Some(0)));
    assert_eq!(a.stale.logprobs[..2], [-3.0, -4.0], "those of 5 and 6");
    // d: after 8 it is 9, 10, 11, 0, …, 5; 9 was in the history. After 6: 7, 8, 9, 10, …, 5,
    // of which the first three were.
    assert_eq!(d.unfiltered, Some(8));
    assert_eq!((d.stale.target, d.fresh.target), (Some(7), Some(7)));
    assert_eq!(d.stale.small_model.len(), d.stale.logprobs.len());
    assert!(d.stale.small_model.iter().all(|score| score.is_finite()));
}

#[test]
fn learning_changes_only_the_small_model() {
    let parts = Parts::new(Trigger::Never);
    let (plain, learnt) = (run(&parts, false), run(&parts, true));
    assert_eq!(plain, run(&parts, false), "the same again");
    assert_eq!(plain[0].stale.logprobs, learnt[0].stale.logprobs);
    assert_ne!(plain[0].stale.small_model, learnt[0].stale.small_model);
    assert_eq!(learnt, run(&parts, true));
}

/// A list of four items, likely to unlikely.
fn list(target: Option<usize>, small_model: [f32; 4]) -> ScoredList {
    let logprobs = vec![-1.0, -2.0, -3.0, -4.0];
    ScoredList { target, logprobs, last_logprob: -4.0, small_model: small_model.to_vec() }
}

const AGREES: [f32; 4] = [4.0, 3.0, 2.0, 1.0];
const REVERSED: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

#[test]
fn a_scored_list_is_ranked_by_each_model_and_by_both() {
    let list = list(Some(2), REVERSED);
    assert_eq!(list.small_model_rank(), Some(1));
    // -1/4, -2/4, -3/4, -1 and half of σ(1) - 0.5 = 0.231, 0.381, 0.453, 0.482:
    // -0.134, -0.310, -0.524, -0.759.
    assert_eq!(list.rank(&Fusion::Paper { beta: 0.5, gate: None }).unwrap(), Some(2));
    let alpha = |alpha| Fusion::weighted(alpha, LanguageModelScore::Rank, Normalisation::MinMax);
    assert_eq!(list.rank(&alpha(0.4)).unwrap(), Some(1));
    assert!((list.disagreement(Consistency::Footrule).unwrap() - 1.0).abs() < 1e-6);
    // Displacements 3, 1, 1, 3.
    assert!((list.displacement().unwrap() - 2.0).abs() < 1e-6);
    let absent = ScoredList { target: None, ..list };
    assert_eq!((absent.rank(&alpha(0.4)).unwrap(), absent.small_model_rank()), (None, None));
}

/// Two users: one with a good stale list, and one whose models disagree and whose target is
/// only in the fresh list.
fn users() -> Vec<PaperUser> {
    let user = |user, stale: ScoredList| PaperUser {
        user,
        unfiltered: stale.target.map(|target| target + 1),
        stale,
        fresh: list(Some(0), AGREES),
        evidence: None,
    };
    vec![user(0, list(Some(0), AGREES)), user(1, list(None, REVERSED))]
}

fn rows(budgets: &[f64]) -> Vec<Measured> {
    let options = Options { small_model: "srm-sasrec", budgets, seed: 3, learning: false };
    measure(&users(), &users(), &options).unwrap()
}

#[test]
fn all_rows_of_the_protocol_are_measured() {
    let rows = rows(&[0.0, 0.5, 1.0]);
    let named = |name: &'static str| rows.iter().filter(move |row| row.name == name);
    let [kept, removed] = &named("llm-stale").collect::<Vec<_>>()[..] else { panic!("two rows") };
    assert_eq!((kept.history, &kept.ranks[..]), (History::Kept, &[Some(1), None][..]));
    assert_eq!((removed.history, &removed.ranks[..]), (History::Removed, &[Some(0), None][..]));
    assert_eq!(named("llm-fresh").next().unwrap().ranks, [Some(0), Some(0)]);
    for (name, count) in [
        ("srm-sasrec-list", 2),
        ("fusion-none", 2),
        ("fusion-always", 2),
        ("fusion-random", 2),
        ("fusion-batch", 2),
        ("fusion-consistency", 2),
    ] {
        assert_eq!(named(name).count(), count, "{name}: of each fusion, or of each list");
    }
    for row in named("fusion-consistency") {
        assert_eq!(row.ranks, [Some(0), Some(0)], "the second user asks");
        assert!((row.calls - 0.5).abs() < 1e-9 && row.consistency.is_some());
    }
    for row in named("fusion-random") {
        assert!((row.calls - 0.5).abs() < 1e-9);
    }
    // Both are in one batch, whose score lies above no threshold that half may pass.
    assert!(named("fusion-batch").all(|row| row.calls == 0.0));
    let learnt = Options { small_model: "srm-sasrec", budgets: &[], seed: 3, learning: true };
    let learnt = measure(&users(), &users(), &learnt).unwrap();
    assert!(
        !learnt.iter().any(|row| row.name.starts_with("llm")),
        "the language model does not learn"
    );
}

#[test]
fn the_learnt_rule_requests_where_it_expects_a_gain() {
    // Every second user gains from a request, and the device sees it in the drift of its state.
    let [settled, gaining] = <[PaperUser; 2]>::try_from(users()).unwrap();
    let with_drift = |user: &PaperUser, state_drift| PaperUser {
        evidence: Some(PaperEvidence {
            observed: UpliftEvidence { state_drift, ..UpliftEvidence::default() },
            when_new: ScoredList::default(),
        }),
        ..user.clone()
    };
    let users: Vec<PaperUser> = (0..20)
        .map(|number| match number % 2 {
            0 => with_drift(&settled, 0.1),
            _ => with_drift(&gaining, 0.4),
        })
        .collect();
    let options = Options { small_model: "srm-sasrec", budgets: &[0.5], seed: 3, learning: false };
    let rows = measure(&users, &users, &options).unwrap();
    for name in ["fusion-uplift", "fusion-oracle"] {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        assert!((row.calls - 0.5).abs() < 1e-9, "{name}: {}", row.calls);
        assert!(row.ranks.iter().all(|rank| *rank == Some(0)), "{name}: {:?}", row.ranks);
    }
    // Without evidence there is no such row.
    assert!(!self::rows(&[0.5]).iter().any(|row| row.name == "fusion-uplift"));
}

#[test]
fn the_budget_holds_for_other_users() {
    let asked = |budget| asking(&[0.9, 0.1, 0.8, 0.7, 0.2, 0.6], 0.5, budget).unwrap();
    // Half of the users so far: nobody of the first one, one of the first two or three, two
    // of the first four or five, three of the first six.
    assert_eq!(asked(0.5), [false, false, true, true, false, true]);
    assert_eq!(asked(1.0), [true, false, true, true, false, true]);
    assert_eq!(asked(0.0), [false; 6]);
    assert!((share_of(&asked(0.5)) - 0.5).abs() < 1e-9);
    assert!(asking(&[0.1], 0.5, 1.5).is_err());
}

#[test]
fn random_requests_depend_on_the_seed() {
    let users: Vec<PaperUser> = (0..50).map(|_| users().remove(0)).collect();
    let urgency = |seed| Requests::Random { seed }.urgency(&users).unwrap();
    assert_eq!(urgency(1), urgency(1));
    assert_ne!(urgency(1), urgency(2));
    let (threshold, urgency) = (threshold_for(0.3, &urgency(1)), urgency(1));
    assert_eq!(urgency.iter().filter(|&&urgency| urgency > threshold).count(), 15);
}

#[test]
fn the_rule_of_the_paper_decides_for_whole_batches() {
    let [agrees, disagrees] = <[PaperUser; 2]>::try_from(users()).unwrap();
    let mut users = vec![agrees; BATCH_OF_USERS + 3];
    users[1] = disagrees;
    let urgency = Requests::Batch.urgency(&users).unwrap();
    // D of the first batch: 2 places over 16 users; of the second: 0. S = D + 16.
    assert!(urgency[..BATCH_OF_USERS].iter().all(|s| (s - 16.125).abs() < 1e-5), "{urgency:?}");
    assert!(urgency[BATCH_OF_USERS..].iter().all(|s| (s - 16.0).abs() < 1e-6));
}

#[test]
fn the_weight_is_fitted_on_the_lists_of_the_budget() {
    // The small model ranks stale lists right, the language model fresh ones.
    let user = PaperUser {
        user: 0,
        unfiltered: None,
        stale: list(Some(3), REVERSED),
        fresh: list(Some(0), REVERSED),
        evidence: None,
    };
    let fit = PaperFit::over(std::slice::from_ref(&user)).unwrap();
    assert_eq!(user.stale.rank(&fit.fusion(0.0)).unwrap(), Some(0));
    assert_eq!(user.fresh.rank(&fit.fusion(1.0)).unwrap(), Some(0));
}

#[test]
fn the_gain_of_a_few_users_does_not_justify_a_mixture() {
    // Each model ranks another item before the target; together they rank it first.
    let mixed = PaperUser {
        user: 0,
        unfiltered: None,
        stale: list(Some(1), [1.0, 3.0, 4.0, 2.0]),
        fresh: list(Some(0), AGREES),
        evidence: None,
    };
    let settled = PaperUser { stale: list(Some(0), AGREES), ..mixed.clone() };
    let alpha = |gaining: usize| {
        let mut users = vec![settled.clone(); 10];
        users[..gaining].fill(mixed.clone());
        match PaperFit::over(&users).unwrap().fusion(0.0) {
            Fusion::Weighted { alpha, .. } => alpha,
            other @ Fusion::Paper { .. } => panic!("{other:?}"),
        }
    };
    // Of ten users k gain d: the mean is kd/10, its standard error d/10 √(k(10 - k)/9). Three
    // are 3 against twice 1.53, four 4 against twice 1.63.
    assert!(alpha(3).abs() < 1e-6);
    assert!(alpha(4) > 0.0 && alpha(4) < 1.0, "{}", alpha(4));
}

#[test]
fn the_evidence_of_a_pool_is_that_of_the_session() {
    let trigger =
        Trigger::Uplift { threshold: 0.0, model: tandem_collaboration::UpliftModel::default() };
    let mut parts = Parts::new(trigger);
    // The pool is the whole catalogue of 12 items: a list of five and the device's own finds.
    parts.search(100);
    let users = run_with_lists(&parts, false, 5);
    let fusion = parts.device().settings.fusion;
    for user in &users {
        let known = user.evidence.as_ref().unwrap();
        let (now, pool) = user.stale.comparison(&fusion).unwrap().unwrap();
        assert_eq!((now, pool), (known.observed.now, known.observed.pool));
        let (baseline, _) = known.when_new.comparison(&fusion).unwrap().unwrap();
        assert_eq!(baseline, known.observed.baseline);
    }
    // A device whose policy does not use the rule has no evidence.
    assert!(run(&Parts::new(Trigger::Never), false).iter().all(|user| user.evidence.is_none()));
}
