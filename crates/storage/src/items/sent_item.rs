//! Items as a shop sends them in JSON. What a server has sent of an item can be sent back.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use tandem_protocol::{ItemId, exact_number};

use super::item::{AttributeValue, NewItem, shown};

/// The JSON of a [`NewItem`]: `null` is as good as no field, and the fields that only a server sets
/// are ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentItem {
    id: ItemId,
    #[serde(default, deserialize_with = "or_empty")]
    title: String,
    #[serde(default, deserialize_with = "one_or_many")]
    categories: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    brand: String,
    #[serde(default, deserialize_with = "or_empty")]
    description: String,
    #[serde(default)]
    year: Option<i64>,
    #[serde(default)]
    price: Option<f64>,
    #[serde(default, deserialize_with = "attributes")]
    attributes: BTreeMap<String, AttributeValue>,
    #[serde(default)]
    available: Option<bool>,
    #[serde(default, rename = "created")]
    _created: IgnoredAny,
    #[serde(default, rename = "updated")]
    _updated: IgnoredAny,
    #[serde(default, rename = "score")]
    _score: IgnoredAny,
}

impl<'de> Deserialize<'de> for NewItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sent = SentItem::deserialize(deserializer)?;
        let SentItem { id, title, categories, brand, description, .. } = sent;
        let SentItem { year, price, attributes, available, .. } = sent;
        Ok(Self { id, title, categories, brand, description, year, price, attributes, available })
    }
}

/// A text; empty for `null`.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A text or a list of texts; empty for `null`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(if text.is_empty() { Vec::new() } else { vec![text.to_owned()] })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<Self::Value, A::Error> {
            all_texts(texts)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

fn all_texts<'de, A: SeqAccess<'de>>(mut texts: A) -> Result<Vec<String>, A::Error> {
    let mut all = Vec::new();
    while let Some(text) = texts.next_element()? {
        all.push(text);
    }
    Ok(all)
}

/// Attributes by name, each at most once; those that are `null` are left out.
fn attributes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, AttributeValue>, D::Error> {
    struct Attributes;

    impl<'de> Visitor<'de> for Attributes {
        type Value = BTreeMap<String, AttributeValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of attributes")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                let value = map.next_value_seed(Value { is_sent: true })?;
                if all.contains_key(&name) {
                    return Err(A::Error::custom(format!(
                        "expected each attribute once, found `{}` twice",
                        shown(&name)
                    )));
                }
                all.insert(name, value);
            }
            Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
        }
    }

    deserializer.deserialize_any(Attributes)
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value { is_sent: false }.deserialize(deserializer)?;
        value.ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &Value { is_sent: false }))
    }
}

/// Reads the value of an attribute; `None` for `null`. Not derived: the messages of an untagged enum
/// do not say what was found.
#[derive(Clone, Copy)]
struct Value {
    /// Whether it comes from a shop. Numbers of a database are as they were stored.
    is_sent: bool,
}

impl Value {
    fn whole<E: Error>(self, number: i128) -> Result<Option<AttributeValue>, E> {
        let number = if self.is_sent { exact_number(number)? } else { number as f64 };
        Ok(Some(AttributeValue::Number(number)))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Option<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Option<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, `true`, `false` or a list of texts")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Flag(flag)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.whole(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.whole(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Number(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(AttributeValue::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<Self::Value, A::Error> {
        Ok(Some(AttributeValue::Texts(all_texts(texts)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::StoredItem;

    fn refusal(json: &str) -> String {
        serde_json::from_str::<NewItem>(json).unwrap_err().to_string()
    }

    fn stored() -> StoredItem {
        StoredItem {
            id: "a".into(),
            title: "Shoe".to_owned(),
            categories: vec!["Shoes".to_owned()],
            brand: "Acme".to_owned(),
            description: String::new(),
            year: Some(1999),
            price: Some(9.5),
            attributes: [
                ("colour".to_owned(), AttributeValue::Text("red".to_owned())),
                ("new".to_owned(), AttributeValue::Flag(true)),
                ("size".to_owned(), AttributeValue::Texts(vec!["40".to_owned()])),
                ("width".to_owned(), AttributeValue::Number(1.5)),
            ]
            .into(),
            available: false,
            created: 1,
            updated: 2,
        }
    }

    #[test]
    fn a_stored_item_can_be_sent_back() {
        let sent: NewItem =
            serde_json::from_value(serde_json::to_value(stored()).unwrap()).unwrap();
        let StoredItem { id, title, categories, brand, description, .. } = stored();
        let StoredItem { year, price, attributes, available, .. } = stored();
        let available = Some(available);
        let expected = NewItem {
            title,
            categories,
            brand,
            description,
            year,
            price,
            attributes,
            available,
            ..NewItem::new(id)
        };
        assert_eq!(sent, expected);
    }

    #[test]
    fn null_is_as_good_as_no_field() {
        let json = r#"{"id":"a","title":null,"categories":null,"brand":null,"description":null,
            "year":null,"price":null,"attributes":null,"available":null,"created":null}"#;
        assert_eq!(serde_json::from_str::<NewItem>(json).unwrap(), NewItem::new("a".into()));
        let json = r#"{"id":"a","attributes":{"colour":null}}"#;
        assert_eq!(serde_json::from_str::<NewItem>(json).unwrap(), NewItem::new("a".into()));
        assert!(refusal(r#"{"id":null}"#).contains("null"), "{}", refusal(r#"{"id":null}"#));
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_was_found_and_what_is_allowed() {
        for (json, found, expected) in [
            (r#"{"id":"a","attributes":{"x":{}}}"#, "map", "a text, a number, `true`"),
            (r#"{"id":"a","attributes":{"x":[1]}}"#, "integer `1`", "expected a string"),
            (r#"{"id":"a","attributes":{"x":["a",null]}}"#, "null", "expected a string"),
            (r#"{"id":"a","attributes":["x"]}"#, "sequence", "an object of attributes"),
            (r#"{"id":"a","categories":7}"#, "integer `7`", "a text or a list of texts"),
            (
                r#"{"id":"a","attributes":{"x":9007199254740993}}"#,
                "integer `9007199254740993`",
                "write a longer one as a text",
            ),
            (
                r#"{"id":"a","attributes":{"x":-9007199254740993}}"#,
                "integer `-9007199254740993`",
                "write a longer one as a text",
            ),
        ] {
            let message = refusal(json);
            assert!(message.contains(found) && message.contains(expected), "{json}: {message}");
        }
    }

    #[test]
    fn no_field_and_no_attribute_is_given_twice() {
        let twice = refusal(r#"{"id":"a","attributes":{"x":1,"y":2,"x":1}}"#);
        assert!(twice.contains("found `x` twice"), "{twice}");
        let twice = refusal(r#"{"id":"a","attributes":{"x":null,"x":1}}"#);
        assert!(twice.contains("found `x` twice"), "{twice}");
        let twice = refusal(r#"{"id":"a","title":"x","title":"y"}"#);
        assert!(twice.contains("duplicate field `title`"), "{twice}");
        let long = "x".repeat(10_000);
        let twice = refusal(&format!(r#"{{"id":"a","attributes":{{"{long}":1,"{long}":1}}}}"#));
        assert!(twice.len() < 500, "{twice}");
    }

    #[test]
    fn numbers_of_a_database_are_read_as_they_were_stored() {
        // PostgreSQL writes large numbers without an exponent.
        let value: AttributeValue = serde_json::from_str("1234567890123456800").unwrap();
        assert_eq!(value, AttributeValue::Number(1_234_567_890_123_456_800.0));
        assert!(serde_json::from_str::<AttributeValue>("null").is_err());
    }
}
