//! Cooperative training: ranking the next item above a language model's list.

use tandem_model::ModelError;
use tandem_protocol::ModelKind;
use tandem_training::{ListExample, ListLoss, ListObjective, Rates, TrainingConfig};

use super::{KINDS, config, trainer, usual_training};

/// Log-probabilities of lists whose order does not matter.
const EVEN: [f32; 12] = [-1.0; 12];
const RATES: Rates = Rates { network: 0.01, rows: 0.01 };
/// The losses that rank this many items.
fn losses(ranked: usize) -> [ListLoss; 2] {
    [ListLoss::BinaryCrossEntropy { ranked }, ListLoss::Softmax { ranked }]
}

/// After each item of a ring of 12 the next, which the list holds in the middle or not at
/// all.
fn example(start: u32) -> (Vec<u32>, Vec<u32>, u32) {
    let at = |step: u32| (start + step) % 12;
    let list = if start.is_multiple_of(2) { vec![at(5), at(3), at(7)] } else { vec![at(7), at(9)] };
    ((0..3).map(at).collect(), list, at(3))
}

#[test]
fn the_target_rises_above_the_list() {
    let examples: Vec<_> = (0..12).map(example).collect();
    for kind in KINDS {
        for loss in losses(8) {
            let objective = ListObjective { loss, weight: 1.0 };
            let mut trainer = trainer(&config(kind, 16, 1, 2), 12, usual_training(kind, 1));
            let batch: Vec<ListExample<'_>> = examples
                .iter()
                .map(|(history, list, target)| ListExample {
                    history,
                    list,
                    logprobs: &EVEN[..list.len()],
                    target: *target,
                })
                .collect();
            for _ in 0..150 {
                trainer.step_lists(&batch, objective, RATES).unwrap();
            }
            for (history, list, target) in &examples {
                let scores = &trainer.score(&[history]).unwrap()[0];
                let score = |item: &u32| scores[*item as usize];
                let above = list.iter().filter(|item| *item != target);
                assert!(
                    above.clone().all(|item| score(item) < score(target)),
                    "{kind:?} {loss:?} {history:?}: {scores:?}"
                );
            }
        }
    }
}

#[test]
fn the_loss_is_that_of_the_scores() {
    // The list is everything but the target, so that nothing is left to chance.
    let (history, list): (&[u32], Vec<u32>) = (&[4, 2], (0..9).filter(|i| *i != 3).collect());
    let example = ListExample { history, list: &list, logprobs: &EVEN[..8], target: 3 };
    for kind in KINDS {
        for (loss, untied) in losses(9).into_iter().flat_map(|loss| [(loss, false), (loss, true)]) {
            let training = TrainingConfig { untied, row_std: 0.5, ..usual_training(kind, 3) };
            let mut trainer = trainer(&config(kind, 8, 1, 2), 9, training);
            let scores: Vec<f64> = trainer.score(&[history]).unwrap()[0]
                .iter()
                .map(|&score| f64::from(score))
                .collect();
            let expected = if let ListLoss::Softmax { .. } = loss {
                scores.iter().map(|score| score.exp()).sum::<f64>().ln() - scores[3]
            } else {
                let softplus = |x: f64| (1.0 + x.exp()).ln();
                let others = (0..9).filter(|item| *item != 3).map(|item| softplus(scores[item]));
                (softplus(-scores[3]) + others.sum::<f64>()) / 9.0
            };
            let objective = ListObjective { loss, weight: 2.0 };
            let found = f64::from(trainer.step_lists(&[example], objective, RATES).unwrap());
            assert!((found - expected).abs() < 1e-4, "{kind:?} {loss:?}: {found} {expected}");
        }
    }
}

#[test]
fn lists_that_rank_nothing_are_refused() {
    let mut trainer =
        trainer(&config(ModelKind::Sasrec, 8, 1, 2), 9, usual_training(ModelKind::Sasrec, 3));
    let example = ListExample { history: &[1], list: &[], logprobs: &[], target: 3 };
    let objective = ListObjective { loss: ListLoss::Softmax { ranked: 9 }, weight: 1.0 };
    let mut refused =
        |examples: &[ListExample<'_>], objective| trainer.step_lists(examples, objective, RATES);
    assert!(matches!(refused(&[], objective), Err(ModelError::Empty(_))));
    let nothing_before = ListExample { history: &[], ..example };
    assert!(matches!(refused(&[nothing_before], objective), Err(ModelError::Empty(_))));
    let alone = ListObjective { loss: ListLoss::Softmax { ranked: 1 }, ..objective };
    assert!(matches!(refused(&[example], alone), Err(ModelError::Config(_))));
    assert!(refused(&[example], objective).unwrap().is_finite(), "an empty list is accepted");
}

#[test]
fn distillation_teaches_the_probabilities_of_the_list() {
    // After item 1 the list says 2 with 0.7 and 5 with 0.3; the next item was 8.
    let logprobs = [0.7_f32.ln(), 0.3_f32.ln()];
    let example = ListExample { history: &[1], list: &[2, 5], logprobs: &logprobs, target: 8 };
    for kind in [ModelKind::Sasrec, ModelKind::Gru4rec] {
        let mut trainer = trainer(&config(kind, 16, 1, 2), 12, usual_training(kind, 1));
        let loss = ListLoss::Distillation { teacher: 0.9 };
        let objective = ListObjective { loss, weight: 1.0 };
        for _ in 0..400 {
            trainer.step_lists(&[example], objective, RATES).unwrap();
        }
        let scores = &trainer.score(&[&[1]]).unwrap()[0];
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        for (item, expected) in [(2, 0.63), (5, 0.27), (8, 0.1), (3, 0.0)] {
            let found = scores[item].exp() / sum;
            assert!((found - expected).abs() < 0.03, "{kind:?} {item}: {found} is not {expected}");
        }
    }
    let mut din = trainer(&config(ModelKind::Din, 8, 1, 1), 12, usual_training(ModelKind::Din, 1));
    let loss = ListLoss::Distillation { teacher: 0.9 };
    let refused = din.step_lists(&[example], ListObjective { loss, weight: 1.0 }, RATES);
    assert!(matches!(refused, Err(ModelError::Config(_))));
}

#[test]
fn a_list_needs_a_log_probability_for_each_item() {
    let mut trainer =
        trainer(&config(ModelKind::Sasrec, 8, 1, 2), 9, usual_training(ModelKind::Sasrec, 3));
    let example = ListExample { history: &[1], list: &[2, 5], logprobs: &[-1.0], target: 3 };
    let loss = ListLoss::Distillation { teacher: 0.5 };
    let refused = trainer.step_lists(&[example], ListObjective { loss, weight: 1.0 }, RATES);
    assert!(matches!(refused, Err(ModelError::Length { expected: 2, found: 1, .. })));
}
