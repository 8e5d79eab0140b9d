//! Titles and years in logs.

/// Splits off a trailing year: `Heat (1995)` is `Heat` of 1995. The title is trimmed.
pub(super) fn split_year(title: &str) -> (&str, Option<u16>) {
    let title = title.trim();
    let split = || {
        let (rest, year) = title.strip_suffix(')')?.rsplit_once('(')?;
        let rest = rest.trim_end();
        // A year in brackets alone is a title.
        (!rest.is_empty() && year.len() == 4).then_some((rest, parse_year(year)?))
    };
    split().map_or((title, None), |(rest, year)| (rest, Some(year)))
}

/// A year of four digits, also as `1995.0`, which data frames write.
pub(super) fn parse_year(text: &str) -> Option<u16> {
    let text = text.trim();
    let year: u16 = text.strip_suffix(".0").unwrap_or(text).parse().ok()?;
    (1000..=2999).contains(&year).then_some(year)
}

/// The year of a date or of a year alone: `1995`, `1995-01-31`, `31-Jan-1995`.
pub(super) fn year_in_date(text: &str) -> Option<u16> {
    let text = text.trim();
    let separators = |c: char| matches!(c, '-' | '/' | '.' | ' ' | ',' | 'T');
    parse_year(text).or_else(|| {
        let mut parts = text.split(separators);
        let (first, last) = (parts.next()?, parts.next_back()?);
        parse_year(first).or_else(|| parse_year(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_year_is_separated() {
        for (title, expected) in [
            ("Heat (1995)", ("Heat", Some(1995))),
            ("  Heat  (1995) ", ("Heat", Some(1995))),
            (
                "Shanghai Triad (Yao a yao yao dao waipo qiao) (1995)",
                ("Shanghai Triad (Yao a yao yao dao waipo qiao)", Some(1995)),
            ),
            ("2001 (A Space Odyssey)", ("2001 (A Space Odyssey)", None)),
            ("Heat (95)", ("Heat (95)", None)),
            ("Heat (19950)", ("Heat (19950)", None)),
            ("(1995)", ("(1995)", None)),
            ("Heat", ("Heat", None)),
            (")", (")", None)),
            ("", ("", None)),
        ] {
            assert_eq!(split_year(title), expected);
        }
    }

    #[test]
    fn a_date_has_a_year() {
        for text in
            ["1995", "1995-01-31", "31-Jan-1995", "January 31, 1995", "1995-01-31T00:00:00Z"]
        {
            assert_eq!(year_in_date(text), Some(1995), "{text}");
        }
        for text in ["'95", "soon", "", "12-13"] {
            assert_eq!(year_in_date(text), None, "{text}");
        }
    }

    #[test]
    fn years_are_four_digits() {
        assert_eq!(parse_year("1995"), Some(1995));
        assert_eq!(parse_year("1995.0"), Some(1995));
        for text in ["", "V", "unkonwn", "95", "1995.5", "-1995", "19950"] {
            assert_eq!(parse_year(text), None, "{text}");
        }
    }
}
