//! The time of day, which may jump: an administrator or NTP sets it.
//!
//! Deadlines, rates, ages of connections and waiting times use [`Instant`], which does not jump.
//! The time of day is for what outlives the process (events, retention) and for what people read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Notices that the time of day was set forward.
#[derive(Debug)]
pub(crate) struct JumpDetector {
    /// The last look, in both times.
    now: u64,
    steady: Instant,
}

impl JumpDetector {
    pub(crate) fn new() -> Self {
        Self { now: now(), steady: Instant::now() }
    }

    /// How far the time of day was set forward since the last look; zero if it was set back.
    pub(crate) fn look(&mut self) -> Duration {
        self.look_at(now(), Instant::now())
    }

    fn look_at(&mut self, now: u64, steady: Instant) -> Duration {
        let by_day = Duration::from_millis(now.saturating_sub(self.now));
        let passed = steady.saturating_duration_since(self.steady);
        *self = Self { now, steady };
        by_day.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn a_time_that_was_set_forward_is_noticed_once() {
        let steady = Instant::now();
        let mut detector = JumpDetector { now: 1_000_000, steady };
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert_eq!(detector.look_at(1_060_000, steady + minute), Duration::ZERO);
        assert_eq!(detector.look_at(1_120_000 + 3_600_000, steady + 2 * minute), hour);
        assert_eq!(detector.look_at(1_180_000 + 3_600_000, steady + 3 * minute), Duration::ZERO);
        // Set back.
        assert_eq!(detector.look_at(1_240_000, steady + 4 * minute), Duration::ZERO);
        assert_eq!(detector.look_at(1_300_000, steady + 5 * minute), Duration::ZERO);
    }

    /// Fails when another file uses the time of day: it must withstand that the time jumps.
    #[test]
    fn only_known_files_use_the_time_of_day() {
        let mut found = BTreeSet::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        collect(&source, &source, &mut found);
        let known = [
            // Times in the list of activations.
            "activations.rs",
            "follower.rs",
            // The admin page and its numbers by minute (see the test of `Minutes`).
            "metrics.rs",
            "recent/minutes.rs",
            "routes/admin.rs",
            // The day on which a key was made.
            "access/commands.rs",
            // Times that devices cannot mean (see its tests).
            "events/device_time.rs",
            // Ages of events (see the tests of `Trends` and `LiveCounts`).
            "live_counts.rs",
            "trends.rs",
            // Events that are removed by age (see `Maintenance`).
            "storage/maintenance.rs",
            // Whether a file has changed since it was verified.
            "artifacts/verified.rs",
            // The same since its entity tag was made.
            "content_tags.rs",
            // Folders that a killed server left are removed after a day, or later.
            "releases/upload.rs",
            // Times of spans and of lines of the log.
            "log_lines.rs",
            "request_log.rs",
            "traces/span.rs",
            "clock.rs",
        ];
        let known = known.map(str::to_owned);
        let unknown: Vec<_> = found.iter().filter(|file| !known.contains(file)).collect();
        assert!(unknown.is_empty(), "{unknown:?} use the time of day");
    }

    fn collect(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                if ["SystemTime", "clock::", "Timestamp::now"]
                    .iter()
                    .any(|use_| text.contains(use_))
                    && !text.contains("clock::{Clock, DefaultClock")
                {
                    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                    found.insert(name);
                }
            }
        }
    }
}
