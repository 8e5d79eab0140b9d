//! Decisions about a call, and the settings that they depend on.

use futures_lite::future::block_on;
use tandem_collaboration::{
    Action, BucketLimits, CallShare, Fusion, LanguageModelScore, NextCall, Normalisation, Policy,
    Reason, Trigger, UpliftModel,
};
use tandem_model::{LearningConfig, ModelError};
use tandem_protocol::{CandidatesResponse, Ranking};
use tandem_session::{
    Calibration, Connection, Ranked, RestoreOutcome, RowStore, Session, SessionError, Settings,
};

use crate::support::{
    DIMS, click, give, give_all, id, response, scorer, session, session_on, session_with, settings,
    track, whole_rows, wire,
};

#[test]
fn a_list_by_popularity_is_replaced_by_a_personal_one() {
    let mut session = session();
    let (_, ticket) = session.begin_request(None, 0.0);
    let popular = CandidatesResponse { ranking: Ranking::Popularity, ..response(0..30) };
    session.accept(ticket, popular, 0.0).unwrap();
    let decide = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 1.0).reason
    };
    assert_eq!(decide(&session), Reason::ListUpToDate);
    session.track(&click(4));
    assert_eq!(decide(&session), Reason::ListNotPersonal);
}

#[test]
fn the_decision_follows_the_disagreement() {
    let decide = |threshold: f32| {
        let policy = Policy { threshold, ..Policy::default() };
        let mut session = session_with(Settings { policy, ..settings() });
        give(&mut session, 0..30, 0.0);
        session.track(&click(4));
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 1.0)
    };
    let (never, always) = (decide(1.0), decide(0.0));
    assert!(matches!(never.reason, Reason::RankingsAgree { .. }));
    assert!(matches!(always.reason, Reason::RankingsDisagree { .. }));
    assert_eq!((never.action, always.action), (Action::Keep, Action::Request));
}

pub(crate) fn learnt_rule(threshold: f32) -> Settings {
    // Only the margin of other items counts, less the margin when the list was new.
    let model = UpliftModel { margin: 1.0, margin_baseline: -1.0, ..UpliftModel::default() };
    let policy = Policy { trigger: Trigger::Uplift { threshold, model }, ..Policy::default() };
    Settings { policy, ..settings() }
}

#[test]
fn a_learnt_rule_compares_the_list_with_other_items() {
    let mut session = session_with(learnt_rule(0.0));
    session.prepend_history([id(39)]);
    give(&mut session, 0..30, 0.0);
    let new = block_on(session.rank()).unwrap();
    session.record_shown(&new);
    let list_advantage = new.list_advantage.unwrap();
    // The nine items outside that are not in the history, against the list's best ten.
    let best = |ranked: &Ranked| -> f32 {
        let mut scores: Vec<f32> =
            ranked.items.iter().map(|item| item.srm_score.unwrap()).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.iter().take(10).sum::<f32>() / 10.0
    };
    let mut outside = session_with(settings());
    outside.prepend_history([id(39)]);
    give(&mut outside, 30..39, 0.0);
    let others = block_on(outside.rank()).unwrap();
    let mean = others.items.iter().map(|item| item.srm_score.unwrap()).sum::<f32>() / 9.0;
    let margin = mean - best(&new);
    assert!((list_advantage.margin - margin).abs() < 1e-4, "{list_advantage:?} is not {margin}");

    session.track(&click(4));
    session.track(&click(39));
    let ranked = block_on(session.rank()).unwrap();
    let evidence = session.uplift_evidence(&ranked).unwrap();
    assert_eq!((evidence.clicks_since, evidence.missed), (2, 1), "39 was not in the list");
    assert_eq!((evidence.baseline, Some(evidence.now)), (list_advantage, ranked.list_advantage));
    let Trigger::Uplift { model, threshold } = learnt_rule(0.0).policy.trigger else {
        unreachable!("the rule is learnt");
    };
    let gain = model.predict(&evidence);
    assert!((gain - (evidence.now.margin - list_advantage.margin)).abs() < 1e-5);
    let expected = if gain > threshold {
        (Action::Request, Reason::FreshListHelps { gain, threshold })
    } else {
        (Action::Keep, Reason::FreshListHelpsLittle { gain, threshold })
    };
    let decision = session.decide(&ranked, Connection::default(), 1.0);
    assert_eq!((decision.action, decision.reason), expected);

    // A reload does not take the aged list for a new one.
    let mut other = session_with(learnt_rule(0.0));
    other.import(&session.export().unwrap(), 0.0).unwrap();
    let again = block_on(other.rank()).unwrap();
    assert_eq!(other.uplift_evidence(&again).unwrap().baseline, list_advantage);
}

#[test]
fn only_items_that_may_be_recommended_are_compared_with_the_list() {
    let advantage = |settings: Settings, change: &dyn Fn(&mut Session)| {
        let mut session = session_with(settings);
        session.prepend_history([id(39)]);
        give(&mut session, 0..30, 0.0);
        change(&mut session);
        block_on(session.rank()).unwrap().list_advantage.unwrap()
    };
    let all = advantage(learnt_rule(0.0), &|_| ());
    let mut outside = session_with(settings());
    outside.prepend_history([id(39)]);
    give(&mut outside, 30..39, 0.0);
    let others = block_on(outside.rank()).unwrap();
    let best = &others.items.iter().find(|item| item.srm_rank == 0).unwrap().item;
    let without_best = advantage(learnt_rule(0.0), &|session| {
        session.set_excluded([best.clone()].into(), false);
    });
    assert!(without_best.margin < all.margin && without_best.log_odds < all.log_odds);
    // Where things are bought again, an item of the history counts as well.
    let repeats = advantage(Settings { repeats: true, ..learnt_rule(0.0) }, &|_| ());
    assert!(repeats.log_odds > all.log_odds);
}

#[test]
fn a_learnt_rule_without_other_items_compares_the_orders() {
    let mut thin = Session::new(scorer(), RowStore::new(DIMS), learnt_rule(-10.0)).unwrap();
    thin.track(&click(4));
    let (_, ticket) = thin.begin_request(None, 0.0);
    let mut sent = response(10..30);
    for (candidate, item) in sent.candidates.iter_mut().zip(10..30) {
        candidate.row = Some(wire(item).row);
    }
    sent.history_rows = vec![wire(4)];
    thin.accept(ticket, sent, 0.0).unwrap();
    thin.track(&click(12));
    let ranked = block_on(thin.rank()).unwrap();
    assert_eq!(ranked.list_advantage, None, "only the list and the history are known");
    let reason = thin.decide(&ranked, Connection::default(), 1.0).reason;
    assert!(
        matches!(reason, Reason::RankingsAgree { .. } | Reason::RankingsDisagree { .. }),
        "{reason}"
    );
    // Without the rule nobody pays for the comparison.
    let mut plain = session();
    give(&mut plain, 0..30, 0.0);
    plain.track(&click(4));
    assert_eq!(block_on(plain.rank()).unwrap().list_advantage, None);
}

#[test]
fn settings_out_of_range_are_refused() {
    let policy = Policy { trigger: Trigger::EveryKthClick { k: 0 }, ..Policy::default() };
    let bad = Session::new(scorer(), whole_rows(), Settings { policy, ..settings() });
    assert!(matches!(bad, Err(SessionError::Collaboration(_))));
    let narrow = Session::new(scorer(), RowStore::new(4), settings());
    assert!(matches!(narrow, Err(SessionError::Model(ModelError::Length { .. }))));
}

#[test]
fn learning_settings_out_of_range_are_refused() {
    let learning = LearningConfig { preference_decay: 2.0, ..LearningConfig::default() };
    let bad = Session::new(scorer(), whole_rows(), Settings { learning, ..settings() });
    assert!(matches!(bad, Err(SessionError::Model(ModelError::Config(_)))));
}

fn small_model_only() -> Fusion {
    Fusion::weighted(0.0, LanguageModelScore::Rank, Normalisation::MinMax)
}

#[test]
fn a_list_is_used_with_the_calibration_of_its_language_model() {
    let mut session = session_on("base");
    let policy = Policy { threshold: 0.9, ..Policy::default() };
    let calibration =
        Calibration { name: "large".into(), sha256: None, fusion: small_model_only(), policy };
    session.calibrate(vec![calibration]).unwrap();
    track(&mut session, 1);

    give_all(&mut session, "small", false);
    let ranked = block_on(session.rank()).unwrap();
    let by_default = session.decide(&ranked, Connection::default(), 0.0).threshold;
    assert!((by_default - Policy::default().threshold).abs() < f32::EPSILON);
    assert!(ranked.items.iter().enumerate().any(|(rank, item)| item.srm_rank != rank));

    give_all(&mut session, "large", false);
    let ranked = block_on(session.rank()).unwrap();
    let calibrated = session.decide(&ranked, Connection::default(), 0.0).threshold;
    assert!((calibrated - 0.9).abs() < f32::EPSILON);
    assert!(ranked.items.iter().enumerate().all(|(rank, item)| item.srm_rank == rank));
}

#[test]
fn a_calibration_out_of_range_is_refused() {
    let policy = Policy { threshold: 2.0, ..Policy::default() };
    let fusion = Fusion::default();
    let bad = Calibration { name: "large".into(), sha256: None, fusion, policy };
    let refused = session_on("base").calibrate(vec![bad]);
    assert!(matches!(refused, Err(SessionError::Collaboration(_))));
}

#[test]
fn the_devices_budget_applies_to_the_lists_of_every_language_model() {
    let policy = Policy { bucket: None, threshold: 0.0, ..Policy::default() };
    let mut session = session_with(Settings { policy, ..settings() });
    let calibration =
        Calibration { name: "tiny".into(), sha256: None, fusion: Fusion::default(), policy };
    session.calibrate(vec![calibration]).unwrap();
    session.set_call_budget(BucketLimits { capacity: 2, refill_per_minute: 0.0 }).unwrap();
    let decide = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 0.0).reason
    };
    give(&mut session, 0..30, 0.0);
    track(&mut session, 4);
    assert!(matches!(decide(&session), Reason::RankingsDisagree { .. }));
    give(&mut session, 0..30, 0.0);
    track(&mut session, 5);
    assert_eq!(decide(&session), Reason::BudgetSpent { next: NextCall::Never });

    let bad = session.set_call_budget(BucketLimits { capacity: 0, refill_per_minute: 1.0 });
    assert!(matches!(bad, Err(SessionError::Collaboration(_))));
    assert_eq!(decide(&session), Reason::BudgetSpent { next: NextCall::Never });
}

#[test]
fn spent_calls_stay_spent_when_a_session_is_restored_into_another_model() {
    let max_call_share = Some(CallShare::new(0.1).unwrap());
    let policy = Policy { max_call_share, threshold: 0.0, ..Policy::default() };
    let of_model = |base: &str| session_with(Settings { policy, base: base.into(), ..settings() });
    let mut old = of_model("old");
    for item in 0..10 {
        give(&mut old, 0..30, 0.0);
        track(&mut old, item);
    }
    let mut new = of_model("new");
    assert_eq!(new.restore(&old.export().unwrap(), 0.0).unwrap(), RestoreOutcome::History);
    assert_eq!((new.clicks(), new.calls()), (10, 10));
    // Without a list there is nothing to show: the first one is free, as in every session.
    let decide = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        session.decide(&ranked, Connection::default(), 0.0).reason
    };
    assert_eq!(decide(&new), Reason::NoCandidates);
    give(&mut new, 0..30, 0.0);
    track(&mut new, 12);
    // 11 calls are allowed after 100 clicks, 12 after 110.
    assert_eq!(decide(&new), Reason::BudgetSpent { next: NextCall::AfterClicks(99) });
}
