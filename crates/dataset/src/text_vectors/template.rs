//! The text of an item, made by a template.

use crate::{DatasetError, Item};

/// The template of [`TextVectors`](super::TextVectors) if none is given.
pub const DEFAULT_TEMPLATE: &str = "{title} {brand} ({categories}) {description}";

/// The fields of a template.
const FIELDS: [&str; 5] = ["{title}", "{year}", "{categories}", "{brand}", "{description}"];

/// Characters of a text that are kept; embedding models read no more.
const MAX_TEXT: usize = 4_000;

/// Checks that a template names fields of items and no others. A brace that is not closed is text.
///
/// # Errors
/// [`DatasetError::Template`] for an unknown field, and for a template without a field.
pub fn check_template(template: &str) -> Result<(), DatasetError> {
    let refused = |found| Err(DatasetError::Template { known: FIELDS.join(", "), found });
    let named = template.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let named: Vec<String> = named.map(|(name, _)| format!("{{{name}}}")).collect();
    let unknown: Vec<&str> =
        named.iter().map(String::as_str).filter(|name| !FIELDS.contains(name)).collect();
    if !unknown.is_empty() {
        return refused(unknown.join(", "));
    }
    if named.is_empty() { refused("no field".to_owned()) } else { Ok(()) }
}

/// The text of an item: the template with `{title}`, `{year}`, `{categories}`, `{brand}` and
/// `{description}` replaced. Empty if the item has none of the fields that the template names.
#[must_use]
pub fn item_text(item: &Item, template: &str) -> String {
    let year = item.year.map(|year| year.to_string()).unwrap_or_default();
    let categories = item.genres.join(", ");
    let values =
        [item.title.as_str(), &year, &categories, item.brand.as_str(), item.description.as_str()];
    let fields = FIELDS.into_iter().zip(values);
    if fields.clone().all(|(name, value)| value.is_empty() || !template.contains(name)) {
        return String::new();
    }
    // One pass, so that a title that looks like a field is not replaced.
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, value)) = fields.clone().find(|(name, _)| rest.starts_with(name)) {
            text.push_str(value);
            rest = &rest[name.len()..];
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    let text = text.replace("()", " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(title: &str, genres: &[&str]) -> Item {
        Item {
            title: title.to_owned(),
            genres: genres.iter().map(|&genre| genre.to_owned()).collect(),
            ..Item::untitled("a".into())
        }
    }

    #[test]
    fn texts_have_the_fields_that_are_known() {
        let tea = item("Tea {brand}", &["Food", "Drinks"]);
        assert_eq!(item_text(&tea, DEFAULT_TEMPLATE), "Tea {brand} (Food, Drinks)");
        assert_eq!(item_text(&item("Tea", &[]), DEFAULT_TEMPLATE), "Tea");
        assert_eq!(item_text(&item("", &[]), DEFAULT_TEMPLATE), "");
        assert_eq!(item_text(&tea, "{categories}{"), "Food, Drinks{");
        let full = Item { year: Some(1999), brand: "B".into(), description: "D".into(), ..tea };
        assert_eq!(
            item_text(&full, "{title}|{year}|{brand}|{description}"),
            "Tea {brand}|1999|B|D"
        );
    }

    #[test]
    fn unknown_fields_of_a_template_are_named() {
        for good in [DEFAULT_TEMPLATE, "{categories}{", "{{title}}", "{year}"] {
            check_template(good).unwrap();
        }
        let refused = |template| check_template(template).unwrap_err().to_string();
        let message = refused("{title} {Foo} {brnad}");
        assert!(message.contains("found {Foo}, {brnad}"), "{message}");
        assert!(message.contains("{title}, {year}, {categories}, {brand}, {description}"));
        assert!(refused("{ title}").contains("found { title}"));
        assert!(refused("{}{title}").contains("found {}"));
        assert!(refused("a title").contains("found no field"));
    }
}
