use std::{collections::HashMap, sync::Arc};

use roaring::RoaringBitmap;
use tandem_protocol::ItemFilter;

use super::fields::{Fields, Property, Value};

/// Which items have which properties. Items are numbers without large gaps.
///
/// A filter costs one union for each list of values, one intersection for each condition, and one
/// look at the price of each item that is left.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    numbers: HashMap<Arc<Property>, u32>,
    /// By the number of a property; `None` for numbers that are free.
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// The numbers of the properties of each item, ascending.
    properties: Vec<Box<[u32]>>,
    /// The price of each item; not a number without one.
    prices: Vec<f64>,
}

#[derive(Debug)]
struct Entry {
    property: Arc<Property>,
    items: RoaringBitmap,
}

impl FieldIndex {
    /// Replaces the fields of an item.
    pub(super) fn set(&mut self, item: u32, fields: Fields) {
        let at = item as usize;
        if self.properties.len() <= at {
            self.properties.resize_with(at + 1, Box::default);
            self.prices.resize(at + 1, f64::NAN);
        }
        self.prices[at] = fields.price.unwrap_or(f64::NAN);
        let properties = fields.properties.into_iter();
        let mut new: Vec<u32> = properties.map(|property| self.number(property)).collect();
        new.sort_unstable();
        new.dedup();
        let old = std::mem::replace(&mut self.properties[at], new.clone().into());
        for &number in &new {
            if let Some(entry) = &mut self.entries[number as usize] {
                entry.items.insert(item);
            }
        }
        for number in old.iter().filter(|number| new.binary_search(number).is_err()) {
            self.remove(*number, item);
        }
    }

    /// The number of a property, which may be new.
    fn number(&mut self, property: Property) -> u32 {
        if let Some(&number) = self.numbers.get(&property) {
            return number;
        }
        let property = Arc::new(property);
        let entry =
            Some(Entry { property: Arc::clone(&property), items: RoaringBitmap::default() });
        let number = if let Some(number) = self.free.pop() {
            self.entries[number as usize] = entry;
            number
        } else {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        };
        self.numbers.insert(property, number);
        number
    }

    /// Takes a property from an item, and forgets the property if no item has it any more.
    fn remove(&mut self, number: u32, item: u32) {
        let slot = &mut self.entries[number as usize];
        let Some(entry) = slot else { return };
        entry.items.remove(item);
        if entry.items.is_empty() {
            self.numbers.remove(&entry.property);
            *slot = None;
            self.free.push(number);
        }
    }

    /// The items with a property.
    fn with(&self, property: &Property) -> Option<&RoaringBitmap> {
        let number = *self.numbers.get(property)?;
        self.entries[number as usize].as_ref().map(|entry| &entry.items)
    }

    /// Whether an item has a category.
    pub(super) fn has_category(&self, item: u32, category: &str) -> bool {
        let items = self.with(&Property::Category(category.to_owned()));
        items.is_some_and(|items| items.contains(item))
    }

    /// The price of an item.
    pub(super) fn price(&self, item: u32) -> Option<f64> {
        self.prices.get(item as usize).copied().filter(|price| !price.is_nan())
    }

    /// Those of `items` that meet a filter.
    pub(super) fn matching(&self, filter: &ItemFilter, items: RoaringBitmap) -> RoaringBitmap {
        let ItemFilter { categories, brands, price, attributes } = filter;
        let mut found = items;
        let mut keep = |properties: &mut dyn Iterator<Item = Property>| {
            let mut any = RoaringBitmap::new();
            for property in properties {
                if let Some(items) = self.with(&property) {
                    any |= items;
                }
            }
            found &= any;
        };
        if !categories.is_empty() {
            keep(&mut categories.iter().cloned().map(Property::Category));
        }
        if !brands.is_empty() {
            keep(&mut brands.iter().cloned().map(Property::Brand));
        }
        for (name, values) in attributes.iter().filter(|(_, values)| !values.is_empty()) {
            let of = |value| Property::Attribute(name.clone(), Value::from(value));
            keep(&mut values.iter().map(of));
        }
        if let Some(range) = price {
            let min = range.min.unwrap_or(f64::NEG_INFINITY);
            let max = range.max.unwrap_or(f64::INFINITY);
            let is_within = |item: &u32| {
                // False for items without a price.
                self.prices.get(*item as usize).is_some_and(|price| (min..=max).contains(price))
            };
            let within = found.iter().filter(is_within);
            // Ascending, as the items of a set are.
            found = RoaringBitmap::from_sorted_iter(within).unwrap_or_default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tandem_protocol::{FilterValue, PriceRange};

    use super::*;

    fn text(value: u8) -> Value {
        Value::Text(value.to_string())
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let property = prop_oneof![
            (0..4_u8).prop_map(|it| Property::Category(it.to_string())),
            (0..3_u8).prop_map(|it| Property::Brand(it.to_string())),
            (0..2_u8, 0..3_u8)
                .prop_map(|(name, it)| Property::Attribute(name.to_string(), text(it))),
        ];
        let price = prop::option::of((0..5_u8).prop_map(f64::from));
        (prop::collection::vec(property, 0..6), price)
            .prop_map(|(properties, price)| Fields { properties, price })
    }

    fn texts(max: u8) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec((0..max).prop_map(|it| it.to_string()), 0..3)
    }

    fn filter() -> impl Strategy<Value = ItemFilter> {
        let end = || prop::option::of((0..5_u8).prop_map(f64::from));
        let price = (end(), end()).prop_map(|(min, max)| PriceRange { min, max });
        let values = texts(3).prop_map(|it| it.into_iter().map(FilterValue::Text).collect());
        let attributes =
            prop::collection::btree_map((0..2_u8).prop_map(|it| it.to_string()), values, 0..3);
        (texts(5), texts(4), prop::option::of(price), attributes).prop_map(
            |(categories, brands, price, attributes)| ItemFilter {
                categories,
                brands,
                price,
                attributes,
            },
        )
    }

    /// The definition, one item at a time.
    fn meets(filter: &ItemFilter, fields: &Fields) -> bool {
        let has = |property: Property| fields.properties.contains(&property);
        let any = |list: &[String], of: fn(String) -> Property| {
            list.is_empty() || list.iter().any(|it| has(of(it.clone())))
        };
        any(&filter.categories, Property::Category)
            && any(&filter.brands, Property::Brand)
            && filter.attributes.iter().all(|(name, values)| {
                values.is_empty()
                    || values
                        .iter()
                        .any(|it| has(Property::Attribute(name.clone(), Value::from(it))))
            })
            && filter.price.is_none_or(|range| {
                fields.price.is_some_and(|price| {
                    range.min.is_none_or(|min| min <= price)
                        && range.max.is_none_or(|max| price <= max)
                })
            })
    }

    proptest! {
        #[test]
        fn an_index_finds_what_a_look_at_every_item_finds(
            changes in prop::collection::vec((0..12_u32, fields()), 0..40),
            filter in filter(),
        ) {
            let mut index = FieldIndex::default();
            let mut items = vec![Fields::default(); 12];
            for (item, fields) in changes {
                items[item as usize] = fields.clone();
                index.set(item, fields);
            }
            let found = index.matching(&filter, (0..12).collect());
            let expected = (0..12).filter(|item| meets(&filter, &items[*item as usize]));
            prop_assert_eq!(found, expected.collect());
        }
    }

    #[test]
    fn properties_that_no_item_has_are_forgotten() {
        let mut index = FieldIndex::default();
        let of = |value: u32| Fields {
            properties: vec![Property::Category(value.to_string())],
            price: None,
        };
        for value in 0..1_000 {
            index.set(7, of(value));
        }
        assert_eq!(index.numbers.len(), 1);
        assert!(index.entries.len() <= 2, "{}", index.entries.len());
    }

    #[test]
    fn values_are_compared_by_type() {
        let mut index = FieldIndex::default();
        let attribute = |value| Fields {
            properties: vec![Property::Attribute("size".to_owned(), Value::from(&value))],
            price: None,
        };
        index.set(0, attribute(FilterValue::Number(0.0)));
        index.set(1, attribute(FilterValue::Text("0".to_owned())));
        index.set(2, attribute(FilterValue::Flag(false)));
        let found = |value| {
            let attributes = [("size".to_owned(), vec![value])].into();
            let filter = ItemFilter { attributes, ..ItemFilter::default() };
            index.matching(&filter, (0..3).collect()).iter().collect::<Vec<_>>()
        };
        assert_eq!(found(FilterValue::Number(-0.0)), [0]);
        assert_eq!(found(FilterValue::Text("0".to_owned())), [1]);
        assert_eq!(found(FilterValue::Flag(false)), [2]);
    }
}
