use super::*;

fn small_delta() -> PersonalDelta<u32> {
    let mut delta = PersonalDelta::new("base", 2, 1);
    delta.down = vec![1.0, 2.0]; // P, [2, 1]
    delta.up = vec![0.5, -1.0]; // Q, [1, 2]
    delta.steps = 1;
    delta
}

#[test]
fn the_adapter_adds_v_p_q() {
    let mut row = [3.0, 4.0];
    small_delta().adapt(&mut row);
    // v·P = 3 + 8 = 11; 11·Q = (5.5, -11).
    assert!((row[0] - 8.5).abs() < 1e-6 && (row[1] + 7.0).abs() < 1e-6, "{row:?}");
}

#[test]
fn a_new_delta_changes_nothing() {
    let delta = PersonalDelta::<u32>::new("base", 3, 2);
    let mut row = [1.0_f32, -2.0, 3.0];
    delta.apply_row(&7, &mut row);
    delta.adapt(&mut row);
    assert_eq!(row.map(f32::to_bits), [1.0_f32, -2.0, 3.0].map(f32::to_bits));
}

#[test]
fn a_gradient_step_updates_and_decays_all_parts() {
    let mut delta = small_delta();
    delta.rows.insert(5, vec![1.0, 1.0]);
    let gradient =
        Gradient { rows: vec![1.0, 0.0, 0.0, 2.0], down: vec![0.0, 1.0], up: vec![1.0, 0.0] };
    delta.apply_gradient(
        &[5, 9],
        &gradient,
        &LearningRates { rows: 0.1, adapter: 0.2, decay: 0.5 },
    );
    // Row 5: 0.95·1 − 0.1·(1, 0); row 9 is new: −0.1·(0, 2).
    assert_eq!(delta.row(&5).unwrap(), [0.95 - 0.1, 0.95]);
    assert_eq!(delta.row(&9).unwrap(), [0.0, -0.2]);
    // Q: 0.9·(0.5, −1) − 0.2·(1, 0); P: (1, 2) − 0.2·(0, 1).
    assert!((delta.up[0] - 0.25).abs() < 1e-6 && (delta.up[1] + 0.9).abs() < 1e-6);
    assert!((delta.down[1] - 1.8).abs() < 1e-6);
}

#[test]
fn a_large_gradient_is_clipped_over_all_its_parts() {
    let long = Gradient { rows: vec![3.0, 0.0], down: vec![0.0], up: vec![4.0] };
    let mut gradient = long.clone();
    gradient.clip_norm(6.0);
    assert_eq!(gradient, long);
    gradient.clip_norm(1.0);
    // The norm was 5.
    assert!((gradient.rows[0] - 0.6).abs() < 1e-6 && (gradient.up[0] - 0.8).abs() < 1e-6);
}

#[test]
fn deltas_of_other_weights_and_damaged_ones_are_refused() {
    let delta = small_delta();
    assert_eq!(delta.check("base", 2, 1), Ok(()));
    assert!(matches!(delta.check("other", 2, 1), Err(ModelError::ForeignBase { .. })));
    assert!(matches!(delta.check("base", 3, 1), Err(ModelError::Length { .. })));
    let mut damaged = small_delta();
    damaged.rows.insert(1, vec![f32::INFINITY, 0.0]);
    assert!(matches!(damaged.check("base", 2, 1), Err(ModelError::NotFinite { .. })));
    for (vector, length) in [(vec![0.5], true), (vec![f32::NAN, 0.0], false)] {
        let mut damaged = small_delta();
        damaged.preference.vector = vector;
        let error = damaged.check("base", 2, 1).unwrap_err();
        assert_eq!(matches!(error, ModelError::Length { .. }), length, "{error}");
        assert_eq!(matches!(error, ModelError::NotFinite { .. }), !length, "{error}");
    }
    let newer = PersonalDelta { version: DELTA_VERSION + 1, ..small_delta() };
    let error = newer.check("base", 2, 1).unwrap_err();
    assert_eq!(error, ModelError::Version { supported: 2, found: 3 });
}

#[test]
fn a_delta_of_the_first_version_is_read() {
    let json = r#"{"base":"base","dims":2,"rank":1,"steps":3,"rows":{"5":[1.0,0.0]},
        "down":[1.0,2.0],"up":[0.5,-1.0]}"#;
    let delta: PersonalDelta<String> = serde_json::from_str(json).unwrap();
    assert_eq!(delta.check("base", 2, 1), Ok(()));
    let mut scores = [3.0];
    delta.add_preference_logits(&[1.0, 1.0], &mut scores);
    assert!((scores[0] - 3.0_f32).abs() < 1e-9, "the first version had no preference");
}

#[test]
fn a_query_gives_the_scores_of_adapted_rows() {
    let mut delta = small_delta();
    delta.preference.vector = vec![1.0, 0.0];
    // q = (2, 2); Q·q = ½·2 − 2 = −1; q̃ = (2, 2) − (1, 2) = (1, 0).
    assert_eq!(delta.query(&[1.0, 2.0]), [1.0, 0.0]);
    // The row (3, 4) is adapted to (8.5, −7): (8.5 − 7)·2 = 3 = (1, 0)·(3, 4).
    let (mut row, mut scores) = ([3.0, 4.0], [0.0]);
    delta.adapt(&mut row);
    delta.add_preference_logits(&row, &mut scores);
    let score = dot(&[1.0, 2.0], &row) + scores[0];
    assert!((score - 3.0).abs() < 1e-6, "{score}");
}

#[test]
fn gradients_match_hand_computed_values() {
    let mut delta = small_delta();
    delta.preference.vector = vec![1.0, 0.0];
    let gradient = delta.gradient(&[1.0, 2.0], &[3.0, 4.0, 1.0, 0.0], &[-0.5, 0.5]);
    // q̃ = (1, 0) as above; m = ½·(1, 0) − ½·(3, 4) = (−1, −2); Q·q = −1; m·P = −5.
    assert_eq!(gradient.rows, [-0.5, 0.0, 0.5, 0.0]);
    assert_eq!(gradient.down, [1.0, 2.0]);
    assert_eq!(gradient.up, [-10.0, -10.0]);
    // Without an adapter, the gradient of a row is the user embedding times g.
    let plain = PersonalDelta::<u32>::new("base", 2, 0);
    let gradient = plain.gradient(&[1.0, 2.0], &[3.0, 4.0], &[0.5]);
    assert_eq!((gradient.rows, gradient.up), (vec![0.5, 1.0], vec![]));
}

#[test]
fn steps_are_reverted_newest_first() {
    let mut delta = small_delta();
    let untouched = delta.clone();
    let step = |delta: &mut PersonalDelta<u32>, keys: &[u32]| {
        let mut subset = delta.subset(keys);
        let rows = vec![1.0; keys.len() * 2];
        let gradient = Gradient { rows, down: vec![1.0, 1.0], up: vec![1.0, 1.0] };
        subset.apply_gradient(
            keys,
            &gradient,
            &LearningRates { rows: 0.1, adapter: 0.1, decay: 0.0 },
        );
        subset.count_step();
        delta.merge(subset)
    };
    let first = step(&mut delta, &[1, 2]);
    let between = delta.clone();
    let second = step(&mut delta, &[2, 3]);
    assert_eq!((delta.row_count(), delta.steps()), (3, 3));
    assert!(delta.row(&2).unwrap()[0] < between.row(&2).unwrap()[0]);
    delta.revert(second);
    assert_eq!(delta, between);
    delta.revert(first);
    assert_eq!(delta, untouched);
}

#[test]
fn the_smallest_row_deltas_are_dropped_above_the_limit_and_restored_by_undo() {
    let mut delta = small_delta();
    let limit = MAX_ROW_DELTAS as u32;
    delta.rows = (0..limit).map(|key| (key, vec![key as f32 + 1.0, 0.0])).collect();
    let before = delta.clone();
    let mut subset = delta.subset(&[limit]);
    subset.rows.insert(limit, vec![0.5, 0.5]);
    let undo = delta.merge(subset);
    assert_eq!(delta.row_count(), MAX_ROW_DELTAS * 3 / 4);
    assert!(delta.row(&limit).is_none(), "the new one has the smallest norm");
    assert!(delta.row(&(limit - 1)).is_some() && delta.row(&0).is_none());
    delta.revert(undo);
    assert_eq!(delta, before);
}
