use tandem_protocol::{FilterValue, ItemFilter};

use crate::error::ApiError;

/// Maximum number of values of a condition, and of attributes.
const MAX_VALUES: usize = 100;

/// Checks a filter. Without a storage, items have categories and a brand only.
///
/// # Errors
/// [`ApiError::InvalidField`] for the first condition that cannot be used.
pub(crate) fn check_filter(filter: &ItemFilter, has_storage: bool) -> Result<(), ApiError> {
    let ItemFilter { categories, brands, price, attributes } = filter;
    check_number("filter.categories", categories.len())?;
    check_number("filter.brands", brands.len())?;
    check_number("filter.attributes", attributes.len())?;
    for (name, values) in attributes {
        let is_finite = |value: &FilterValue| match value {
            FilterValue::Number(number) => number.is_finite(),
            FilterValue::Flag(_) | FilterValue::Text(_) => true,
        };
        let field = || format!("filter.attributes.{name}");
        check_number(&field(), values.len())?;
        if !values.iter().all(is_finite) {
            return Err(refused(&field(), "expected finite numbers".to_owned()));
        }
    }
    if let Some(range) = price {
        let (min, max) =
            (range.min.unwrap_or(f64::NEG_INFINITY), range.max.unwrap_or(f64::INFINITY));
        if min > max {
            let detail = format!("expected `min` of at most `max`, found {min} and {max}");
            return Err(refused("filter.price", detail));
        }
    }
    let unknown = [("price", price.is_some()), ("attributes", !attributes.is_empty())];
    match unknown.into_iter().find(|(_, is_used)| *is_used && !has_storage) {
        Some((field, _)) => Err(refused(
            &format!("filter.{field}"),
            format!("the catalogue has no {field}; store items on a server with --storage"),
        )),
        None => Ok(()),
    }
}

fn check_number(field: &str, found: usize) -> Result<(), ApiError> {
    if found <= MAX_VALUES {
        return Ok(());
    }
    Err(refused(field, format!("expected at most {MAX_VALUES}, found {found}")))
}

fn refused(field: &str, detail: String) -> ApiError {
    ApiError::InvalidField { field: field.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, has_storage: bool) -> Option<String> {
        match check_filter(&serde_json::from_str(json).unwrap(), has_storage) {
            Ok(()) => None,
            Err(ApiError::InvalidField { field, .. }) => Some(field),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_condition_that_cannot_be_used_is_named() {
        let good = r#"{"categories":["a"],"brands":["b"],"price":{"min":1,"max":1},"attributes":{"c":[true,1.5,"x"]}}"#;
        assert_eq!(check(good, true), None);
        assert_eq!(check(r#"{"categories":["a"],"brands":["b"]}"#, false), None);
        let field = |json: &str, has_storage| check(json, has_storage).unwrap();
        assert_eq!(field(r#"{"price":{"min":2,"max":1}}"#, true), "filter.price");
        assert_eq!(field(r#"{"price":{"min":1}}"#, false), "filter.price");
        assert_eq!(field(r#"{"attributes":{"c":[1]}}"#, false), "filter.attributes");
        let many = serde_json::json!({ "brands": vec!["b"; 101] }).to_string();
        assert_eq!(field(&many, true), "filter.brands");
        let many = serde_json::json!({ "attributes": { "c": vec!["b"; 101] } }).to_string();
        assert_eq!(field(&many, true), "filter.attributes.c");
    }
}
