use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;

/// How long lists wait for a language model, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Waiting {
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 99 of 100 wait at most so long.
    pub p99_ms: f64,
    /// Share of the time in which a replica's model is busy.
    pub busy: f64,
}

/// Simulates the queues of `replicas` language models: lists arrive at random times (Poisson) at
/// `lists_per_s`, the balancer gives each to the replica with fewer waiting lists of two that it draws
/// (Mitzenmacher, "The power of two choices in randomized load balancing", 2001), and each list takes
/// `list_ms` milliseconds. `lists` lists are simulated after a tenth as many that are not measured.
///
/// With one replica this is the queue M/D/1, whose mean waiting time is known:
/// `ρ / (2 (1 − ρ)) · list_ms`.
///
/// The result means nothing if the replicas are slower than the arrivals: the queue then grows with
/// `lists`.
///
/// # Panics
/// If there is no replica, no list or no arrival.
#[must_use]
pub fn simulate_waiting(
    lists_per_s: f64,
    list_ms: f64,
    replicas: usize,
    lists: usize,
    seed: u64,
) -> Waiting {
    assert!(replicas > 0 && lists > 0 && lists_per_s > 0.0, "there is nothing to simulate");
    let mut random = StdRng::seed_from_u64(seed);
    // When each replica has done what it has got. With a constant time of a list, the one that is
    // done first is the one with fewer waiting lists.
    let mut done_ms = vec![0.0_f64; replicas];
    let warm_up = lists / 10;
    let (mut now_ms, mut measured_from, mut busy_ms) = (0.0, 0.0, 0.0);
    let mut waits = Vec::with_capacity(lists);
    for at in 0..warm_up + lists {
        // The uniform number is below 1, so the logarithm is finite.
        now_ms += -f64::ln_1p(-random.random::<f64>()) / lists_per_s * 1e3;
        let (first, second) = (random.random_range(0..replicas), random.random_range(0..replicas));
        let chosen = if done_ms[second] < done_ms[first] { second } else { first };
        let start = done_ms[chosen].max(now_ms);
        done_ms[chosen] = start + list_ms;
        if at == warm_up {
            measured_from = now_ms;
        }
        if at >= warm_up {
            waits.push(start - now_ms);
            busy_ms += list_ms;
        }
    }
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    let elapsed = (now_ms - measured_from).max(list_ms);
    Waiting {
        mean_ms: waits.iter().sum::<f64>() / waits.len() as f64,
        p50_ms: at(50),
        p99_ms: at(99),
        busy: (busy_ms / elapsed / replicas as f64).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replica_waits_as_the_formula_says() {
        // ρ = 0.5: 0.5 / (2 · 0.5) = 0.5 of a list; ρ = 0.8: 0.8 / (2 · 0.2) = 2 lists.
        for (lists_per_s, expected_ms) in [(500.0, 0.5), (800.0, 2.0)] {
            let waiting = simulate_waiting(lists_per_s, 1.0, 1, 400_000, 7);
            assert!((waiting.mean_ms / expected_ms - 1.0).abs() < 0.05, "{waiting:?}");
            assert!((waiting.busy - lists_per_s / 1e3).abs() < 0.01, "{waiting:?}");
        }
    }

    #[test]
    fn more_replicas_at_the_same_load_of_each_wait_less() {
        let one = simulate_waiting(800.0, 1.0, 1, 100_000, 7);
        let ten = simulate_waiting(8000.0, 1.0, 10, 100_000, 7);
        assert!(ten.p99_ms < one.p99_ms / 2.0, "{one:?} {ten:?}");
    }

    #[test]
    fn nobody_waits_for_an_idle_model() {
        let waiting = simulate_waiting(0.001, 1.0, 3, 1000, 7);
        assert_eq!((waiting.p50_ms, waiting.p99_ms), (0.0, 0.0));
    }
}
