use proptest::prelude::*;

use super::*;
use crate::ListAdvantage;

/// A list that the two models disagree about by `disagreement`, three clicks later.
fn listed(disagreement: f32) -> Situation {
    Situation {
        list: Some(ListState {
            disagreement: Some(disagreement),
            uplift: None,
            age_ms: 1_000.0,
            clicks_since: 3,
            new_items_since: 2,
            unseen: 40,
            personal: true,
            device_search: false,
        }),
        clicks: 7,
        calls: 1,
        in_flight: false,
        offline: false,
        retry_in_ms: None,
        bucket_wait_ms: 0.0,
    }
}

fn with_list(change: impl FnOnce(&mut ListState)) -> Situation {
    let mut situation = listed(0.31);
    change(situation.list.as_mut().unwrap());
    situation
}

fn check(policy: &Policy, situation: &Situation, action: Action, code: &str, text: &str) {
    let decision = policy.decide(situation);
    let json = serde_json::to_value(decision).unwrap();
    assert_eq!(decision.action, action);
    assert_eq!((json["code"].as_str(), json["reason"].as_str()), (Some(code), Some(text)));
    assert_eq!(json["waitMs"].as_f64(), decision.reason.wait_ms());
}

fn policy() -> Policy {
    Policy { threshold: 0.62, ..Policy::default() }
}

#[test]
fn the_list_decides() {
    let p = policy();
    let none = Situation { list: None, ..listed(0.0) };
    check(&p, &none, Action::Request, "no_candidates", "no candidates yet");
    assert_eq!(p.decide(&none).disagreement, None);
    let text = "rankings disagree (0.71 > 0.62)";
    check(&p, &listed(0.71), Action::Request, "rankings_disagree", text);
    let text = "rankings agree (0.31 ≤ 0.62)";
    check(&p, &listed(0.31), Action::Keep, "rankings_agree", text);
    let used_up = with_list(|list| list.unseen = 3);
    check(&p, &used_up, Action::Request, "list_used_up", "list is used up (3 left)");
    let popular = with_list(|list| list.personal = false);
    let text = "the list is not personal yet";
    check(&p, &popular, Action::Request, "list_not_personal", text);
    let disliked = with_list(|list| (list.personal, list.new_items_since) = (false, 0));
    assert_eq!(p.decide(&disliked).action, Action::Keep, "a dislike says nothing to the cloud");
    let alone = with_list(|list| list.disagreement = None);
    let text = "the list cannot be compared yet";
    check(&p, &alone, Action::Keep, "nothing_to_compare", text);
    let popular_still = with_list(|list| (list.personal, list.clicks_since) = (false, 0));
    assert_eq!(p.decide(&popular_still).action, Action::Keep, "nothing is known yet");
    let old = with_list(|list| list.age_ms = 600_001.0);
    check(&p, &old, Action::Request, "list_too_old", "list is older than 10 min");
    let clicks = with_list(|list| list.clicks_since = 20);
    check(&p, &clicks, Action::Request, "many_clicks", "list is 20 clicks old");
    assert_eq!(p.decide(&listed(0.31)).disagreement, Some(0.31));
}

fn uplift(threshold: f32) -> Policy {
    let model = UpliftModel { intercept: 0.011, margin: 0.01, ..UpliftModel::default() };
    Policy { trigger: Trigger::Uplift { threshold, model }, ..policy() }
}

#[test]
fn an_expected_gain_decides() {
    let advantage = |margin| ListAdvantage { expected_gain: 0.0, margin, log_odds: 0.0 };
    let seen = |margin| {
        with_list(|list| {
            list.uplift = Some(UpliftEvidence {
                now: advantage(margin),
                baseline: advantage(0.0),
                disagreement: 0.31,
                clicks_since: 3,
                ..UpliftEvidence::default()
            });
        })
    };
    let text = "a fresh list is expected to help (gain 0.031 > 0.020)";
    check(&uplift(0.02), &seen(2.0), Action::Request, "fresh_list_helps", text);
    let text = "a fresh list is not expected to help (gain 0.011 ≤ 0.020)";
    check(&uplift(0.02), &seen(0.0), Action::Keep, "fresh_list_helps_little", text);
    let text = "a fresh list is expected to help (gain 0.03100 > 0.03090)";
    check(&uplift(0.0309), &seen(2.0), Action::Request, "fresh_list_helps", text);
    // Where nothing can be told, the orders decide.
    let text = "rankings disagree (0.71 > 0.62)";
    check(&uplift(0.02), &listed(0.71), Action::Request, "rankings_disagree", text);
}

#[test]
fn with_device_search_the_expected_gain_decides_whether_a_short_list_is_enough() {
    let state = |margin: Option<f32>| {
        with_list(|list| {
            list.device_search = true;
            list.uplift = margin.map(|margin| UpliftEvidence {
                now: ListAdvantage { margin, ..ListAdvantage::default() },
                ..UpliftEvidence::default()
            });
            (list.unseen, list.clicks_since) = (0, 19);
        })
    };
    let text = "a fresh list is not expected to help (gain 0.011 ≤ 0.020)";
    check(&uplift(0.02), &state(Some(0.0)), Action::Keep, "fresh_list_helps_little", text);
    let text = "a fresh list is expected to help (gain 0.031 > 0.020)";
    check(&uplift(0.02), &state(Some(2.0)), Action::Request, "fresh_list_helps", text);
    let mut old = state(Some(0.0));
    old.list.as_mut().unwrap().clicks_since = 20;
    check(&uplift(0.02), &old, Action::Request, "many_clicks", "list is 20 clicks old");
    let text = "list is used up (0 left)";
    check(&uplift(0.02), &state(None), Action::Request, "list_used_up", text);
    check(&policy(), &state(Some(0.0)), Action::Request, "list_used_up", text);
    let mut listed = state(Some(0.0));
    listed.list.as_mut().unwrap().device_search = false;
    check(&uplift(0.02), &listed, Action::Request, "list_used_up", text);
}

#[test]
fn the_threshold_itself_still_agrees() {
    let p = policy();
    check(&p, &listed(0.62), Action::Keep, "rankings_agree", "rankings agree (0.62 ≤ 0.62)");
    let text = "rankings disagree (0.6204 > 0.6200)";
    check(&p, &listed(0.6204), Action::Request, "rankings_disagree", text);
}

#[test]
fn a_list_to_which_nothing_was_added_is_not_asked_for_again() {
    let text = "list is up to date (no new clicks)";
    for trigger in [Trigger::Disagreement, Trigger::Always, Trigger::EveryKthClick { k: 1 }] {
        let policy = Policy { trigger, ..policy() };
        let fresh = with_list(|list| {
            list.clicks_since = 0;
            list.disagreement = Some(1.0);
            list.unseen = 0;
        });
        check(&policy, &fresh, Action::Keep, "list_up_to_date", text);
    }
}

#[test]
fn obstacles_hold_back_a_call_that_is_wanted() {
    let p = policy();
    let wanted = listed(0.9);
    let offline = Situation { offline: true, ..wanted };
    check(&p, &offline, Action::Keep, "offline", "offline");
    let busy = Situation { in_flight: true, ..wanted };
    check(&p, &busy, Action::Keep, "call_under_way", "a call is in progress");
    let failed = Situation { retry_in_ms: Some(7_400.0), ..wanted };
    let text = "last call failed (next try in 8 s)";
    check(&p, &failed, Action::Keep, "last_call_failed", text);
    let spent = Situation { bucket_wait_ms: 12_000.0, ..wanted };
    check(&p, &spent, Action::Keep, "budget_spent", "budget spent (next call in 12 s)");
    let dry = Situation { bucket_wait_ms: f64::INFINITY, ..wanted };
    let text = "budget spent (no more calls in this session)";
    check(&p, &dry, Action::Keep, "budget_spent", text);
}

#[test]
fn obstacles_are_silent_about_a_call_that_nobody_wants() {
    let situation =
        Situation { offline: true, retry_in_ms: Some(1.0), bucket_wait_ms: 1.0, ..listed(0.31) };
    let text = "rankings agree (0.31 ≤ 0.62)";
    check(&policy(), &situation, Action::Keep, "rankings_agree", text);
}

#[test]
fn a_share_of_interactions_limits_calls() {
    let share = Some(CallShare::new(0.1).unwrap());
    let policy = Policy { max_call_share: share, bucket: None, ..policy() };
    // One call so far, seven clicks: the second is earned by the tenth.
    let text = "budget spent (next call after 3 more clicks)";
    check(&policy, &listed(0.9), Action::Keep, "budget_spent", text);
    let earned = Situation { clicks: 10, ..listed(0.9) };
    assert_eq!(policy.decide(&earned).action, Action::Request);
}

#[test]
fn without_a_bucket_its_wait_is_not_asked_for() {
    let policy = Policy { bucket: None, ..policy() };
    let situation = Situation { bucket_wait_ms: f64::INFINITY, ..listed(0.9) };
    assert_eq!(policy.decide(&situation).action, Action::Request);
}

#[test]
fn baselines_call_when_it_is_their_turn() {
    let requests = |trigger, change: fn(&mut Situation)| {
        let mut situation = listed(0.9);
        change(&mut situation);
        Policy::bare(trigger).decide(&situation).action == Action::Request
    };
    assert!(!requests(Trigger::Never, |_| ()));
    assert!(requests(Trigger::Never, |s| s.list = None));
    assert!(requests(Trigger::Always, |_| ()));
    assert!(!requests(Trigger::EveryKthClick { k: 4 }, |_| ()));
    assert!(requests(Trigger::EveryKthClick { k: 4 }, |s| s.clicks = 8));
    assert!(requests(Trigger::NewItems { k: 2 }, |_| ()));
    assert!(!requests(Trigger::NewItems { k: 3 }, |_| ()));
}

#[test]
fn random_calls_keep_to_their_share_and_to_their_seed() {
    let calls = |seed| -> Vec<bool> {
        let policy = Policy::bare(Trigger::Random { share: 0.2, seed });
        (0..10_000)
            .map(|clicks| Situation { clicks, ..listed(0.0) })
            .map(|situation| policy.decide(&situation).action == Action::Request)
            .collect()
    };
    let count = calls(7).iter().filter(|&&called| called).count();
    // Four standard deviations of a binomial of 10,000 at 0.2.
    assert!((1_840..=2_160).contains(&count), "{count} calls");
    assert_eq!(calls(7), calls(7));
    assert_ne!(calls(7), calls(8));
}

#[test]
fn the_manifests_spelling() {
    let defaults: Policy = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, Policy::default());
    let json = r#"{"consistency":{"measure":"top_k_overlap","k":10},"threshold":0.5,
        "trigger":{"when":"every_kth_click","k":3},"max_age_ms":null,"max_call_share":0.05}"#;
    let policy: Policy = serde_json::from_str(json).unwrap();
    assert_eq!(policy.trigger, Trigger::EveryKthClick { k: 3 });
    assert_eq!(policy.max_age_ms, None);
    let learnt = r#"{"trigger":{"when":"uplift","threshold":0.02,"model":{"margin":0.5}}}"#;
    let learnt: Policy = serde_json::from_str(learnt).unwrap();
    let model = UpliftModel { margin: 0.5, ..UpliftModel::default() };
    assert_eq!(learnt.trigger, Trigger::Uplift { threshold: 0.02, model });
    let again: Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(again, policy);
}

#[test]
fn parameters_out_of_range_are_refused() {
    assert!(Policy::default().validate().is_ok());
    assert!(Policy::bare(Trigger::Never).validate().is_ok());
    for policy in [
        Policy { threshold: 1.5, ..Policy::default() },
        Policy { threshold: f32::NAN, ..Policy::default() },
        Policy { max_age_ms: Some(-1.0), ..Policy::default() },
        Policy { consistency: Consistency::TopKOverlap { k: 0 }, ..Policy::default() },
        Policy::bare(Trigger::Random { share: 2.0, seed: 0 }),
        Policy::bare(Trigger::EveryKthClick { k: 0 }),
        uplift(f32::NAN),
        Policy::bare(Trigger::Uplift {
            threshold: 0.0,
            model: UpliftModel { margin: f32::INFINITY, ..UpliftModel::default() },
        }),
        Policy {
            bucket: Some(BucketLimits { capacity: 0, refill_per_minute: 1.0 }),
            ..Policy::default()
        },
    ] {
        assert!(policy.validate().is_err(), "{policy:?}");
    }
}

#[test]
fn reasons_in_words() {
    for (reason, text) in [
        (Reason::ListTooOld { max_age_ms: 30_000.0 }, "list is older than 30 s"),
        (Reason::ListTooOld { max_age_ms: 7_200_000.0 }, "list is older than 2 h"),
        (Reason::ManyClicks { clicks: 1 }, "list is 1 click old"),
        (Reason::Scheduled, "a call is due"),
        (Reason::NotScheduled, "no call is due"),
    ] {
        assert_eq!(reason.to_string(), text);
    }
}

proptest! {
    #[test]
    fn more_disagreement_never_turns_a_request_into_a_keep(
        low in 0.0f32..=1.0, high in 0.0f32..=1.0, threshold in 0.0f32..=1.0,
    ) {
        let (low, high) = if low < high { (low, high) } else { (high, low) };
        let policy = Policy { threshold, ..Policy::default() };
        let requests = |d| policy.decide(&listed(d)).action == Action::Request;
        prop_assert!(!requests(low) || requests(high));
    }

    #[test]
    fn nothing_is_requested_against_an_obstacle(
        disagreement in 0.0f32..=1.0, obstacle in 0usize..4, listless in any::<bool>(),
    ) {
        let mut situation = listed(disagreement);
        if listless {
            situation.list = None;
        }
        match obstacle {
            0 => situation.offline = true,
            1 => situation.in_flight = true,
            2 => situation.retry_in_ms = Some(1.0),
            _ => situation.bucket_wait_ms = 1.0,
        }
        prop_assert_eq!(policy().decide(&situation).action, Action::Keep);
    }
}

#[test]
fn a_gain_that_rounds_to_zero_has_no_sign() {
    let reason = Reason::FreshListHelpsLittle { gain: -0.0001, threshold: 0.02 };
    assert_eq!(reason.to_string(), "a fresh list is not expected to help (gain 0.000 ≤ 0.020)");
}
