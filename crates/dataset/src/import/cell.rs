//! Cells of the current row, by the role of their columns.

use std::borrow::Cow;

use super::{
    columns::{Selected, bare},
    id::id_fault,
    time::{self, TimeKind},
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

/// The first column whose value in this row is a date.
pub(super) fn column_of_dates(rows: &dyn Rows) -> Option<String> {
    let is_date = |column: &usize| match rows.cell(*column) {
        Cell::Time(_) => true,
        Cell::Text(text) => {
            matches!(time::parse(&text, None), Some((_, TimeKind::Date)))
        }
        _ => false,
    };
    let column = (0..rows.columns().len()).find(is_date)?;
    Some(rows.columns()[column].clone())
}

/// A cell as a number; a comma can be the decimal point.
pub(super) fn number(cell: &Cell<'_>) -> Option<f64> {
    let Cell::Text(text) = cell else { return None };
    let number: f64 = text.parse().ok().or_else(|| text.replace(',', ".").parse().ok())?;
    number.is_finite().then_some(number)
}
