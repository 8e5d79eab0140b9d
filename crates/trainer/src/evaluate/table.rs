//! Result rows as a Markdown table.

use tandem_collaboration::{Consistency, Fusion};
use tandem_evaluation::{CUTOFFS, History, ResultRow};

/// A column: its heading, and the cell of a row.
type Column = (&'static str, fn(&ResultRow) -> Option<String>);

/// Columns that describe a row. Columns without any cell are left out.
const ABOUT: [Column; 13] = [
    ("model", |row| Some(row.name.clone())),
    ("small model", |row| row.small_model.clone()),
    ("variant", |row| row.variant.clone()),
    ("trained on", |row| Some(if row.refit { "train, validation" } else { "train" }.to_owned())),
    ("fusion", |row| row.fusion.as_ref().map(fusion)),
    ("learning", |row| row.learning.map(|learning| if learning { "yes" } else { "no" }.to_owned())),
    ("search", |row| {
        let search = serde_json::to_value(row.search?).ok()?;
        search.as_str().map(str::to_owned)
    }),
    ("budget", |row| row.budget.map(|budget| format!("{budget:.2}"))),
    ("calls", |row| row.calls.map(|calls| format!("{calls:.3}"))),
    ("asks if", |row| Some(format!("{} > {:.3}", measure(row.consistency?), row.threshold?))),
    ("history", |row| {
        Some(match row.history {
            History::Removed => "removed".to_owned(),
            History::Kept => "kept".to_owned(),
        })
    }),
    ("part", |row| {
        let stratum = serde_json::to_value(row.stratum?).ok()?;
        stratum.as_str().map(str::to_owned)
    }),
    ("targets", |row| Some(row.metrics.count.to_string())),
];

/// The rows as Markdown.
pub(super) fn markdown(rows: &[ResultRow]) -> String {
    let about: Vec<&Column> =
        ABOUT.iter().filter(|(_, cell)| rows.iter().any(|row| cell(row).is_some())).collect();
    let mut head: Vec<String> = about.iter().map(|(head, _)| (*head).to_owned()).collect();
    for metric in ["HR", "NDCG", "MRR"] {
        // The three metrics are equal at 1.
        let cutoffs = CUTOFFS.into_iter().filter(|&k| k > 1 || metric == "HR");
        head.extend(cutoffs.map(|k| format!("{metric}@{k}")));
    }
    let rule = vec!["---".to_owned(); head.len()];
    let cells = rows.iter().map(|row| {
        let at = &row.metrics.at;
        let hr = at.iter().map(|at| at.hr);
        let ndcg = at.iter().filter(|at| at.k > 1).map(|at| at.ndcg);
        let mrr = at.iter().filter(|at| at.k > 1).map(|at| at.mrr);
        let figures = hr.chain(ndcg).chain(mrr).map(|figure| format!("{figure:.4}"));
        let about = about.iter().map(|(_, cell)| cell(row).unwrap_or_default());
        about.chain(figures).collect::<Vec<_>>()
    });
    [head, rule]
        .into_iter()
        .chain(cells)
        .map(|cells| format!("| {} |\n", cells.join(" | ")))
        .collect::<Vec<_>>()
        .concat()
}

/// A short description of a fusion.
pub(super) fn fusion(fusion: &Fusion) -> String {
    match *fusion {
        Fusion::Paper { beta, gate: None } => format!("paper, β = {beta}"),
        Fusion::Paper { beta, gate: Some(gate) } => format!("paper, β = {beta} beyond {gate}"),
        Fusion::Weighted { alpha, language_model, small_model, .. } => {
            format!("{alpha:.2} · {language_model:?} + {:.2} · {small_model:?}", 1.0 - alpha)
        }
    }
}

fn measure(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Footrule => "footrule",
        Consistency::KendallTau => "Kendall",
        Consistency::RankBiasedOverlap { .. } => "rank-biased overlap",
        Consistency::TopKOverlap { .. } => "top-k overlap",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tandem_evaluation::{Metrics, Part};

    use super::*;

    pub(crate) fn row() -> ResultRow {
        ResultRow {
            name: "popularity".into(),
            seed: None,
            hr10: 0.5,
            ndcg10: 0.5,
            budget: None,
            calls: None,
            command: String::new(),
            part: Part::Test,
            history: History::Kept,
            refit: false,
            stratum: None,
            small_model: None,
            variant: None,
            learning: None,
            fusion: None,
            search: None,
            consistency: None,
            threshold: None,
            cost: None,
            inputs: None,
            metrics: Metrics::of(&[Some(0), None]),
        }
    }

    #[test]
    fn the_table_has_a_value_in_every_column() {
        let expected = "\
            | model | trained on | history | targets | HR@1 | HR@5 | HR@10 | HR@20 | NDCG@5 | NDCG@10 | NDCG@20 | MRR@5 | MRR@10 | MRR@20 |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | popularity | train | kept | 2 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 |\n";
        assert_eq!(markdown(&[row()]), expected);
    }

    #[test]
    fn a_property_of_one_row_is_a_column() {
        let fused = ResultRow {
            fusion: Some(Fusion::default()),
            budget: Some(0.05),
            calls: Some(0.048),
            consistency: Some(Consistency::Footrule),
            threshold: Some(0.75),
            ..row()
        };
        let table = markdown(&[row(), fused]);
        assert!(table.contains("| fusion | budget | calls | asks if |"), "{table}");
        assert!(table.contains("| paper, β = 1 | 0.05 | 0.048 | footrule > 0.750 |"), "{table}");
        assert!(table.contains("| train |  |  |  |  | kept |"), "{table}");
    }
}
