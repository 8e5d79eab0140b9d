use std::{borrow::Cow, collections::HashMap, rc::Rc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Words that programs write for an absent id.
const NO_IDS: [&str; 5] = ["None", "undefined", "N/A", "n/a", "(null)"];

/// Whole numbers up to this one are exact in floating point: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Serialised as the list of the names.
impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names.iter().map(|name| &**name))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut names = Self::default();
        for name in Vec::<String>::deserialize(deserializer)? {
            names.number(&name);
        }
        Ok(names)
    }
}

/// Distinct strings in the order of their first appearance.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<Rc<str>, u32>,
    names: Vec<Rc<str>>,
}

impl Names {
    /// The number of a name, from 0.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        let name: Rc<str> = name.into();
        self.numbers.insert(Rc::clone(&name), number);
        self.names.push(name);
        number
    }

    /// Whether the name is known.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.numbers.contains_key(name)
    }

    /// The names by their numbers.
    pub(super) fn names(&self) -> &[Rc<str>] {
        &self.names
    }

    /// Whether the ids are whole numbers, of which some are written as fractions (`5.0`).
    fn are_floats(&self) -> bool {
        let mut style = IdStyle::default();
        for name in &self.names {
            style.look(name);
            if style.has_others {
                return false;
            }
        }
        style.are_floats()
    }

    /// Adds the ids of one column to `all`; returns their numbers there. Where all ids of the
    /// column are whole numbers, `5.0` is `5`.
    pub(super) fn merge_into(&self, all: &mut Names) -> Vec<u32> {
        let floats = self.are_floats();
        self.names.iter().map(|name| all.number(&meant(name, floats))).collect()
    }
}

/// How the ids of one column are written.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct IdStyle {
    /// Whether an id is no whole number.
    has_others: bool,
    /// Whether a whole number is written as a fraction or with an exponent.
    has_floats: bool,
}

impl IdStyle {
    pub(super) fn look(&mut self, name: &str) {
        if self.has_others {
            return;
        }
        match whole_number(name) {
            None => self.has_others = true,
            Some(Cow::Owned(_)) => self.has_floats = true,
            Some(Cow::Borrowed(text)) => self.has_floats |= text.len() < name.len(),
        }
    }

    /// Adds what was found in another part of the column.
    pub(super) fn merge(&mut self, other: Self) {
        self.has_others |= other.has_others;
        self.has_floats |= other.has_floats;
    }

    /// Whether the ids are whole numbers, of which some are written as fractions (`5.0`).
    pub(super) fn are_floats(self) -> bool {
        self.has_floats && !self.has_others
    }
}

/// The id that is meant, where `floats` says that whole numbers can be written as fractions.
pub(super) fn meant(name: &str, floats: bool) -> Cow<'_, str> {
    let whole = if floats { whole_number(name) } else { None };
    whole.unwrap_or(Cow::Borrowed(name))
}

/// A whole number as an id: without a fraction of zeros, and without an exponent. Leading zeros
/// are kept. `None` if the text is something else.
pub(super) fn whole_number(text: &str) -> Option<Cow<'_, str>> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    match magnitude.split_once('.') {
        None if digits(magnitude) => return Some(Cow::Borrowed(text)),
        Some((whole, zeros)) if digits(whole) && zeros.bytes().all(|byte| byte == b'0') => {
            return Some(Cow::Borrowed(&text[..text.len() - zeros.len() - 1]));
        }
        _ => {}
    }
    // `1e3` and `1.5e+06`; nothing else that Rust reads, such as `inf`.
    let numeric = magnitude.bytes().all(|it| it.is_ascii_digit() || b".eE+-".contains(&it));
    if !numeric || !magnitude.bytes().next()?.is_ascii_digit() {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < MAX_EXACT)
        .then(|| Cow::Owned(format!("{}", number as i64)))
}

/// Whether a program writes this for an absent id.
pub(super) fn is_no_id(text: &str) -> bool {
    NO_IDS.contains(&text)
}

/// Why a text cannot be an id, or `None` if it can.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("nothing")
    } else if NO_IDS.contains(&id) {
        Some("a word that means no value")
    } else if id.contains(char::is_control) {
        Some("a control character")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(ids: &[&str]) -> Vec<String> {
        let mut column = Names::default();
        for id in ids {
            column.number(id);
        }
        let mut all = Names::default();
        column.merge_into(&mut all);
        all.names().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fractions_of_zeros_are_dropped_where_all_ids_are_whole_numbers() {
        assert_eq!(
            merged(&["5.0", "6", "007.0", "-1.00", "1.5e+06"]),
            ["5", "6", "007", "-1", "1500000"]
        );
        assert_eq!(merged(&["5.0", "5"]), ["5"]);
        assert_eq!(merged(&["5.0", "1.1"]), ["5.0", "1.1"]);
        assert_eq!(merged(&["5.0", "sku"]), ["5.0", "sku"]);
        assert_eq!(merged(&["007", "7"]), ["007", "7"]);
        assert_eq!(merged(&["1e3", "2"]), ["1000", "2"]);
        assert_eq!(merged(&["1e99", "5.0"]), ["1e99", "5.0"]);
    }

    #[test]
    fn words_for_nothing_are_no_ids() {
        assert_eq!(id_fault("undefined"), Some("a word that means no value"));
        assert_eq!(id_fault(""), Some("nothing"));
        assert_eq!(id_fault("a\u{7}b"), Some("a control character"));
        assert_eq!(id_fault("none"), None);
    }
}
