//! The weights of ranking signals, fitted on validation targets.

use rayon::prelude::*;
use tandem_dataset::ItemIndex;

/// The largest weight that is tried.
pub const MAX_WEIGHT: f32 = 8.0;
/// Weights that are tried for each signal but the first, whose weight is 1.
const WEIGHTS: [f32; 18] = [
    0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6,
    MAX_WEIGHT,
];
/// Rounds over all signals; the weights rarely change after the second.
const ROUNDS: usize = 4;
/// Cut-off of the NDCG that is maximised.
const CUTOFF: usize = 10;

/// The signals of one validation target.
#[derive(Clone, Debug)]
pub struct SignalSample {
    /// Scores of all items for each signal, `[signals][items]`, standardised over the catalogue.
    pub signals: Vec<Vec<f32>>,
    /// The item that was chosen.
    pub target: ItemIndex,
    /// Items that are not ranked.
    pub removed: Vec<ItemIndex>,
}

/// Fitted weights.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedSignals {
    /// Weight of each signal; that of the first is 1.
    pub weights: Vec<f32>,
    /// Factor of the weighted sum that minimises the negative log-likelihood of the targets
    /// under a softmax over the ranked items.
    pub temperature: f32,
    /// NDCG@10 of the first signal alone on the samples.
    pub first_ndcg: f64,
    /// NDCG@10 of the weighted sum on the samples.
    pub ndcg: f64,
    /// Mean negative log-likelihood of the targets, in nats.
    pub loss: f64,
}

/// Maximises NDCG@10 over the weights, one signal after the other (coordinate ascent), then fits
/// the temperature. `None` without samples.
#[must_use]
pub fn fit_signals(samples: &[SignalSample]) -> Option<FittedSignals> {
    let count = samples.first()?.signals.len();
    let mut weights = vec![0.0; count];
    *weights.first_mut()? = 1.0;
    let first_ndcg = ndcg(samples, &weights);
    let mut best = first_ndcg;
    for _ in 0..ROUNDS {
        let before = weights.clone();
        for signal in 1..count {
            for weight in WEIGHTS {
                let mut tried = weights.clone();
                tried[signal] = weight;
                let found = ndcg(samples, &tried);
                // Of equal ones the smaller weight stays.
                let is_smaller = weight < weights[signal];
                if found > best || found >= best && is_smaller {
                    (best, weights) = (found, tried);
                }
            }
        }
        if weights == before {
            break;
        }
    }
    let temperature = minimise(|log| loss(samples, &weights, log.exp() as f32)).exp() as f32;
    let loss = loss(samples, &weights, temperature);
    Some(FittedSignals { weights, temperature, first_ndcg, ndcg: best, loss })
}

impl SignalSample {
    /// The weighted sum for each item; removed items get −∞.
    fn scores(&self, weights: &[f32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.signals.first().map_or(0, Vec::len)];
        for (signal, &weight) in self.signals.iter().zip(weights) {
            if weight != 0.0 {
                scores.iter_mut().zip(signal).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        for item in &self.removed {
            scores[item.position()] = f32::NEG_INFINITY;
        }
        scores
    }

    /// The number of items that rank before the target.
    fn rank(&self, weights: &[f32]) -> Option<usize> {
        let scores = self.scores(weights);
        let at = self.target.position();
        let target = scores[at];
        if !target.is_finite() {
            return None;
        }
        let before = scores[..at].iter().filter(|score| **score >= target).count();
        Some(before + scores[at + 1..].iter().filter(|score| **score > target).count())
    }

    fn loss(&self, weights: &[f32], temperature: f32) -> Option<f64> {
        let scores = self.scores(weights);
        let target = scores[self.target.position()];
        if !target.is_finite() {
            return None;
        }
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 =
            scores.iter().map(|score| f64::from((temperature * (score - best)).exp())).sum();
        Some(sum.ln() - f64::from(temperature * (target - best)))
    }
}

fn ndcg(samples: &[SignalSample], weights: &[f32]) -> f64 {
    let gain = |sample: &SignalSample| match sample.rank(weights) {
        Some(rank) if rank < CUTOFF => 1.0 / ((rank + 2) as f64).log2(),
        _ => 0.0,
    };
    // In the order of the samples, so that the sum is the same on any number of threads.
    let gains: Vec<f64> = samples.par_iter().map(gain).collect();
    gains.iter().sum::<f64>() / samples.len() as f64
}

fn loss(samples: &[SignalSample], weights: &[f32], temperature: f32) -> f64 {
    let losses: Vec<f64> =
        samples.par_iter().filter_map(|sample| sample.loss(weights, temperature)).collect();
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

/// The minimum of a function with one valley, by golden-section search over logarithms from
/// 0.02 to 50.
fn minimise(of: impl Fn(f64) -> f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_895;
    let (mut low, mut high) = (0.02_f64.ln(), 50.0_f64.ln());
    let inner = |low: f64, high: f64| (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut left, mut right) = inner(low, high);
    let (mut of_left, mut of_right) = (of(left), of(right));
    for _ in 0..16 {
        if of_left < of_right {
            (high, right, of_right) = (right, left, of_left);
            left = inner(low, high).0;
            of_left = of(left);
        } else {
            (low, left, of_left) = (left, right, of_right);
            right = inner(low, high).1;
            of_right = of(right);
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 items; the second signal names the target, the first is misleading for half of the
    /// users.
    fn samples() -> Vec<SignalSample> {
        (0..40_u32)
            .map(|user| {
                let target = user % 30;
                let signal = |peak: u32, height: f32| {
                    (0..30).map(|item| if item == peak { height } else { 0.0 }).collect()
                };
                let misled = (target + 7) % 30;
                let first = signal(if user % 2 == 0 { target } else { misled }, 5.0);
                let noise = (0..30).map(|item| ((item * 7 + user) % 11) as f32 * 0.2).collect();
                SignalSample {
                    signals: vec![first, signal(target, 5.0), noise],
                    target: ItemIndex(target),
                    removed: vec![ItemIndex((target + 1) % 30)],
                }
            })
            .collect()
    }

    #[test]
    fn a_useful_signal_gets_weight_and_noise_none() {
        let fitted = fit_signals(&samples()).unwrap();
        assert!(fitted.first_ndcg < 0.8 && fitted.ndcg > 0.99, "{fitted:?}");
        assert!(fitted.weights[1] >= 0.8 && fitted.weights[2] == 0.0, "{fitted:?}");
        assert!(fit_signals(&[]).is_none());
    }

    #[test]
    fn the_temperature_minimises_the_loss() {
        // Two items; the better one is chosen by three of four users: the odds are e^T = 3.
        let sample = |target| SignalSample {
            signals: vec![vec![1.0, 0.0]],
            target: ItemIndex(target),
            removed: Vec::new(),
        };
        let samples = [0, 0, 0, 1].map(sample);
        let fitted = fit_signals(&samples).unwrap();
        assert!((fitted.temperature - 3.0_f32.ln()).abs() < 0.02, "{fitted:?}");
        let entropy = -(0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln());
        assert!((fitted.loss - entropy).abs() < 1e-3);
    }

    #[test]
    fn a_removed_target_is_a_miss() {
        let sample = SignalSample {
            signals: vec![vec![1.0, 2.0]],
            target: ItemIndex(1),
            removed: vec![ItemIndex(1)],
        };
        assert_eq!(sample.rank(&[1.0]), None);
        assert!(fit_signals(&[sample]).unwrap().ndcg < 1e-9);
    }
}
