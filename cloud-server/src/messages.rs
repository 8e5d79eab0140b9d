//! Messages of parsers, as responses have them.

/// Maximum length of a parser message in a response, in characters. The message may quote the
/// request, which may have a megabyte.
const MAX_MESSAGE: usize = 200;

/// A message of `serde` with a description in place of the name of a type of numbers.
pub(crate) fn plain_types(message: &str) -> String {
    const TYPES: [(&[&str], &str); 3] = [
        (&["u8", "u16", "u32", "u64", "usize"], "a whole number that is not negative"),
        (&["i8", "i16", "i32", "i64", "isize"], "a whole number"),
        (&["f32", "f64"], "a number"),
    ];
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let (name, rest) = match expected.split_once(' ') {
        Some((name, rest)) => (name, format!(" {rest}")),
        None => (expected, String::new()),
    };
    let plain = TYPES.iter().find(|(names, _)| names.contains(&name));
    let name = plain.map_or(name, |(_, plain)| *plain);
    format!("{found}, expected {name}{rest}")
}

/// The beginning of a text of the request, which may be long.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_program_are_described() {
        let sent = "invalid type: string \"x, expected u8\", expected i64";
        let plain = "invalid type: string \"x, expected u8\", expected a whole number";
        assert_eq!(plain_types(sent), plain);
        let sent = "invalid value: integer `-1`, expected usize at line 1 column 2";
        let plain = "invalid value: integer `-1`, expected a whole number that is not negative at line 1 column 2";
        assert_eq!(plain_types(sent), plain);
        assert_eq!(plain_types("duplicate field `x`"), "duplicate field `x`");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(1_000)).chars().count(), MAX_MESSAGE + 1);
    }
}
