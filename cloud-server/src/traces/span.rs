use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tandem_protocol::ErrorCode;

use super::{TraceParent, hex::hex};
use crate::{candidate_stats::CandidateStats, log_fields::OTHER_METHOD};

/// `SPAN_KIND_SERVER` of OTLP.
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR` of OTLP.
const ERROR: u8 = 2;

/// What a span says about a request that has ended.
#[derive(Clone, Debug)]
pub(crate) struct RequestSpan {
    pub(crate) request_id: String,
    /// One of a fixed set.
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) end: SystemTime,
    pub(crate) duration: Duration,
    /// `None` if the client disconnected before the response.
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) stats: CandidateStats,
}

/// The place of a span in its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanId {
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
}

impl SpanId {
    /// A span below that of a caller. `None` without random numbers.
    pub(super) fn below(parent: TraceParent) -> Option<Self> {
        let (trace, parent) = parent.ids();
        Some(Self { trace, span: random()?, parent: Some(parent) })
    }

    /// The first span of a trace, for `sample` percent of them.
    pub(super) fn root(sample: u8) -> Option<Self> {
        let [chance] = random()?.map(u16::from);
        if chance * 100 >= u16::from(sample) * 256 {
            return None;
        }
        Some(Self { trace: random()?, span: random()?, parent: None })
    }

    /// The id of the trace as text.
    pub(super) fn trace(&self) -> String {
        hex(&self.trace)
    }
}

/// The span in OTLP's JSON. Numbers of 64 bits are texts there.
pub(super) fn to_otlp(id: &SpanId, request: &RequestSpan) -> Value {
    let RequestSpan { request_id, method, route, end, duration, status, code, stats } = request;
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let int =
        |key: &str, value: u64| json!({ "key": key, "value": { "intValue": value.to_string() } });
    let double = |key: &str, value: f64| json!({ "key": key, "value": { "doubleValue": value } });
    let mut attributes = vec![
        text("http.request.method", method),
        text("http.route", route),
        text("tandem.request_id", request_id),
    ];
    attributes.extend(status.map(|status| int("http.response.status_code", status.into())));
    attributes.extend(code.map(|code| text("error.type", code.as_str())));
    if let Some(times) = stats.times {
        attributes.extend([
            double("tandem.queue_wait_s", times.queue_s),
            double("tandem.prompt_s", times.prompt_s),
            double("tandem.decode_s", times.decode_s),
        ]);
    }
    if stats.candidates > 0 {
        attributes.push(int("tandem.candidates", stats.candidates as u64));
        attributes.push(int("tandem.tokens", stats.tokens as u64));
    }
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = end.saturating_sub(*duration);
    let mut span = json!({
        "traceId": hex(&id.trace),
        "spanId": hex(&id.span),
        // OpenTelemetry: a method that is not known is `HTTP` in the name of a span.
        "name": format!("{} {route}", if *method == OTHER_METHOD { "HTTP" } else { method }),
        "kind": SERVER,
        "startTimeUnixNano": start.as_nanos().to_string(),
        "endTimeUnixNano": end.as_nanos().to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = id.parent {
        span["parentSpanId"] = hex(&parent).into();
    }
    match status {
        Some(500..) => span["status"] = json!({ "code": ERROR }),
        Some(_) => {}
        None => span["status"] = json!({ "code": ERROR, "message": "the client disconnected" }),
    }
    span
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate_stats::ListTimes;

    fn request() -> RequestSpan {
        RequestSpan {
            request_id: "abc-1".to_owned(),
            method: "POST",
            route: "/v1/candidates",
            end: UNIX_EPOCH + Duration::from_secs(5),
            duration: Duration::from_millis(250),
            status: Some(200),
            code: None,
            stats: CandidateStats {
                candidates: 50,
                tokens: 7,
                times: Some(ListTimes { queue_s: 0.125, prompt_s: 0.0625, decode_s: 0.03125 }),
            },
        }
    }

    #[test]
    fn a_span_is_written_as_otlp_says() {
        let id = SpanId { trace: [1; 16], span: [2; 8], parent: Some([3; 8]) };
        let found = to_otlp(&id, &request());
        let expected = json!({
            "traceId": "01010101010101010101010101010101",
            "spanId": "0202020202020202",
            "parentSpanId": "0303030303030303",
            "name": "POST /v1/candidates",
            "kind": 2,
            "startTimeUnixNano": "4750000000",
            "endTimeUnixNano": "5000000000",
            "attributes": [
                { "key": "http.request.method", "value": { "stringValue": "POST" } },
                { "key": "http.route", "value": { "stringValue": "/v1/candidates" } },
                { "key": "tandem.request_id", "value": { "stringValue": "abc-1" } },
                { "key": "http.response.status_code", "value": { "intValue": "200" } },
                { "key": "tandem.queue_wait_s", "value": { "doubleValue": 0.125 } },
                { "key": "tandem.prompt_s", "value": { "doubleValue": 0.0625 } },
                { "key": "tandem.decode_s", "value": { "doubleValue": 0.03125 } },
                { "key": "tandem.candidates", "value": { "intValue": "50" } },
                { "key": "tandem.tokens", "value": { "intValue": "7" } },
            ],
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn errors_of_the_server_and_disconnections_are_errors_of_the_span() {
        let id = SpanId::root(100).unwrap();
        let mut request = request();
        request.status = Some(429);
        assert!(to_otlp(&id, &request).get("status").is_none());
        request.status = Some(503);
        request.code = Some(ErrorCode::Overloaded);
        let span = to_otlp(&id, &request);
        assert_eq!(span["status"], json!({ "code": 2 }));
        assert!(span["attributes"].to_string().contains("overloaded"), "{span}");
        assert!(span.get("parentSpanId").is_none());
        request.status = None;
        assert_eq!(to_otlp(&id, &request)["status"]["message"], "the client disconnected");
    }

    #[test]
    fn a_share_of_the_traces_begins() {
        assert!((0..100).all(|_| SpanId::root(100).is_some()));
        assert!((0..100).all(|_| SpanId::root(0).is_none()));
        let sampled = (0..2_000).filter(|_| SpanId::root(25).is_some()).count();
        assert!((300..700).contains(&sampled), "{sampled} of 2000 for 25 %");
    }
}
