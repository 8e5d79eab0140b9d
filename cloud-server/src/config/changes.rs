use super::Args;

/// The options that a running server reads again.
const READ_AGAIN: [&str; 6] =
    ["keys", "allow-origin", "trusted-proxy", "rate-requests", "rate-candidates", "rate-events"];

impl Args {
    /// Names of the options that have another value in `new` and need a restart.
    #[must_use]
    pub fn changed_options<'d>(&'d self, new: &Self) -> Vec<&'d str> {
        // Both have a line for every option, in the same order.
        let both = self.description.lines().zip(new.description.lines());
        let changed = both.filter(|(before, after)| value(before) != value(after));
        let names = changed.map(|(line, _)| {
            let line = line.trim_start_matches("# ");
            line.split_once(" = ").map_or(line, |(name, _)| name)
        });
        names.filter(|name| !READ_AGAIN.contains(name)).collect()
    }
}

/// A line of [`Args::describe`] without the source of the value.
fn value(line: &str) -> &str {
    line.rsplit_once("  # ").map_or(line, |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn load(options: &str) -> Args {
        let line = format!("cloud-server --release shop {options}");
        let line: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Args::load(&line).unwrap().0
    }

    #[test]
    fn options_that_are_not_read_again_are_named() {
        let before = load("--queue 4 --rate-requests 5 --keys a.toml");
        assert!(before.changed_options(&before).is_empty());
        let default = load("--queue 4 --rate-requests 5 --keys a.toml --timeout 20");
        assert!(before.changed_options(&default).is_empty(), "the same value from another source");
        let after = load("--queue 5 --rate-requests 6 --keys b.toml --threads 1");
        assert_eq!(before.changed_options(&after), ["threads", "queue"]);
        let stored = load("--queue 4 --rate-requests 5 --storage shop.db --stored-keys");
        assert_eq!(before.changed_options(&stored), ["storage", "stored-keys"]);
    }
}
