use std::collections::BTreeMap;

use tandem_dataset::Item;
use tandem_protocol::FilterValue;
use tandem_storage::{AttributeValue, ChangedItem};

/// A property that a filter can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Property {
    Category(String),
    Brand(String),
    /// Name and value of an attribute.
    Attribute(String, Value),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Flag(bool),
    /// The bits of the number.
    Number(u64),
    Text(String),
}

impl Value {
    fn number(number: f64) -> Self {
        // Adding 0 makes -0 equal to 0.
        Self::Number((number + 0.0).to_bits())
    }
}

impl From<&FilterValue> for Value {
    fn from(value: &FilterValue) -> Self {
        match value {
            FilterValue::Flag(flag) => Self::Flag(*flag),
            FilterValue::Number(number) => Self::number(*number),
            FilterValue::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// What a filter reads of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) properties: Vec<Property>,
    pub(super) price: Option<f64>,
}

impl Fields {
    fn new(categories: &[String], brand: &str) -> Self {
        let brand = Some(brand).filter(|brand| !brand.is_empty());
        let brand = brand.map(|brand| Property::Brand(brand.to_owned()));
        let categories = categories.iter().cloned().map(Property::Category);
        Self { properties: categories.chain(brand).collect(), price: None }
    }

    fn add_attributes(&mut self, attributes: BTreeMap<String, AttributeValue>) {
        for (name, value) in attributes {
            let values = match value {
                AttributeValue::Flag(flag) => vec![Value::Flag(flag)],
                AttributeValue::Number(number) => vec![Value::number(number)],
                AttributeValue::Text(text) => vec![Value::Text(text)],
                AttributeValue::Texts(texts) => texts.into_iter().map(Value::Text).collect(),
            };
            let of_name = values.into_iter().map(|it| Property::Attribute(name.clone(), it));
            self.properties.extend(of_name);
        }
    }
}

impl From<&Item> for Fields {
    fn from(item: &Item) -> Self {
        Self::new(&item.genres, &item.brand)
    }
}

impl From<ChangedItem> for Fields {
    fn from(item: ChangedItem) -> Self {
        let mut fields = Self::new(&item.categories, &item.brand);
        fields.add_attributes(item.attributes);
        fields.price = item.price;
        fields
    }
}
