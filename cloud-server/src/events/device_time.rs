//! Times of events, which devices report by their own clocks.

use crate::clock::now;

/// 2000-01-01: no device had an event before it. In milliseconds since 1970.
const EARLIEST: u64 = 946_684_800_000;
/// How far a device's clock may be ahead: a time zone taken for UTC, and some drift.
const AHEAD_MS: u64 = 24 * 60 * 60 * 1000;

/// The time of an event that a device reports as `at`, both in milliseconds since 1970. The time
/// of its arrival, if no device can have meant `at`: seconds instead of milliseconds, a clock that
/// was never set, or an invention. One such time would make an import refuse the log.
pub(crate) fn plausible(at: u64) -> u64 {
    plausible_at(at, now())
}

fn plausible_at(at: u64, arrival: u64) -> u64 {
    // The server's clock may be wrong, too: then every time is taken as it is.
    let is_plausible =
        at >= EARLIEST && (at <= arrival.saturating_add(AHEAD_MS) || arrival < EARLIEST);
    if is_plausible && i64::try_from(at).is_ok() { at } else { arrival.max(EARLIEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: u64 = 1_800_000_000_000;

    #[test]
    fn times_that_no_device_can_mean_are_those_of_the_arrival() {
        let day = AHEAD_MS;
        for at in [EARLIEST, ARRIVAL - 400 * day, ARRIVAL - 1, ARRIVAL, ARRIVAL + day] {
            assert_eq!(plausible_at(at, ARRIVAL), at);
        }
        let of_seconds = ARRIVAL / 1000;
        for at in [0, 1, of_seconds, ARRIVAL + day + 1, i64::MAX as u64, u64::MAX] {
            assert_eq!(plausible_at(at, ARRIVAL), ARRIVAL);
        }
    }

    #[test]
    fn a_server_without_a_clock_believes_the_devices() {
        assert_eq!(plausible_at(ARRIVAL, 5), ARRIVAL);
        assert_eq!(plausible_at(u64::MAX, 5), EARLIEST);
        assert_eq!(plausible_at(7, 5), EARLIEST);
    }
}
