use crate::failure::Failure;

/// The contents of a table: `FILE [KEY=VALUE …]`.
///
/// | key | meaning |
/// |---|---|
/// | `show` | further figures as columns, for example `show=fusion.alpha,cost.rank_ms_p50` |
/// | `metrics` | quality figures; `HR@10,NDCG@10` by default; also `MRR`, at 1, 5, 10, 20 |
/// | `gain` | adds a column with the change of NDCG@10 relative to the row of this name |
/// | any other | filter: only rows whose field has one of these values, separated by commas |
///
/// Values are written as in the file, with `yes` and `no` for true and false, `none` for an
/// absent field, and the rule alone for `fusion`. A `*` at the end matches any ending. Two
/// filters have a default of `none`: `stratum` (rows of groups of users) and `search` (rows
/// with on-device search; rows without the field are rows without search). `search=*` shows all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Request {
    pub(super) file: String,
    pub(super) show: Vec<String>,
    pub(super) metrics: Vec<String>,
    pub(super) gain: Option<String>,
    pub(super) filters: Vec<(String, Vec<String>)>,
}

impl Request {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut words = text.split_whitespace();
        let wrong = |found: &str| {
            Failure::Check(format!(
                "expected `FILE [KEY=VALUE …]` after `results:`, found `{found}`: correct the comment \
                 above the table"
            ))
        };
        let file = words.next().ok_or_else(|| wrong(text))?.to_owned();
        let mut request = Self { file, ..Self::default() };
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| wrong(word))?;
            let values: Vec<String> = value.split(',').map(str::to_owned).collect();
            match key {
                "show" => request.show = values,
                "metrics" => request.metrics = values,
                "gain" => request.gain = Some(value.to_owned()),
                _ => request.filters.push((key.to_owned(), values)),
            }
        }
        if request.metrics.is_empty() {
            request.metrics = vec!["HR@10".to_owned(), "NDCG@10".to_owned()];
        }
        for key in ["stratum", "search"] {
            if !request.filters.iter().any(|(name, _)| name == key) {
                request.filters.push((key.to_owned(), vec!["none".to_owned()]));
            }
        }
        Ok(request)
    }

    /// Whether the filters accept this value of a field.
    pub(super) fn allows(&self, key: &str, value: &str) -> bool {
        let matches = |allowed: &String| match allowed.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == allowed,
        };
        self.filters.iter().filter(|(name, _)| name == key).all(|(_, any)| any.iter().any(matches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_selects_rows_and_columns() {
        let request = Request::parse(" a-b name=srm-*,x learning=no gain=x show=c.d ").unwrap();
        assert_eq!((request.file.as_str(), request.gain.as_deref()), ("a-b", Some("x")));
        assert_eq!(request.show, ["c.d"]);
        assert_eq!(request.metrics, ["HR@10", "NDCG@10"]);
        assert!(request.allows("name", "srm-din") && request.allows("name", "x"));
        assert!(!request.allows("name", "xy") && !request.allows("learning", "yes"));
        assert!(request.allows("budget", "0.05"), "no filter on this field");
        assert!(!request.allows("stratum", "cold-user"));
        assert!(Request::parse("a stratum=cold-user").unwrap().allows("stratum", "cold-user"));
        assert!(request.allows("search", "none") && !request.allows("search", "whole"));
        assert!(Request::parse("a search=*").unwrap().allows("search", "cells"));
        assert!(Request::parse("").is_err() && Request::parse("a b").is_err());
    }
}
