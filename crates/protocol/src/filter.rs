use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Unexpected, Visitor},
};

/// The largest whole number below which a floating point number stores each one.
const LARGEST_EXACT: u128 = 1 << 53;

/// Conditions that candidates must meet: all of those that are given. An empty list is no
/// condition. Texts are compared exactly.
///
/// ```
/// use tandem_protocol::ItemFilter;
///
/// let json = r#"{"categories":["Shoes","Boots"],"price":{"max":80},"attributes":{"size":[41]}}"#;
/// let filter: ItemFilter = serde_json::from_str(json)?;
/// assert_eq!(filter.categories, ["Shoes", "Boots"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemFilter {
    /// The item has one of these categories; at most 100.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// The item has one of these brands; at most 100.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brands: Vec<String>,
    /// The item has a price in this range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceRange>,
    /// For each name, the item has an attribute with one of these values; at most 100 names with
    /// 100 values each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "each_once")]
    pub attributes: BTreeMap<String, Vec<FilterValue>>,
}

/// A range of prices in the shop's currency, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceRange {
    /// Lowest price. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Highest price. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A value of an attribute. Whole numbers above 2^53 are refused, as in items: they would be
/// rounded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FilterValue {
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A text, also one of several texts of the item.
    Text(String),
}

/// A whole number of JSON as the value of an attribute, in items and in filters.
///
/// # Errors
/// If it is above 2^53: a floating point number would round it.
pub fn exact_number<E: Error>(number: i128) -> Result<f64, E> {
    if number.unsigned_abs() > LARGEST_EXACT {
        let found = format!("integer `{number}`");
        let expected = "a number of at most 16 digits, up to 9007199254740992; \
                        write a longer one as a text";
        return Err(E::invalid_value(Unexpected::Other(&found), &expected));
    }
    Ok(number as f64)
}

impl<'de> Deserialize<'de> for FilterValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = FilterValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, `true` or `false`")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(FilterValue::Flag(flag))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                exact_number(number.into()).map(FilterValue::Number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                exact_number(number.into()).map(FilterValue::Number)
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(FilterValue::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(FilterValue::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

/// Attributes by name. One that is given twice is an error: the other values would have no effect.
fn each_once<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<FilterValue>>, D::Error> {
    struct Attributes;

    impl<'de> Visitor<'de> for Attributes {
        type Value = BTreeMap<String, Vec<FilterValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with a list of values for each attribute")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut attributes = BTreeMap::new();
            while let Some((name, values)) = map.next_entry::<String, _>()? {
                if attributes.insert(name, values).is_some() {
                    return Err(A::Error::custom("expected each attribute once, found one twice"));
                }
            }
            Ok(attributes)
        }
    }

    deserializer.deserialize_map(Attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_given_once_and_its_values_are_of_the_documented_types() {
        let filter: ItemFilter =
            serde_json::from_str(r#"{"attributes":{"a":["x",1,true],"b":[]}}"#).unwrap();
        assert_eq!(filter.attributes["a"].len(), 3);
        let exact = r#"{"attributes":{"a":[9007199254740992,-1,1e300]}}"#;
        assert_eq!(serde_json::from_str::<ItemFilter>(exact).unwrap().attributes["a"].len(), 3);
        for (json, part) in [
            (r#"{"attributes":{"a":["x"],"b":[],"a":["y"]}}"#, "found one twice"),
            (r#"{"attributes":{"a":[null]}}"#, "a text, a number, `true` or `false`"),
            (r#"{"attributes":{"a":[9007199254740993]}}"#, "write a longer one as a text"),
            (r#"{"attributes":{"a":[-9007199254740993]}}"#, "write a longer one as a text"),
            (r#"{"attributes":["a"]}"#, "an object with a list of values"),
        ] {
            let error = serde_json::from_str::<ItemFilter>(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
