use std::fmt;

use actix_web::http::header::HeaderMap;

use super::hex::hex;

/// The trace to which a request belongs, from its header `traceparent` (W3C Trace Context).
///
/// Anyone can send this header. It has a fixed length and digits only, so that it can be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    is_sampled: bool,
}

impl TraceParent {
    /// The value of the header, if there is one and it is valid.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get("traceparent")?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version: [u8; 1] = digits(parts.next()?)?;
        let (trace, span) = (digits(parts.next()?)?, digits(parts.next()?)?);
        let [flags] = digits(parts.next()?)?;
        // Later versions may have more parts; version 255 is invalid.
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// Whether the caller records this trace.
    pub(super) fn is_sampled(self) -> bool {
        self.is_sampled
    }

    /// Ids of the trace and of the caller's span.
    pub(super) fn ids(self) -> ([u8; 16], [u8; 8]) {
        (self.trace, self.span)
    }
}

/// Bytes in lower-case hexadecimal digits.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 2 * N || !is_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// As the header.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-0{}", hex(&self.trace), hex(&self.span), u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_header_is_read() {
        assert_eq!(TraceParent::parse(VALID).unwrap().to_string(), VALID);
        let later = format!("01{}-what-comes-later", &VALID[2..]);
        assert_eq!(TraceParent::parse(&later).unwrap().to_string(), VALID);
        let unsampled = VALID.replace("-01", "-00");
        assert_eq!(TraceParent::parse(&unsampled).unwrap().to_string(), unsampled);
    }

    #[test]
    fn other_headers_are_ignored() {
        for text in [
            "",
            "00",
            &VALID.to_uppercase(),
            &VALID[..VALID.len() - 1],
            &format!("{VALID}-00"),
            &VALID.replacen("00", "ff", 1),
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }
}
