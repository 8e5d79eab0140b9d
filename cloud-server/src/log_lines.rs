//! Lines of the log of bounded length. A line of JSON that is cut is still one of JSON.

use serde_json::{Map, Value, json};

/// Maximum length of one log line in bytes; the rest is cut.
pub(crate) const MAX_LINE: usize = 8 << 10;
/// Maximum lengths of the texts of a line that is too long, tried in order.
const TEXTS: [usize; 3] = [1024, 256, 64];
/// Fields that a line keeps if all of its fields together are too long.
const KEPT: [&str; 4] = ["timestamp", "level", "target", "message"];
/// Field with the length that a line had before it was cut.
const CUT_FROM: &str = "cut_from_bytes";

/// The line, if it is not too long, or what is left of it.
pub(crate) fn bounded(line: &[u8]) -> Vec<u8> {
    if line.len() <= MAX_LINE {
        return line.to_vec();
    }
    if let Ok(Value::Object(fields)) = serde_json::from_slice(line) {
        return shortened(fields, line.len());
    }
    let text = String::from_utf8_lossy(&line[..MAX_LINE]);
    // A character may have been cut in the middle.
    format!("{}...\n", text.trim_end_matches(char::REPLACEMENT_CHARACTER)).into_bytes()
}

/// Whether a line is one of JSON.
pub(crate) fn is_json(line: &[u8]) -> bool {
    line.first() == Some(&b'{')
}

/// The line that reports lost lines, in the format of the others.
pub(crate) fn dropped(lost: u64, is_json: bool) -> String {
    if !is_json {
        return format!("{lost} log lines were dropped\n");
    }
    let line = json!({
        "timestamp": jiff::Timestamp::now().to_string(),
        "level": "WARN",
        "target": env!("CARGO_CRATE_NAME"),
        "message": "log lines were dropped",
        "lost": lost,
    });
    format!("{line}\n")
}

fn shortened(mut fields: Map<String, Value>, length: usize) -> Vec<u8> {
    fields.insert(CUT_FROM.to_owned(), length.into());
    for max in TEXTS {
        fields.values_mut().for_each(|value| cut_texts(value, max));
        let line = written(&fields);
        if line.len() <= MAX_LINE {
            return line;
        }
    }
    fields.retain(|name, _| name == CUT_FROM || KEPT.contains(&name.as_str()));
    written(&fields)
}

fn written(fields: &Map<String, Value>) -> Vec<u8> {
    // Keys are texts, so that this cannot fail.
    let mut line = serde_json::to_vec(fields).unwrap_or_default();
    line.push(b'\n');
    line
}

fn cut_texts(value: &mut Value, max: usize) {
    match value {
        Value::String(text) if text.len() > max => {
            text.truncate(text.floor_char_boundary(max));
            text.push('…');
        }
        Value::Array(values) => values.iter_mut().for_each(|value| cut_texts(value, max)),
        Value::Object(fields) => fields.values_mut().for_each(|value| cut_texts(value, max)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(line: &Value) -> Value {
        let bounded = bounded(format!("{line}\n").as_bytes());
        assert!(bounded.len() <= MAX_LINE && bounded.ends_with(b"\n"), "{} bytes", bounded.len());
        serde_json::from_slice(&bounded).unwrap()
    }

    #[test]
    fn a_short_line_is_unchanged() {
        let line = b"{\"level\":\"INFO\"}\n";
        assert_eq!(bounded(line), line);
    }

    #[test]
    fn a_cut_line_of_json_is_valid_and_keeps_its_short_fields() {
        let line = json!({
            "level": "INFO", "id": "abc-1", "status": 200,
            "path": "ä".repeat(50_000), "nested": { "texts": ["\u{0}".repeat(50_000)] },
        });
        let found = json_of(&line);
        assert_eq!((&found["id"], &found["status"]), (&"abc-1".into(), &200.into()));
        assert!(found["path"].as_str().unwrap().ends_with("ä…"), "{found}");
        assert_eq!(found["cut_from_bytes"], line.to_string().len() + 1);
    }

    #[test]
    fn a_line_of_many_fields_keeps_its_message() {
        let mut line = json!({ "level": "WARN", "message": "m".repeat(10_000) });
        for number in 0..1_000 {
            line[format!("field {number}")] = "x".repeat(100).into();
        }
        let found = json_of(&line);
        assert_eq!((&found["level"], found.as_object().unwrap().len()), (&"WARN".into(), 3));
    }

    #[test]
    fn a_cut_line_of_text_ends_at_a_character() {
        let text = String::from_utf8(bounded("ä€".repeat(10_000).as_bytes())).unwrap();
        assert!(text.len() <= MAX_LINE + 4 && text.ends_with("...\n"), "{} bytes", text.len());
        assert!(!text.contains(char::REPLACEMENT_CHARACTER));
    }
}
