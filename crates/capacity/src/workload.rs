use serde::Serialize;

use crate::error::{CapacityError, check};

/// Seconds of a month of 30 days.
pub(crate) const MONTH_S: f64 = 30.0 * 24.0 * 3600.0;

/// What the visitors of a site do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Distinct visitors in a month.
    pub visitors_per_month: f64,
    /// Visits of each of them in a month.
    pub visits_per_visitor: f64,
    /// Clicks in a visit that change the recommendations.
    pub clicks_per_visit: f64,
    /// Lists that a device requests at the start of a visit.
    pub lists_at_start: f64,
    /// Lists that a device requests after a click, on average: its call budget.
    pub calls_per_click: f64,
    /// Load of the busiest hour divided by the mean load.
    pub peak_factor: f64,
    /// Items of the catalogue.
    pub items: f64,
    /// Releases in a month. A device loads weights and rows again for each that it meets.
    pub releases_per_month: f64,
    /// Days that events are kept in the database.
    pub keep_events_days: f64,
}

impl Default for Workload {
    /// A site of 10,000 visitors with 12,000 items; the call budget is the demo's.
    fn default() -> Self {
        Self {
            visitors_per_month: 10_000.0,
            visits_per_visitor: 3.0,
            clicks_per_visit: 10.0,
            lists_at_start: 1.0,
            calls_per_click: 0.05,
            peak_factor: 3.0,
            items: 12_000.0,
            releases_per_month: 30.0,
            keep_events_days: 90.0,
        }
    }
}

impl Workload {
    /// # Errors
    /// If a number is not in its range.
    pub fn check(&self) -> Result<(), CapacityError> {
        const COUNT: &str = "a number from 0 to 1e12";
        for (name, value) in [
            ("visitors per month", self.visitors_per_month),
            ("visits per visitor", self.visits_per_visitor),
            ("clicks per visit", self.clicks_per_visit),
            ("releases per month", self.releases_per_month),
            ("days that events are kept", self.keep_events_days),
        ] {
            check(name, value, 0.0..=1e12, COUNT)?;
        }
        check("lists at the start of a visit", self.lists_at_start, 0.0..=100.0, "0 to 100")?;
        check("calls per click", self.calls_per_click, 0.0..=1.0, "a share from 0 to 1")?;
        check("peak factor", self.peak_factor, 1.0..=1000.0, "1 to 1000")?;
        check("items", self.items, 1.0..=1e9, "1 to 1e9")
    }

    /// Visits in a month.
    #[must_use]
    pub fn visits_per_month(&self) -> f64 {
        self.visitors_per_month * self.visits_per_visitor
    }

    /// Clicks in a month. Each is a recommendation: the device ranks again.
    #[must_use]
    pub fn clicks_per_month(&self) -> f64 {
        self.visits_per_month() * self.clicks_per_visit
    }

    /// Candidate lists in a month.
    #[must_use]
    pub fn lists_per_month(&self) -> f64 {
        self.visits_per_month() * self.lists_at_start
            + self.clicks_per_month() * self.calls_per_click
    }

    /// Downloads of weights and rows in a month: a visitor loads them at the first visit, and
    /// again at a visit with a newer release than that of the visit before. With visits at random
    /// times and releases at equal distances, the chance of a newer release is `x · (1 − e^(−1/x))`,
    /// where `x` is the mean number of releases between two visits.
    #[must_use]
    pub fn model_loads_per_month(&self) -> f64 {
        if self.visits_per_visitor <= 0.0 {
            return 0.0;
        }
        let between = self.releases_per_month / self.visits_per_visitor;
        // The gap is exponential with mean `between` releases. A gap of `g < 1` releases contains a
        // release with chance `g`, a longer one for certain: the mean of min(g, 1).
        let again = if between > 0.0 { between * -f64::exp_m1(-1.0 / between) } else { 0.0 };
        let first = self.visits_per_visitor.min(1.0);
        let later = (self.visits_per_visitor - 1.0).max(0.0);
        self.visitors_per_month * (first + later * again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "expected {expected}, found {found}");
    }

    #[test]
    fn counts_of_a_month() {
        let workload = Workload {
            visitors_per_month: 1000.0,
            visits_per_visitor: 2.0,
            clicks_per_visit: 5.0,
            lists_at_start: 1.0,
            calls_per_click: 0.1,
            ..Workload::default()
        };
        near(workload.visits_per_month(), 2000.0);
        near(workload.clicks_per_month(), 10_000.0);
        // One for each visit, and a tenth of the clicks.
        near(workload.lists_per_month(), 3000.0);
    }

    #[test]
    fn a_visitor_loads_a_release_once() {
        let with = |releases_per_month| Workload {
            visitors_per_month: 1.0,
            visits_per_visitor: 3.0,
            releases_per_month,
            ..Workload::default()
        };
        // No release: the first visit only. Very many: every visit.
        near(with(0.0).model_loads_per_month(), 1.0);
        near(with(1e9).model_loads_per_month(), 3.0);
        // A release between two visits, on average: 1 + 2 · (1 − 1/e) = 2.2642.
        near(with(3.0).model_loads_per_month(), 2.264_241);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let workload = Workload { calls_per_click: 1.5, ..Workload::default() };
        let error = workload.check().unwrap_err().to_string();
        assert_eq!(error, "calls per click: expected a share from 0 to 1, found 1.5");
        assert!(Workload { items: f64::NAN, ..Workload::default() }.check().is_err());
        assert_eq!(Workload::default().check(), Ok(()));
    }
}
