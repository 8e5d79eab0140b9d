//! Files that are one JSON object around the list of rows, as `{"orders": […]}` and
//! `{"data": {"events": […]}}`.

use serde_json::{Map, Value};

/// Levels of objects in which the list is looked for.
const LEVELS: usize = 3;

/// What the object of a file with only one is.
#[derive(Debug, PartialEq)]
pub(super) enum Wrapper {
    /// It holds the rows.
    Rows(Vec<Map<String, Value>>),
    /// It has nothing but several lists of objects, with these paths.
    Several(Vec<String>),
    /// It is a row itself.
    Row(Map<String, Value>),
}

/// Lists of objects in an object, and its other values.
#[derive(Default)]
struct Content {
    /// Path, number of fields of the first element.
    lists: Vec<(Vec<String>, usize)>,
    others: usize,
}

/// The rows in an object, if its only list of objects holds them: the list's elements have more
/// fields than the object has outside of it. A list that `is_unnested` is one only if there is
/// nothing outside, because events have such lists.
pub(super) fn unwrap(
    mut object: Map<String, Value>,
    is_unnested: impl Fn(&str) -> bool,
) -> Wrapper {
    let mut content = Content::default();
    content.add(&object, &mut Vec::new());
    match content.lists.as_slice() {
        [(path, fields)] => {
            let unnested = path.last().is_some_and(|name| is_unnested(name));
            let rows = content.others < if unnested { 1 } else { *fields };
            match rows.then(|| take(&mut object, path)).flatten() {
                Some(rows) => Wrapper::Rows(rows),
                None => Wrapper::Row(object),
            }
        }
        [_, _, ..] if content.others == 0 => {
            Wrapper::Several(content.lists.into_iter().map(|(path, _)| path.join(".")).collect())
        }
        _ => Wrapper::Row(object),
    }
}

impl Content {
    fn add(&mut self, object: &Map<String, Value>, path: &mut Vec<String>) {
        for (name, value) in object {
            path.push(name.clone());
            match value {
                Value::Object(inner) if path.len() < LEVELS => self.add(inner, path),
                Value::Array(values) if values.iter().all(Value::is_object) => {
                    if let Some(Value::Object(first)) = values.first() {
                        self.lists.push((path.clone(), first.len()));
                    }
                }
                Value::Null => {}
                _ => self.others += 1,
            }
            path.pop();
        }
    }
}

/// Takes the list at a path.
fn take(object: &mut Map<String, Value>, path: &[String]) -> Option<Vec<Map<String, Value>>> {
    match (object.get_mut(path.first()?)?, &path[1..]) {
        (Value::Object(inner), rest) => take(inner, rest),
        (Value::Array(values), []) => {
            let object = |value| match value {
                Value::Object(object) => Some(object),
                _ => None,
            };
            Some(std::mem::take(values).into_iter().filter_map(object).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The rows of an object, or `None` if it is one itself.
    fn rows(value: Value) -> Option<Value> {
        let Value::Object(object) = value else { panic!("expected an object") };
        match unwrap(object, |name| name == "items") {
            Wrapper::Rows(rows) => Some(rows.into_iter().map(Value::Object).collect()),
            Wrapper::Row(_) => None,
            Wrapper::Several(paths) => Some(json!(paths.join(" "))),
        }
    }

    #[test]
    fn the_only_list_of_objects_holds_the_rows() {
        let list = json!([{"user": 1, "item": 2}, {"user": 3, "item": 4}]);
        assert_eq!(rows(json!({"orders": list})), Some(list.clone()));
        assert_eq!(rows(json!({"count": 2, "next": null, "orders": list})), Some(list.clone()));
        assert_eq!(rows(json!({"data": {"events": list}})), Some(list.clone()));
        assert_eq!(rows(json!({"items": list})), Some(list.clone()));
        // One event, and one item of a catalogue.
        assert_eq!(rows(json!({"user": 1, "items": list})), None);
        assert_eq!(rows(json!({"id": 1, "title": "x", "variants": [{"id": 1, "sku": 2}]})), None);
        assert_eq!(rows(json!({"user": 1, "item": 2, "tags": []})), None);
        let several = json!({"a": list, "b": {"c": list}});
        assert_eq!(rows(several), Some(json!("a b.c")));
    }
}
