use rand::{Rng, RngExt};

/// What is known of a generator when one is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// It was ready when it was last looked at, and has not failed since.
    pub(super) is_available: bool,
    /// Expected time until it would answer another request: requests that it is answering, and
    /// this one, times its recent time of a request.
    pub(super) expected_ms: f64,
}

/// Chooses a generator that is not in `tried`: of two that are drawn at random, the one that is
/// expected to answer sooner. Generators that are not available are chosen only if no other is left.
/// `None` if all were tried.
///
/// Two random choices suffice for an even load (Mitzenmacher, "The power of two choices in
/// randomized load balancing", 2001), and unlike the least loaded of all they do not send the
/// requests of all servers to the same generator at once.
pub(super) fn choose(loads: &[Load], tried: &[usize], random: &mut impl Rng) -> Option<usize> {
    let untried = (0..loads.len()).filter(|at| !tried.contains(at));
    let (available, others): (Vec<_>, Vec<_>) = untried.partition(|&at| loads[at].is_available);
    let among = if available.is_empty() { others } else { available };
    if among.is_empty() {
        return None;
    }
    let first = random.random_range(0..among.len());
    if among.len() == 1 {
        return Some(among[0]);
    }
    // Another one than the first.
    let second = (first + random.random_range(1..among.len())) % among.len();
    let (first, second) = (among[first], among[second]);
    Some(if loads[second].expected_ms < loads[first].expected_ms { second } else { first })
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn load(is_available: bool, expected_ms: f64) -> Load {
        Load { is_available, expected_ms }
    }

    #[test]
    fn the_sooner_of_two_is_chosen_and_the_slowest_of_all_never() {
        let loads = [load(true, 5.0), load(true, 1.0), load(true, 9.0)];
        let mut random = StdRng::seed_from_u64(7);
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[choose(&loads, &[], &mut random).unwrap()] += 1;
        }
        // Pairs are equally likely: {0, 1} and {1, 2} give 1, {0, 2} gives 0.
        assert_eq!(counts[2], 0);
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn what_is_not_available_is_the_last_resort() {
        let loads = [load(false, 0.0), load(true, 100.0), load(false, 0.0)];
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..100 {
            assert_eq!(choose(&loads, &[], &mut random), Some(1));
            assert_eq!(choose(&loads, &[1, 2], &mut random), Some(0));
        }
        assert_eq!(choose(&loads, &[0, 1, 2], &mut random), None);
        assert_eq!(choose(&[], &[], &mut random), None);
    }
}
