use serde_json::{Map, Value};

use super::request::Request;
use crate::failure::Failure;

/// One row of a result file.
pub(super) type Row = Map<String, Value>;

/// Fields that identify a row, apart from its seed, with the heading of their column. A column
/// is shown only when rows differ in it.
const LABELS: [(&str, &str); 11] = [
    ("name", ""),
    ("small_model", "small model"),
    ("variant", "training"),
    ("search", "search"),
    ("learning", "learning"),
    ("fusion", "fusion"),
    ("budget", "budget"),
    ("part", "targets"),
    ("history", "history"),
    ("refit", "validation in training"),
    ("stratum", "part of the users"),
];

/// May be filtered on, but does not identify a row: rows of several seeds are one line.
const SEED: &str = "seed";

/// Rows that differ only in their seed.
struct Group<'a> {
    labels: Vec<String>,
    rows: Vec<&'a Row>,
}

/// The Markdown table of the requested rows.
pub(super) fn markdown(rows: &[Row], request: &Request) -> Result<String, Failure> {
    for (key, _) in &request.filters {
        if key != SEED && !LABELS.iter().any(|(name, _)| name == key) {
            let fields: Vec<&str> = LABELS.iter().map(|(name, _)| *name).chain([SEED]).collect();
            return Err(Failure::Check(format!(
                "{}: cannot filter on `{key}`: use one of {}",
                request.file,
                fields.join(", ")
            )));
        }
    }
    let keys = || LABELS.iter().map(|(key, _)| *key).chain([SEED]);
    let wanted = |row: &&Row| keys().all(|key| request.allows(key, &label(row, key)));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows.iter().filter(wanted) {
        let labels: Vec<String> = LABELS.iter().map(|(key, _)| label(row, key)).collect();
        match groups.iter_mut().find(|group| group.labels == labels) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { labels, rows: vec![row] }),
        }
    }
    if groups.is_empty() {
        return Err(Failure::Check(format!(
            "{}: no row matches the filters: relax them, or add the rows with `tandem evaluate --json`",
            request.file
        )));
    }
    let differs = |column: &usize| {
        *column == 0
            || groups.iter().any(|group| group.labels[*column] != groups[0].labels[*column])
    };
    let labels: Vec<usize> = (0..LABELS.len()).filter(differs).collect();
    let mut figures: Vec<&str> = Vec::new();
    if groups.iter().any(|group| mean(&group.rows, "calls").is_some()) {
        figures.push("calls");
    }
    figures.extend(request.show.iter().map(String::as_str));
    figures.extend(request.metrics.iter().map(String::as_str));

    let mut head: Vec<String> = labels.iter().map(|&at| LABELS[at].1.to_owned()).collect();
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).replace('_', " ");
    head.extend(figures.iter().map(|path| last(path)));
    head.extend(request.gain.iter().map(|name| format!("NDCG@10 relative to {name}")));
    head.push("seeds".to_owned());

    let mut table = line(&head);
    table += "|";
    table += &"---|".repeat(head.len());
    table += "\n";
    for group in &groups {
        let mut cells: Vec<String> = labels
            .iter()
            .map(|&at| match group.labels[at].as_str() {
                "none" => String::new(),
                label => label.to_owned(),
            })
            .collect();
        cells.extend(figures.iter().map(|path| figure(&group.rows, path)));
        if let Some(name) = &request.gain {
            cells.push(gain(rows, &group.rows, name));
        }
        cells.push(group.rows.len().to_string());
        table.push_str(&line(&cells));
    }
    Ok(table)
}

fn line(cells: &[String]) -> String {
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    // An empty cell is one space wide.
    format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |").replace("|  |", "| |")
}

/// A field as text.
fn label(row: &Row, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(rule)) => label(rule, "rule"),
        Some(other) => other.to_string(),
    }
}

/// A number of a row: a field, a nested field (`cost.bytes_up`), or a quality figure (`NDCG@5`).
fn number(row: &Row, path: &str) -> Option<f64> {
    match path.split_once('@') {
        Some(("HR", "10")) => row.get("hr10")?.as_f64(),
        Some(("NDCG", "10")) => row.get("ndcg10")?.as_f64(),
        Some((metric, k)) => {
            let k: u64 = k.parse().ok()?;
            let at = row.get("metrics")?.get("at")?.as_array()?;
            let at = at.iter().find(|at| at.get("k").and_then(Value::as_u64) == Some(k))?;
            at.get(metric.to_lowercase())?.as_f64()
        }
        None => {
            let mut keys = path.split('.');
            let first = row.get(keys.next()?)?;
            keys.try_fold(first, |value, key| value.get(key))?.as_f64()
        }
    }
}

fn numbers(rows: &[&Row], path: &str) -> Vec<f64> {
    rows.iter().filter_map(|row| number(row, path)).collect()
}

fn mean(rows: &[&Row], path: &str) -> Option<f64> {
    let numbers = numbers(rows, path);
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The mean and, for several seeds, the sample's standard deviation.
fn figure(rows: &[&Row], path: &str) -> String {
    let Some(mean) = mean(rows, path) else { return String::new() };
    let write = |value: f64| {
        let decimals = if path.contains('@') {
            4
        } else if value.abs() < 1.0 {
            3
        } else {
            2
        };
        let text = format!("{value:.decimals$}");
        text.strip_prefix('0').unwrap_or(&text).to_owned()
    };
    let numbers = numbers(rows, path);
    if numbers.len() < 2 || !path.contains('@') {
        return write(mean);
    }
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    let deviation = (squares / (numbers.len() - 1) as f64).sqrt();
    format!("{} ± {}", write(mean), write(deviation))
}

/// The change of NDCG@10 relative to the rows called `name`, with the same seeds and group of
/// users, and with the same learning and search where those rows have any.
fn gain(all: &[Row], rows: &[&Row], name: &str) -> String {
    let same = |row: &Row, other: &Row| {
        let learning = other.get("learning").is_none_or(|way| Some(way) == row.get("learning"));
        learning && ["seed", "stratum", "part"].iter().all(|key| row.get(*key) == other.get(*key))
    };
    let named: Vec<&Row> = all
        .iter()
        .filter(|other| label(other, "name") == name && label(other, "history") == "removed")
        .collect();
    // A language model alone has no search: its rows are the reference for every search.
    let search = |other: &Row| label(other, "search");
    let searched = named.iter().any(|other| rows.iter().any(|row| search(row) == search(other)));
    let base: Vec<&Row> = named
        .into_iter()
        .filter(|other| {
            rows.iter().any(|row| same(row, other) && (search(row) == search(other) || !searched))
        })
        .collect();
    match (mean(rows, "NDCG@10"), mean(&base, "NDCG@10")) {
        (Some(value), Some(base)) if base > 0.0 => {
            format!("{:+.1} %", 100.0 * (value / base - 1.0))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"[
        {"name":"llm-stale","seed":1,"hr10":0.0,"ndcg10":0.02,"history":"removed","part":"test",
         "metrics":{"at":[{"k":5,"hr":0.5,"ndcg":0.25,"mrr":0.125}]}},
        {"name":"fusion-none","seed":1,"hr10":0.0,"ndcg10":0.03,"history":"removed","part":"test",
         "calls":0.0,"budget":0.0,"learning":false,"fusion":{"rule":"weighted","alpha":0.25}},
        {"name":"fusion-none","seed":1,"hr10":0.0,"ndcg10":0.01,"history":"removed","part":"test",
         "calls":0.0,"budget":0.0,"learning":false,"fusion":{"rule":"paper"}},
        {"name":"fusion-none","seed":1,"hr10":0.0,"ndcg10":0.01,"history":"removed","part":"test",
         "calls":0.0,"budget":0.0,"learning":false,"fusion":{"rule":"weighted"},"stratum":"cold-user"}
    ]"#;

    fn table(request: &str) -> String {
        let rows: Vec<Row> = serde_json::from_str(ROWS).unwrap();
        markdown(&rows, &Request::parse(request).unwrap()).unwrap()
    }

    #[test]
    fn columns_show_only_the_fields_that_differ() {
        let expected = "\
            | | fusion | calls | NDCG@10 | NDCG@10 relative to llm-stale | seeds |\n\
            |---|---|---|---|---|---|\n\
            | fusion-none | weighted | .000 | .0300 | +50.0 % | 1 |\n\
            | fusion-none | paper | .000 | .0100 | -50.0 % | 1 |\n";
        assert_eq!(table("f name=fusion-* metrics=NDCG@10 gain=llm-stale"), expected);
    }

    #[test]
    fn figures_are_addressed_by_path() {
        let expected = "\
            | | alpha | HR@5 | MRR@5 | seeds |\n\
            |---|---|---|---|---|\n\
            | llm-stale | | .5000 | .1250 | 1 |\n";
        assert_eq!(table("f name=llm-stale show=fusion.alpha metrics=HR@5,MRR@5"), expected);
        assert!(table("f fusion=weighted show=fusion.alpha").contains("| .000 | .250 |"));
    }

    #[test]
    fn rows_can_be_filtered_by_seed() {
        let of_seed = |seed: u8| format!("f name=fusion-none fusion=weighted seed={seed}");
        assert!(table(&of_seed(1)).contains("| fusion-none |"));
        let rows: Vec<Row> = serde_json::from_str(ROWS).unwrap();
        let error = markdown(&rows, &Request::parse(&of_seed(9)).unwrap()).unwrap_err();
        assert!(error.to_string().contains("no row"), "{error}");
    }

    #[test]
    fn a_filter_on_an_unknown_field_is_refused() {
        let rows: Vec<Row> = serde_json::from_str(ROWS).unwrap();
        let error = markdown(&rows, &Request::parse("f colour=red").unwrap()).unwrap_err();
        assert!(error.to_string().contains("`colour`"), "{error}");
    }

    const SEARCH: &str = r#"[
        {"name":"llm-stale","seed":1,"hr10":0.0,"ndcg10":0.010,"history":"removed"},
        {"name":"fusion-never","seed":1,"hr10":0.0,"ndcg10":0.020,"history":"removed"},
        {"name":"fusion-never","seed":2,"hr10":0.0,"ndcg10":0.020,"history":"removed",
         "search":"none"},
        {"name":"fusion-never","seed":1,"hr10":0.0,"ndcg10":0.040,"history":"removed",
         "search":"whole"},
        {"name":"fusion-always","seed":1,"hr10":0.0,"ndcg10":0.050,"history":"removed",
         "search":"whole"}
    ]"#;

    fn search_table(request: &str) -> String {
        let rows: Vec<Row> = serde_json::from_str(SEARCH).unwrap();
        markdown(&rows, &Request::parse(request).unwrap()).unwrap()
    }

    #[test]
    fn rows_with_search_are_shown_only_on_request() {
        let expected = "\
            | | NDCG@10 | seeds |\n\
            |---|---|---|\n\
            | llm-stale | .0100 | 1 |\n\
            | fusion-never | .0200 ± .0000 | 2 |\n";
        assert_eq!(search_table("f metrics=NDCG@10"), expected);
        let expected = "\
            | | NDCG@10 | seeds |\n\
            |---|---|---|\n\
            | fusion-never | .0400 | 1 |\n\
            | fusion-always | .0500 | 1 |\n";
        assert_eq!(search_table("f metrics=NDCG@10 search=whole"), expected);
    }

    #[test]
    fn a_gain_is_relative_to_the_same_search_where_there_is_one() {
        let expected = "\
            | | search | NDCG@10 | NDCG@10 relative to fusion-never | seeds |\n\
            |---|---|---|---|---|\n\
            | fusion-never | | .0200 ± .0000 | +0.0 % | 2 |\n\
            | fusion-never | whole | .0400 | +0.0 % | 1 |\n\
            | fusion-always | whole | .0500 | +25.0 % | 1 |\n";
        let request = "f name=fusion-* metrics=NDCG@10 search=* gain=fusion-never";
        assert_eq!(search_table(request), expected);
        let request = "f name=fusion-* metrics=NDCG@10 search=whole gain=llm-stale";
        assert!(search_table(request).contains("| fusion-always | .0500 | +400.0 % | 1 |"));
    }
}
