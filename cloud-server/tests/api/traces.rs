//! Traces: what a collector receives.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use actix_web::test::TestRequest;
use cloud_server::Traces;
use serde_json::Value;

use crate::{
    fixture::{Fixture, Options},
    http::{app, get, post, send},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// What a collector received: head and body of each request.
struct Collector {
    requests: Receiver<(String, Value)>,
    address: String,
}

impl Collector {
    /// A collector that answers with these statuses, one after the other.
    fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for status in statuses {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    let start = head.len();
                    assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
                    let line = head[start..].to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
                );
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                sender.send((head, serde_json::from_slice(&body).unwrap())).unwrap();
            }
        });
        Self { requests, address }
    }

    fn traces(&self, sample: u8) -> Traces {
        Traces::start(&self.address.parse().unwrap(), sample).unwrap()
    }

    /// Waits for a request. Returns its spans.
    fn spans(&self) -> Vec<Value> {
        let (head, body) = self.requests.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/json\r\n"), "{head}");
        let resource = &body["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "cloud-server");
        resource["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    }
}

fn attributes(span: &Value) -> HashMap<&str, &Value> {
    let attributes = span["attributes"].as_array().unwrap().iter();
    attributes
        .map(|attribute| {
            let value = attribute["value"].as_object().unwrap().values().next().unwrap();
            (attribute["key"].as_str().unwrap(), value)
        })
        .collect()
}

fn with(traces: Traces) -> Fixture {
    Fixture::with(Options { traces: Some(traces), ..Options::default() })
}

#[actix_rt::test]
async fn a_collector_receives_one_span_per_request_without_items() {
    let collector = Collector::start(&[200]);
    let fixture = with(collector.traces(100));
    let app = app(&fixture).await;
    let reply = post(&app, "/v1/candidates", r#"{"history":["17"],"exclude":["23"],"k":3}"#).await;
    post(&app, "/v1/candidates", r#"{"history":["14"]}"#).await;
    get(&app, "/users/jane@example.com").await;
    get(&app, "/livez").await;
    fixture.state.traces.as_ref().unwrap().stop(PATIENCE);
    let spans = collector.spans();
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    // Not the probe.
    assert_eq!(names, ["POST /v1/candidates", "POST /v1/candidates", "GET other"]);
    let list = attributes(&spans[0]);
    assert_eq!(list["http.route"], "/v1/candidates");
    assert_eq!(list["http.response.status_code"], "200");
    assert_eq!(list["tandem.request_id"], reply.header("x-request-id"));
    assert_eq!((list["tandem.candidates"], list["tandem.tokens"]), (&"3".into(), &"7".into()));
    assert_eq!(list["tandem.prompt_s"], 0.001);
    assert_eq!(list["tandem.decode_s"], 0.002);
    assert!(list["tandem.queue_wait_s"].as_f64().unwrap() >= 0.0);
    let time = |name: &str| spans[0][name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(time("endTimeUnixNano") >= time("startTimeUnixNano"));
    let failed = attributes(&spans[1]);
    assert_eq!(
        (failed["error.type"], spans[1]["status"]["code"].as_u64()),
        (&"internal".into(), Some(2))
    );
    assert_ne!(spans[0]["traceId"], spans[1]["traceId"]);
    let text = Value::Array(spans.clone()).to_string();
    for private in ["\"17\"", "\"23\"", "history", "jane", "127.0.0.1"] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
}

/// A span that waits keeps nothing whose length a caller chooses.
#[actix_rt::test]
async fn a_method_that_is_not_known_is_not_in_a_span() {
    let collector = Collector::start(&[200]);
    let fixture = with(collector.traces(100));
    let app = app(&fixture).await;
    let method = "A".repeat(60_000).parse().unwrap();
    send(&app, TestRequest::with_uri("/v1/models").method(method)).await;
    fixture.state.traces.as_ref().unwrap().stop(PATIENCE);
    let spans = collector.spans();
    assert_eq!(spans[0]["name"], "HTTP /v1/models");
    assert_eq!(attributes(&spans[0])["http.request.method"], "_OTHER");
    assert!(!spans[0].to_string().contains("AAAA"));
}

#[actix_rt::test]
async fn the_trace_of_a_caller_is_continued() {
    let collector = Collector::start(&[200]);
    // Nothing begins here.
    let fixture = with(collector.traces(0));
    let app = app(&fixture).await;
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    for header in [
        format!("00-{trace}-{parent}-01"),
        // Not sampled by the caller, and no valid header.
        format!("00-{trace}-{parent}-00"),
        format!("00-{trace}-{parent}"),
    ] {
        let request = TestRequest::get().uri("/v1/models").insert_header(("traceparent", header));
        assert_eq!(send(&app, request).await.status.as_u16(), 200);
    }
    fixture.state.traces.as_ref().unwrap().stop(PATIENCE);
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!((&spans[0]["traceId"], &spans[0]["parentSpanId"]), (&trace.into(), &parent.into()));
    assert_ne!(spans[0]["spanId"], parent);
}

#[actix_rt::test]
async fn a_collector_that_fails_or_is_gone_disturbs_no_request() {
    let collector = Collector::start(&[503, 200]);
    let fixture = with(collector.traces(100));
    let app = app(&fixture).await;
    get(&app, "/v1/models").await;
    assert_eq!(collector.spans().len(), 1);
    // The next batch has the next span only.
    get(&app, "/v1/status").await;
    assert_eq!(collector.spans()[0]["name"], "GET /v1/status");
    // Nobody listens any more.
    for _ in 0..5_000 {
        assert_eq!(get(&app, "/v1/models").await.status.as_u16(), 200);
    }
}

#[actix_rt::test]
async fn pages_of_other_origins_may_send_their_trace() {
    let allowed_origins = vec!["https://shop.example".parse().unwrap()];
    let app = app(&Fixture::with(Options { allowed_origins, ..Options::default() })).await;
    let request = TestRequest::with_uri("/v1/candidates")
        .method(actix_web::http::Method::OPTIONS)
        .insert_header(("origin", "https://shop.example"))
        .insert_header(("access-control-request-method", "POST"))
        .insert_header(("access-control-request-headers", "content-type,traceparent"));
    let reply = send(&app, request).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert!(reply.header("access-control-allow-headers").contains("traceparent"), "{reply:?}");
}
