use crate::failure::Failure;

/// What a table is to show: `FILE [KEY=VALUE …]`.
///
/// | key | what |
/// |---|---|
/// | `show` | further figures as columns, for instance `show=fusion.alpha,cost.rank_ms_p50` |
/// | `metrics` | figures of quality, `HR@10,NDCG@10` if absent; also `MRR`, at 1, 5, 10, 20 |
/// | `gain` | a column with the change of NDCG@10 relative to the row of this name |
/// | any other | only rows whose field has this value, or one of several, separated by commas |
///
/// Values are as in the file, but `yes` and `no` for true and false, `none` for what is absent,
/// and of `fusion` the rule alone. A `*` at the end stands for anything. Rows of parts of the
/// users are left out unless `stratum` is asked for.
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
                "expected `FILE [KEY=VALUE …]` in the request of a table, found `{found}`"
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
        if !request.filters.iter().any(|(key, _)| key == "stratum") {
            request.filters.push(("stratum".to_owned(), vec!["none".to_owned()]));
        }
        Ok(request)
    }

    /// Whether a row's field may have this value.
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
    fn a_request_says_which_rows_and_columns() {
        let request = Request::parse(" a-b name=srm-*,x learning=no gain=x show=c.d ").unwrap();
        assert_eq!((request.file.as_str(), request.gain.as_deref()), ("a-b", Some("x")));
        assert_eq!(request.show, ["c.d"]);
        assert_eq!(request.metrics, ["HR@10", "NDCG@10"]);
        assert!(request.allows("name", "srm-din") && request.allows("name", "x"));
        assert!(!request.allows("name", "xy") && !request.allows("learning", "yes"));
        assert!(request.allows("budget", "0.05"), "nothing was asked of it");
        assert!(!request.allows("stratum", "cold-user"));
        assert!(Request::parse("a stratum=cold-user").unwrap().allows("stratum", "cold-user"));
        assert!(Request::parse("").is_err() && Request::parse("a b").is_err());
    }
}
