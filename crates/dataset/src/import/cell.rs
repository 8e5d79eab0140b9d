//! Cells of the current row, by the role of their columns.

use std::borrow::Cow;

use super::{
    columns::{Selected, bare},
    id::id_fault,
};
use crate::readers::{Cell, Rows};

/// The value of a role in the current row.
pub(super) fn value<'a>(rows: &'a dyn Rows, selected: &Selected) -> Cell<'a> {
    let mut cells = selected.columns.iter().map(|&column| rows.cell(column));
    cells.find(|cell| *cell != Cell::Absent).unwrap_or(Cell::Absent)
}

/// An id of the current row, or why there is none.
pub(super) fn id<'a>(
    rows: &'a dyn Rows,
    selected: &Selected,
    expected: &str,
) -> Result<Cow<'a, str>, String> {
    match value(rows, selected) {
        Cell::Text(text) => match id_fault(&text) {
            None => Ok(text),
            Some(found) => Err(fault(rows, selected, expected, found)),
        },
        other => Err(fault(rows, selected, expected, &words(&other))),
    }
}

/// Why a field cannot be read.
pub(super) fn fault(rows: &dyn Rows, selected: &Selected, expected: &str, found: &str) -> String {
    let field = selected.columns.first().map_or("", |&at| bare(&rows.columns()[at]));
    format!("field {field}: expected {expected}, found {found}")
}

/// What a cell is, for a message.
pub(super) fn words(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Absent => "nothing".to_owned(),
        Cell::Text(text) => format!("{text:?}"),
        Cell::List(_) => "a list".to_owned(),
        Cell::Time(_) => "a time".to_owned(),
        Cell::Other(what) => (*what).to_owned(),
    }
}

/// A cell as a number. A comma can be the decimal point, or separate thousands before one. A
/// negative number can have the minus of Unicode, or brackets as in accounting.
pub(super) fn number(cell: &Cell<'_>) -> Option<f64> {
    let Cell::Text(text) = cell else { return None };
    let amount = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    if let Some(amount) = amount.map(str::trim) {
        let starts_with_digit = amount.starts_with(|it: char| it.is_ascii_digit());
        return if starts_with_digit { decimal(amount).map(|number| -number) } else { None };
    }
    match text.strip_prefix('\u{2212}') {
        Some(amount) => decimal(&format!("-{amount}")),
        None => decimal(text),
    }
}

/// A cell as a rating: a number, or stars.
pub(super) fn rating(cell: &Cell<'_>) -> Option<f64> {
    number(cell).or_else(|| {
        let Cell::Text(text) = cell else { return None };
        let is_star = |letter: char| matches!(letter, '★' | '⭐');
        // An empty star, and a mark of presentation that follows some stars.
        let only_stars = text.chars().all(|it| is_star(it) || matches!(it, '☆' | '\u{fe0f}' | ' '));
        only_stars.then(|| text.chars().map(|it| f64::from(u8::from(is_star(it)))).sum())
    })
}

fn decimal(text: &str) -> Option<f64> {
    let point = text.rfind([',', '.']).map(|at| text.as_bytes()[at]);
    let with_point = match point {
        Some(b',') => text.replace('.', "").replace(',', "."),
        Some(_) => text.replace(',', ""),
        None => text.to_owned(),
    };
    let number: f64 = text.parse().ok().or_else(|| with_point.parse().ok())?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_counted() {
        for (text, expected) in [
            ("★★★★", Some(4.0)),
            ("★★☆☆☆", Some(2.0)),
            ("☆☆☆☆☆", Some(0.0)),
            ("⭐⭐⭐", Some(3.0)),
            ("4,5", Some(4.5)),
            ("★ nice", None),
            ("like", None),
        ] {
            assert_eq!(rating(&Cell::Text(text.into())), expected, "{text}");
        }
    }

    #[test]
    fn numbers_of_spreadsheets_are_read() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            ("1,5", Some(1.5)),
            ("-1,0", Some(-1.0)),
            ("1,234.5", Some(1_234.5)),
            ("1.234,5", Some(1_234.5)),
            ("1e3", Some(1_000.0)),
            ("(1)", Some(-1.0)),
            ("( 2,5 )", Some(-2.5)),
            ("\u{2212}1", Some(-1.0)),
            ("(-1)", None),
            ("(1", None),
            ("\u{2212}", None),
            ("abc", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(number(&Cell::Text(text.into())), expected, "{text}");
        }
    }
}
