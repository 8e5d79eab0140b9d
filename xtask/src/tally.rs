//! Numbers of passed and failed tests, parsed from the output of the test runners.

use std::{ops::AddAssign, process::ExitStatus};

use serde::Deserialize;

/// Results of a test runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Names of failed tests, if the runner prints them.
    pub(crate) names: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.names.extend(other.names);
    }
}

impl Tally {
    /// The result of one check, such as a lint.
    pub(crate) fn single(holds: bool, name: &str) -> Self {
        let mut tally = Self::default();
        if holds {
            tally.passed = 1;
        } else {
            tally.fail(name.to_owned());
        }
        tally
    }

    pub(crate) fn fail(&mut self, name: String) {
        self.failed += 1;
        self.names.push(name);
    }

    /// Adds a failure if the runner failed without reporting one (it crashed or did not compile),
    /// or if no test ran.
    pub(crate) fn with_status(mut self, name: &str, status: ExitStatus) -> Self {
        if self.failed == 0 && !status.success() {
            self.fail(format!("{name} ({status})"));
        } else if self.passed + self.failed == 0 {
            self.fail(format!("{name} (no test ran)"));
        }
        self
    }

    /// Parses `cargo test`: each binary prints `test result: ok. 3 passed; 0 failed; …`, and each
    /// failed test a line `test its::name ... FAILED`.
    pub(crate) fn of_cargo(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            let line = line.trim();
            if let Some(counts) = line.strip_prefix("test result: ") {
                tally.passed += count_before(counts, " passed");
                tally.failed += count_before(counts, " failed");
            } else if let Some(name) =
                line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
            {
                tally.names.push(name.to_owned());
            }
        }
        tally
    }

    /// Parses the Test Anything Protocol as Node prints it, with `# pass 3` and `# fail 1` at the end.
    pub(crate) fn of_tap(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            if let Some(count) = line.strip_prefix("# pass ") {
                tally.passed += count.trim().parse().unwrap_or(0);
            } else if let Some(count) =
                line.strip_prefix("# fail ").or_else(|| line.strip_prefix("# cancelled "))
            {
                tally.failed += count.trim().parse().unwrap_or(0);
            } else if let Some(name) = line.trim_start().strip_prefix("not ok ") {
                tally.names.push(name.split_once(" - ").map_or(name, |(_, name)| name).to_owned());
            }
        }
        tally
    }

    /// Parses Vitest's JSON report; `None` if the text is not one.
    pub(crate) fn of_vitest(report: &str) -> Option<Self> {
        let report: VitestReport = serde_json::from_str(report).ok()?;
        let names = report
            .test_results
            .iter()
            .flat_map(|file| &file.assertion_results)
            .filter(|test| test.status == "failed")
            .map(|test| test.full_name.clone())
            .collect();
        Some(Self { passed: report.num_passed_tests, failed: report.num_failed_tests, names })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VitestReport {
    num_passed_tests: usize,
    num_failed_tests: usize,
    test_results: Vec<VitestFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VitestFile {
    assertion_results: Vec<VitestTest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VitestTest {
    full_name: String,
    status: String,
}

/// The number before `unit`.
fn count_before(text: &str, unit: &str) -> usize {
    let before = text.split_once(unit).map_or("", |(before, _)| before);
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn cargo_results_add_up_over_binaries() {
        let output = "
running 2 tests
test a::works ... ok
test a::breaks ... FAILED

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests b
test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.00s
";
        assert_eq!(
            Tally::of_cargo(output),
            Tally { passed: 13, failed: 1, names: vec!["a::breaks".into()] }
        );
        assert_eq!(Tally::of_cargo("error: could not compile"), Tally::default());
    }

    #[test]
    fn tap_totals_and_names() {
        let output = "TAP version 13\n# Subtest: x\nok 1 - good\nnot ok 2 - bad: worse\n1..2\n\
                      # tests 3\n# suites 0\n# pass 1\n# fail 1\n# cancelled 1\n# skipped 0\n";
        assert_eq!(
            Tally::of_tap(output),
            Tally { passed: 1, failed: 2, names: vec!["bad: worse".into()] }
        );
    }

    #[test]
    fn vitest_report() {
        let report = r#"{"numTotalTests": 3, "numPassedTests": 2, "numFailedTests": 1,
            "testResults": [{"assertionResults": [
                {"fullName": "queue runs in order", "status": "passed"},
                {"fullName": "queue stops", "status": "failed"}]}]}"#;
        assert_eq!(
            Tally::of_vitest(report),
            Some(Tally { passed: 2, failed: 1, names: vec!["queue stops".into()] })
        );
        assert_eq!(Tally::of_vitest("Segmentation fault"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_runner_without_results_counts_as_failed() {
        use std::{os::unix::process::ExitStatusExt, process::ExitStatus};
        let (good, bad) = (ExitStatus::from_raw(0), ExitStatus::from_raw(101 << 8));
        let passed = Tally { passed: 3, ..Tally::default() };
        assert_eq!(Tally::default().with_status("x", good).failed, 1);
        assert_eq!(passed.clone().with_status("x", bad).failed, 1);
        assert_eq!(passed.clone().with_status("x", good), passed);
    }
}
