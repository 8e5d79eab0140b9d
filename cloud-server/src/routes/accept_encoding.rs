//! Which encodings a client accepts.

use actix_web::http::header::{ACCEPT_ENCODING, HeaderMap};

/// Whether the client accepts the encoding `name`, for example `br`.
pub(super) fn accepts(headers: &HeaderMap, name: &str) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (coding, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        coding.trim().eq_ignore_ascii_case(name) && !matches!(weight, Some(Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn an_encoding_with_weight_zero_is_not_accepted() {
        let accepts_brotli = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts(&headers, "br")
        };
        for value in ["br", "gzip, deflate, BR", "gzip;q=0.5,br;q=0.1", "br ; q=1"] {
            assert!(accepts_brotli(value), "{value}");
        }
        for value in ["", "gzip", "brotli", "br;q=0", "gzip, br; q=0.0"] {
            assert!(!accepts_brotli(value), "{value}");
        }
        assert!(!accepts(&HeaderMap::new(), "br"));
    }
}
