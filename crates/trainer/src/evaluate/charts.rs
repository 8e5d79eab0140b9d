//! Result rows as charts.

use std::collections::BTreeMap;

use tandem_collaboration::Fusion;
use tandem_evaluation::{
    History, ResultRow, SearchScope, Stratum,
    plot::{BarChart, BarSeries, LineChart, Panel, Series},
};

const NDCG: &str = "NDCG@10";
/// Names of the rows without calls and with a call for everyone: the ends of every curve.
const STARTS: [&str; 2] = ["fusion-none", "fusion-never"];
const END: &str = "fusion-always";

/// Quality against calls for each device, an ablation, and parts of the users. All values are
/// means over seeds, with fitted fusions.
pub(super) fn panels(rows: &[ResultRow]) -> Vec<Panel> {
    let shown = shown_history(rows);
    let fitted = |row: &&ResultRow| {
        row.history == shown && !matches!(row.fusion, Some(Fusion::Paper { .. }))
    };
    let rows: Vec<&ResultRow> = rows.iter().filter(fitted).collect();
    let whole: Vec<&ResultRow> = rows.iter().copied().filter(|row| row.stratum.is_none()).collect();
    let mut panels = Vec::new();
    for device in devices(&whole) {
        panels.push(Panel::Lines(curve(&whole, &device)));
    }
    panels.push(Panel::Bars(ablation(&whole)));
    if rows.len() > whole.len() {
        panels.push(Panel::Bars(strata(&rows)));
    }
    panels
}

/// Whether visitors are shown items of their history, which is how devices are measured. Other
/// rows may be of either kind.
fn shown_history(rows: &[ResultRow]) -> History {
    let device = rows.iter().find(|row| row.name.starts_with("fusion-"));
    let any_removed = || rows.iter().find(|row| row.history == History::Removed);
    device.or_else(any_removed).or(rows.first()).map_or(History::Removed, |row| row.history)
}

/// Properties that distinguish devices: small model, training, learning, search.
type DeviceName = (Option<String>, Option<String>, Option<bool>, SearchScope);

fn device(row: &ResultRow) -> DeviceName {
    let search = row.search.unwrap_or_default();
    (row.small_model.clone(), row.variant.clone(), row.learning, search)
}

fn devices(rows: &[&ResultRow]) -> Vec<DeviceName> {
    let mut devices: Vec<DeviceName> = Vec::new();
    for row in rows.iter().filter(|row| row.name == END) {
        if !devices.contains(&device(row)) {
            devices.push(device(row));
        }
    }
    devices
}

fn title((small_model, variant, learning, search): &DeviceName) -> String {
    let mut parts: Vec<&str> =
        [small_model, variant].into_iter().flatten().map(String::as_str).collect();
    if *learning == Some(true) {
        parts.push("learning");
    }
    match search {
        SearchScope::None => {}
        SearchScope::Whole => parts.push("search"),
        SearchScope::Cells => parts.push("search in cells"),
    }
    parts.join(", ")
}

/// Mean of a value over rows; `None` if no row has it.
fn mean(rows: &[&ResultRow], figure: impl Fn(&ResultRow) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = rows.iter().filter_map(|row| figure(row)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn curve(rows: &[&ResultRow], of: &DeviceName) -> LineChart {
    let rows: Vec<&ResultRow> = rows.iter().copied().filter(|row| device(row) == *of).collect();
    let mut rules: BTreeMap<&str, BTreeMap<u64, Vec<&ResultRow>>> = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for row in rows.iter().filter(|row| row.name.starts_with("fusion-")) {
        // Bits of numbers from 0 are in the order of the numbers.
        let budget = row.budget.unwrap_or(0.0).to_bits();
        let points = if STARTS.contains(&row.name.as_str()) || row.name == END {
            &mut ends
        } else {
            rules.entry(&row.name).or_default()
        };
        points.entry(budget).or_insert_with(Vec::new).push(*row);
    }
    let series = rules
        .into_iter()
        .map(|(name, mut points)| {
            points.extend(ends.clone());
            let point = |rows: &Vec<&ResultRow>| {
                Some((mean(rows, |row| row.calls)?, mean(rows, |row| Some(row.ndcg10))?))
            };
            let mut points: Vec<(f64, f64)> = points.values().filter_map(point).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { name: name.trim_start_matches("fusion-").to_owned(), points }
        })
        .collect::<Vec<_>>();
    let most =
        series.iter().flat_map(|series| &series.points).map(|point| point.0).fold(0.0, f64::max);
    let share = most <= 1.0;
    LineChart {
        title: format!("Quality against calls: {}", title(of)),
        x: if share { "targets that called the cloud" } else { "calls a session" }.to_owned(),
        y: NDCG.to_owned(),
        series,
        percent_x: share,
    }
}

/// Whether a row belongs to a bar.
type Chosen<'a> = &'a dyn Fn(&ResultRow) -> bool;

/// One group of bars for each device, with the models alone beside it.
fn ablation(rows: &[&ResultRow]) -> BarChart {
    let asks = |rule: &&str| rows.iter().any(|row| row.name == **rule);
    let best_rule = ["fusion-uplift", "fusion-consistency"].into_iter().find(|rule| asks(rule));
    let smallest = rows.iter().filter(|row| Some(row.name.as_str()) == best_rule);
    let smallest = smallest.filter_map(|row| row.budget).fold(f64::INFINITY, f64::min);
    let bars: [(&str, Chosen<'_>); 7] = [
        ("llm-stale", &|row| row.name == "llm-stale"),
        ("srm on the list", &|row| row.name.ends_with("-list") && row.budget == Some(0.0)),
        ("fusion, no calls", &|row| STARTS.contains(&row.name.as_str())),
        ("fusion, few calls", &|row| {
            Some(row.name.as_str()) == best_rule && row.budget <= Some(smallest)
        }),
        ("fusion, always", &|row| row.name == END),
        ("llm-fresh", &|row| row.name == "llm-fresh"),
        ("srm, all items", &|row| row.name.starts_with("srm-") && row.budget.is_none()),
    ];
    let groups = devices(rows);
    let series = bars.into_iter().map(|(name, chosen)| {
        let value = |group: &DeviceName| {
            // The models alone neither learn nor search, and every device has the language model.
            let is_of = |row: &ResultRow| {
                let (small_model, variant, learning, search) = device(row);
                (small_model.is_none() || (&small_model, &variant) == (&group.0, &group.1))
                    && (learning.is_none() || learning == group.2 && search == group.3)
            };
            let rows = rows.iter().copied().filter(|row| is_of(row) && chosen(row));
            mean(&rows.collect::<Vec<_>>(), |row| Some(row.ndcg10))
        };
        BarSeries { name: name.to_owned(), values: groups.iter().map(value).collect() }
    });
    let has_values = |series: &BarSeries| series.values.iter().any(Option::is_some);
    BarChart {
        title: "What each part is worth".into(),
        y: NDCG.into(),
        series: series.filter(has_values).collect(),
        groups: groups.iter().map(title).collect(),
    }
}

fn strata(rows: &[&ResultRow]) -> BarChart {
    let first = devices(rows).into_iter().next().unwrap_or_default();
    let shown: Vec<&ResultRow> = rows
        .iter()
        .copied()
        .filter(|row| row.small_model.is_none() || row.learning.is_none() || device(row) == first)
        .collect();
    let strata: Vec<Stratum> = Stratum::ALL
        .into_iter()
        .filter(|stratum| shown.iter().any(|row| row.stratum == Some(*stratum)))
        .collect();
    let names = ["llm-stale", "fusion-none", "fusion-consistency", END, "llm-fresh"];
    let series = names.into_iter().map(|name| {
        let values = strata.iter().map(|&stratum| {
            let rows: Vec<&ResultRow> = shown
                .iter()
                .copied()
                .filter(|row| row.name == name && row.stratum == Some(stratum))
                .collect();
            mean(&rows, |row| Some(row.ndcg10))
        });
        BarSeries { name: name.to_owned(), values: values.collect() }
    });
    let named = |stratum: &Stratum| {
        let name = serde_json::to_value(stratum).ok();
        name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    };
    BarChart {
        title: "Parts of the users".into(),
        y: NDCG.into(),
        series: series.collect(),
        groups: strata.iter().map(named).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::table::tests::row;

    #[test]
    fn a_dataset_with_repeats_has_the_same_charts() {
        let rows = |history| -> Vec<ResultRow> {
            let fused = |name: &str, budget| ResultRow {
                name: name.to_owned(),
                budget: Some(budget),
                calls: Some(budget),
                history,
                small_model: Some("sasrec".to_owned()),
                ..row()
            };
            // Count baselines have rows for both.
            let rule = fused("fusion-random", 0.5);
            vec![row(), fused("fusion-never", 0.0), rule, fused("fusion-always", 1.0)]
        };
        let points = |rows: &[ResultRow]| {
            let panels = panels(rows);
            let lines = panels.iter().filter_map(|panel| match panel {
                Panel::Lines(chart) => Some(&chart.series),
                Panel::Bars(_) => None,
            });
            lines.flatten().map(|series| series.points.len()).sum::<usize>()
        };
        let usual = points(&rows(History::Removed));
        assert_eq!(usual, 3);
        assert_eq!(points(&rows(History::Kept)), usual);
    }
}
