use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
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

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
