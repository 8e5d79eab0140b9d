use serde_json::Value;

use super::{Request, Row};
use crate::failure::Failure;

/// What tells rows apart, whatever the seed; a column each where rows differ in it.
const LABELS: [(&str, &str); 10] = [
    ("name", ""),
    ("small_model", "small model"),
    ("variant", "training"),
    ("learning", "learning"),
    ("fusion", "fusion"),
    ("budget", "budget"),
    ("part", "targets"),
    ("history", "history"),
    ("refit", "validation in training"),
    ("stratum", "part of the users"),
];

/// May be asked for, and tells no rows apart: those of several seeds are one line.
const SEED: &str = "seed";

/// Rows that differ in their seed alone.
struct Group<'a> {
    labels: Vec<String>,
    rows: Vec<&'a Row>,
}

/// The table of the rows that are asked for.
pub(super) fn markdown(rows: &[Row], request: &Request) -> Result<String, Failure> {
    for (key, _) in &request.filters {
        if key != SEED && !LABELS.iter().any(|(name, _)| name == key) {
            let text = format!("{}: `{key}` is no field that tells rows apart", request.file);
            return Err(Failure::Check(text));
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
        return Err(Failure::Check(format!("{}: no row is as asked for", request.file)));
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

/// A number of a row: a field, one within another (`cost.bytes_up`), or a figure of quality
/// (`NDCG@5`).
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

/// Mean and, of several seeds, standard deviation of the sample.
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

/// Change of NDCG@10 relative to the row of a name, of the same seeds and part of the users,
/// and with the same learning where that row has any.
fn gain(all: &[Row], rows: &[&Row], name: &str) -> String {
    let same = |row: &Row, other: &Row| {
        let learning = other.get("learning").is_none_or(|way| Some(way) == row.get("learning"));
        learning && ["seed", "stratum", "part"].iter().all(|key| row.get(*key) == other.get(*key))
    };
    let base: Vec<&Row> = all
        .iter()
        .filter(|other| label(other, "name") == name && label(other, "history") == "removed")
        .filter(|other| rows.iter().any(|row| same(row, other)))
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
    fn columns_are_what_rows_differ_in() {
        let expected = "\
            | | fusion | calls | NDCG@10 | NDCG@10 relative to llm-stale | seeds |\n\
            |---|---|---|---|---|---|\n\
            | fusion-none | weighted | .000 | .0300 | +50.0 % | 1 |\n\
            | fusion-none | paper | .000 | .0100 | -50.0 % | 1 |\n";
        assert_eq!(table("f name=fusion-* metrics=NDCG@10 gain=llm-stale"), expected);
    }

    #[test]
    fn figures_are_found_by_their_path() {
        let expected = "\
            | | alpha | HR@5 | MRR@5 | seeds |\n\
            |---|---|---|---|---|\n\
            | llm-stale | | .5000 | .1250 | 1 |\n";
        assert_eq!(table("f name=llm-stale show=fusion.alpha metrics=HR@5,MRR@5"), expected);
        assert!(table("f fusion=weighted show=fusion.alpha").contains("| .000 | .250 |"));
    }

    #[test]
    fn one_seed_can_be_asked_for() {
        let of_seed = |seed: u8| format!("f name=fusion-none fusion=weighted seed={seed}");
        assert!(table(&of_seed(1)).contains("| fusion-none |"));
        let rows: Vec<Row> = serde_json::from_str(ROWS).unwrap();
        let error = markdown(&rows, &Request::parse(&of_seed(9)).unwrap()).unwrap_err();
        assert!(error.to_string().contains("no row"), "{error}");
    }

    #[test]
    fn a_filter_on_no_label_is_refused() {
        let rows: Vec<Row> = serde_json::from_str(ROWS).unwrap();
        let error = markdown(&rows, &Request::parse("f colour=red").unwrap()).unwrap_err();
        assert!(error.to_string().contains("`colour`"), "{error}");
    }
}
