use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use tandem_protocol::ItemId;

/// Maximum length of an id in bytes.
const MAX_ID: usize = 256;
/// Maximum length of title and brand in bytes.
const MAX_NAME: usize = 2_000;
/// Maximum length of a description in bytes.
const MAX_DESCRIPTION: usize = 20_000;
/// Maximum number of categories, and of attributes.
const MAX_VALUES: usize = 100;
/// Maximum length of a category, of the name of an attribute and of its text, in bytes.
const MAX_VALUE: usize = 500;
/// Maximum length of the name of an attribute in a message, in characters.
const SHOWN: usize = 100;
/// Whole numbers up to here are exact (2^53): those beyond are refused as whole numbers
/// ([`tandem_protocol::exact_number`]), so they are written with an exponent.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;
const YEARS: std::ops::RangeInclusive<i64> = 0..=9999;

/// An item as the shop sends it. It replaces what is stored under its id: a field that is not
/// given becomes empty, except that `available` stays as it is.
///
/// In JSON, `null` is as good as no field. The fields that only a server sets (`created`, `updated`
/// and `score`) are ignored, so that an item of an answer can be sent back. Other fields are errors,
/// and so is a field or an attribute that is given twice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewItem {
    /// The shop's id.
    pub id: ItemId,
    /// Title.
    pub title: String,
    /// Categories; in JSON also a single text.
    pub categories: Vec<String>,
    /// Brand or maker.
    pub brand: String,
    /// Description in plain text.
    pub description: String,
    /// Year of release.
    pub year: Option<i64>,
    /// Price in the shop's currency.
    pub price: Option<f64>,
    /// Further properties, by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Whether it can be bought. If not given: as it is stored, `true` for a new item.
    pub available: Option<bool>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// `true` or `false`.
    Flag(bool),
    /// A number. A whole one is written without a decimal point.
    #[serde(serialize_with = "serialize_number")]
    Number(f64),
    /// A text.
    Text(String),
    /// Several texts, such as sizes.
    Texts(Vec<String>),
}

/// An item as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredItem {
    /// The shop's id.
    pub id: ItemId,
    /// Title; empty if unknown.
    pub title: String,
    /// Categories.
    pub categories: Vec<String>,
    /// Brand or maker; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub brand: String,
    /// Description in plain text; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Year of release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i64>,
    /// Price in the shop's currency.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_optional_number"
    )]
    pub price: Option<f64>,
    /// Further properties, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Whether it can be bought.
    pub available: bool,
    /// When it was added, in milliseconds since 1970.
    pub created: u64,
    /// When it was changed, in milliseconds since 1970.
    pub updated: u64,
}

/// Why an item cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The id is empty, too long or has control characters.
    #[error("id: expected 1 to {MAX_ID} bytes, not only spaces, without control characters")]
    Id,
    /// A text is too long.
    #[error("{field}: expected at most {max} bytes, found {found}")]
    Long {
        /// The field, with the name of the attribute (`attributes.colour`).
        field: String,
        /// Maximum length in bytes.
        max: usize,
        /// Length in bytes.
        found: usize,
    },
    /// A text contains the character U+0000, which databases do not store.
    #[error("{field}: the character U+0000 is not allowed")]
    Nul {
        /// The field, with the name of the attribute.
        field: String,
    },
    /// There are too many categories or attributes.
    #[error("{field}: expected at most {MAX_VALUES}, found {found}")]
    Many {
        /// The field, with the name of the attribute.
        field: String,
        /// Their number.
        found: usize,
    },
    /// The price is negative or no number.
    #[error("price: expected a number of at least 0")]
    Price,
    /// The year is out of range.
    #[error("year: expected 0 to 9999, found {found}")]
    Year {
        /// The year.
        found: i64,
    },
    /// The number of an attribute is infinite or none.
    #[error("{field}: expected a finite number")]
    Number {
        /// The field, with the name of the attribute.
        field: String,
    },
}

impl NewItem {
    /// An available item with an id and nothing else.
    #[must_use]
    pub fn new(id: ItemId) -> Self {
        Self {
            id,
            title: String::new(),
            categories: Vec::new(),
            brand: String::new(),
            description: String::new(),
            year: None,
            price: None,
            attributes: BTreeMap::new(),
            available: None,
        }
    }

    /// Checks lengths and ranges.
    ///
    /// # Errors
    /// [`ItemError`] for the first field that cannot be stored.
    pub fn check(&self) -> Result<(), ItemError> {
        let id = self.id.as_str();
        if id.trim().is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
            return Err(ItemError::Id);
        }
        check_text(|| "title".to_owned(), &self.title, MAX_NAME)?;
        check_text(|| "brand".to_owned(), &self.brand, MAX_NAME)?;
        check_text(|| "description".to_owned(), &self.description, MAX_DESCRIPTION)?;
        for (field, found) in
            [("categories", self.categories.len()), ("attributes", self.attributes.len())]
        {
            if found > MAX_VALUES {
                return Err(ItemError::Many { field: field.to_owned(), found });
            }
        }
        for category in &self.categories {
            check_text(|| "categories".to_owned(), category, MAX_VALUE)?;
        }
        if self.price.is_some_and(|price| !price.is_finite() || price < 0.0) {
            return Err(ItemError::Price);
        }
        if let Some(found) = self.year.filter(|year| !YEARS.contains(year)) {
            return Err(ItemError::Year { found });
        }
        for (name, value) in &self.attributes {
            check_text(|| "attributes (name)".to_owned(), name, MAX_VALUE)?;
            check_value(name, value)?;
        }
        Ok(())
    }
}

/// Writes a whole number as shops send it: `3`, not `3.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn serialize_number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

/// Writes a number, if there is one, as [`AttributeValue::Number`] is written.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_optional_number<S: Serializer>(
    number: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serialize_number(number, serializer),
        None => serializer.serialize_none(),
    }
}

fn check_value(name: &str, value: &AttributeValue) -> Result<(), ItemError> {
    // Made for errors only.
    let field = || format!("attributes.{}", shown(name));
    match value {
        AttributeValue::Flag(_) => Ok(()),
        AttributeValue::Number(number) if number.is_finite() => Ok(()),
        AttributeValue::Number(_) => Err(ItemError::Number { field: field() }),
        AttributeValue::Text(text) => check_text(field, text, MAX_VALUE),
        AttributeValue::Texts(texts) if texts.len() > MAX_VALUES => {
            Err(ItemError::Many { field: field(), found: texts.len() })
        }
        AttributeValue::Texts(texts) => {
            texts.iter().try_for_each(|text| check_text(field, text, MAX_VALUE))
        }
    }
}

/// The beginning of the name of an attribute.
pub(super) fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn check_text(field: impl Fn() -> String, text: &str, max: usize) -> Result<(), ItemError> {
    if text.len() > max {
        return Err(ItemError::Long { field: field(), max, found: text.len() });
    }
    if text.contains('\0') {
        return Err(ItemError::Nul { field: field() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> NewItem {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn attributes_keep_their_types() {
        let item = parse(
            r#"{"id":"a","categories":"Shoes","attributes":{"colour":"red","size":[ "40","41"],"width":1.5,"new":true}}"#,
        );
        assert_eq!(item.categories, ["Shoes"]);
        assert_eq!(item.attributes["colour"], AttributeValue::Text("red".to_owned()));
        assert_eq!(item.attributes["width"], AttributeValue::Number(1.5));
        assert_eq!(item.attributes["new"], AttributeValue::Flag(true));
        assert!(
            matches!(&item.attributes["size"], AttributeValue::Texts(sizes) if sizes.len() == 2)
        );
        assert_eq!(item.check(), Ok(()));
    }

    #[test]
    fn whole_numbers_are_written_as_they_were_sent() {
        let values = [3.0, -1.0, 2.5, 9_007_199_254_740_992.0, 1e300].map(AttributeValue::Number);
        let written = serde_json::to_string(&values).unwrap();
        assert_eq!(written, "[3,-1,2.5,9007199254740992,1e+300]");
        let item = StoredItem {
            id: "a".into(),
            title: String::new(),
            categories: Vec::new(),
            brand: String::new(),
            description: String::new(),
            year: None,
            price: Some(20.0),
            attributes: BTreeMap::new(),
            available: true,
            created: 0,
            updated: 0,
        };
        assert!(serde_json::to_string(&item).unwrap().contains(r#""price":20,"#));
    }

    #[test]
    fn wrong_items_are_refused_with_the_field() {
        let field = |json: &str| parse(json).check().unwrap_err().to_string();
        assert!(field(r#"{"id":" "}"#).starts_with("id: "));
        assert!(field("{\"id\":\"a\\nb\"}").starts_with("id: "));
        assert!(field(r#"{"id":"a","price":-1}"#).starts_with("price: "));
        assert!(field(r#"{"id":"a","year":20000}"#).starts_with("year: "));
        assert!(field("{\"id\":\"a\",\"title\":\"x\\u0000\"}").starts_with("title: "));
        let text = "x".repeat(501);
        let long = format!(r#"{{"id":"a","attributes":{{"colour":["red","{text}"]}}}}"#);
        assert_eq!(field(&long), "attributes.colour: expected at most 500 bytes, found 501");
        let nul = field("{\"id\":\"a\",\"attributes\":{\"colour\":\"\\u0000\"}}");
        assert!(nul.starts_with("attributes.colour: "), "{nul}");
        let long = format!(r#"{{"id":"a","title":"{}"}}"#, "x".repeat(2_001));
        assert_eq!(field(&long), "title: expected at most 2000 bytes, found 2001");
        let unknown = serde_json::from_str::<NewItem>(r#"{"id":"a","colour":"red"}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `colour`"), "{unknown}");
    }
}
