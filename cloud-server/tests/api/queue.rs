//! Queue limits, deadlines, clients that disconnect, and generators that fail.

use std::{
    io::Write,
    net::TcpListener,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use cloud_server::{Limits, Readiness};

use crate::{
    fixture::{FAILS, Fixture, Options, PANICS, wait_for, wait_until},
    http::{app, get, post},
};

const PATH: &str = "/v1/candidates";
const BODY: &str = r#"{"history":["1"]}"#;

fn history(id: &str) -> String {
    format!(r#"{{"history":["{id}"]}}"#)
}

#[actix_rt::test]
async fn only_candidates_and_readiness_wait_for_the_model() {
    let fixture = Fixture::with(Options { loading: true, ..Options::default() });
    let app = app(&fixture).await;
    assert_eq!(get(&app, "/livez").await.status.as_u16(), 200);
    let reply = get(&app, "/readyz").await;
    assert_eq!(reply.refusal(), "503 not_ready");
    assert_eq!(reply.header("retry-after"), "2");
    assert_eq!(post(&app, PATH, BODY).await.refusal(), "503 not_ready");
    // Invalid requests are refused while the model is loading, too.
    assert_eq!(post(&app, PATH, "{}").await.refusal(), "400 invalid_field history");
    assert_eq!(get(&app, "/v1/status").await.json()["language_model"], serde_json::Value::Null);
    assert_eq!(get(&app, "/v1/manifest").await.status.as_u16(), 200);

    fixture.script.open();
    wait_for("the engine is ready", || {
        matches!(fixture.worker().readiness(), Readiness::Ready { .. })
    })
    .await;
    assert_eq!(get(&app, "/readyz").await.status.as_u16(), 200);
    assert_eq!(post(&app, PATH, BODY).await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn a_full_queue_gets_503_at_once_and_queued_requests_are_served() {
    let fixture = Fixture::with(Options { capacity: Some(1), ..Options::default() });
    let app = Rc::new(app(&fixture).await);
    let start = || {
        let app = Rc::clone(&app);
        actix_rt::spawn(async move { post(&*app, PATH, BODY).await.status.as_u16() })
    };
    fixture.script.close();
    let decoding = start();
    wait_for("one is decoded", || fixture.script.started() == 1).await;
    let waiting = start();
    wait_for("one waits", || fixture.worker().queued() == 1).await;

    let reply = post(&*app, PATH, BODY).await;
    assert_eq!(reply.refusal(), "503 overloaded");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(get(&*app, "/livez").await.status.as_u16(), 200);

    fixture.script.open();
    assert_eq!(decoding.await.unwrap(), 200);
    assert_eq!(waiting.await.unwrap(), 200);
    assert_eq!(fixture.script.started(), 2);
    assert_eq!(fixture.worker().queued(), 0);
}

#[actix_rt::test]
async fn a_passed_deadline_gets_504_and_the_job_is_not_decoded() {
    let limits = Limits { timeout: Duration::from_millis(50), ..Limits::default() };
    let fixture = Fixture::with(Options { limits, ..Options::default() });
    let app = app(&fixture).await;
    fixture.script.close();
    assert_eq!(post(&app, PATH, BODY).await.refusal(), "504 timeout");
    assert_eq!(post(&app, PATH, BODY).await.refusal(), "504 timeout");
    assert_eq!(fixture.script.started(), 1, "the second job was started");
    fixture.script.open();
    wait_for("the queue is empty", || fixture.worker().queued() == 0).await;
    assert_eq!(fixture.script.started(), 1, "the second job was decoded without a client");
}

#[actix_rt::test]
async fn a_cancelled_request_is_not_decoded() {
    let fixture = Fixture::new();
    let app = Rc::new(app(&fixture).await);
    let start = || {
        let app = Rc::clone(&app);
        actix_rt::spawn(async move { post(&*app, PATH, BODY).await.status.as_u16() })
    };
    fixture.script.close();
    let decoding = start();
    wait_for("one is decoded", || fixture.script.started() == 1).await;
    let abandoned = start();
    wait_for("one waits", || fixture.worker().queued() == 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    wait_for("its place is free", || fixture.worker().queued() == 0).await;
    let patient = start();
    wait_for("another waits", || fixture.worker().queued() == 1).await;

    fixture.script.open();
    assert_eq!(decoding.await.unwrap(), 200);
    assert_eq!(patient.await.unwrap(), 200);
    assert_eq!(fixture.script.started(), 2, "the abandoned request was decoded");
}

/// At a shutdown that follows a new release.
#[actix_rt::test]
async fn requests_that_wait_for_an_earlier_release_are_refused_too() {
    let (fixture, newer) = (Fixture::new(), Fixture::new());
    let app = Rc::new(app(&fixture).await);
    let start = || {
        let app = Rc::clone(&app);
        actix_rt::spawn(async move { post(&*app, PATH, BODY).await.status.as_u16() })
    };
    fixture.script.close();
    let decoding = start();
    wait_for("one is decoded", || fixture.script.started() == 1).await;
    let waiting = start();
    wait_for("one waits", || fixture.worker().queued() == 1).await;
    let current = &fixture.state.recommender;
    let before = current.replace(Arc::clone(&newer.recommender));
    assert!(Arc::ptr_eq(&before, &fixture.recommender));

    current.refuse_waiting();
    assert_eq!(waiting.await.unwrap(), 503);
    fixture.script.open();
    assert_eq!(decoding.await.unwrap(), 200);
}

/// A client that hangs up and comes again must not keep others out of a full queue.
#[actix_rt::test]
async fn the_places_of_cancelled_requests_are_free_at_once() {
    let fixture = Fixture::with(Options { capacity: Some(2), ..Options::default() });
    let app = Rc::new(app(&fixture).await);
    let start = || {
        let app = Rc::clone(&app);
        actix_rt::spawn(async move { post(&*app, PATH, BODY).await.status.as_u16() })
    };
    fixture.script.close();
    let decoding = start();
    wait_for("one is decoded", || fixture.script.started() == 1).await;
    for _ in 0..5 {
        let abandoned = [start(), start()];
        wait_for("the queue is full", || fixture.worker().queued() == 2).await;
        abandoned.iter().for_each(actix_rt::task::JoinHandle::abort);
        wait_for("the places are free", || fixture.worker().queued() == 0).await;
    }
    let patient = start();
    fixture.script.open();
    assert_eq!(decoding.await.unwrap(), 200);
    assert_eq!(patient.await.unwrap(), 200);
    assert_eq!(fixture.script.started(), 2);
}

/// The same with a socket: the server notices that it was closed while the request waits.
#[test]
fn the_request_of_a_client_that_disconnects_is_not_decoded() {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel();
    let state = fixture.state.clone();
    let server = std::thread::spawn(move || {
        actix_rt::System::new().block_on(async move {
            let server = cloud_server::serve(listener, state).unwrap();
            stop.send(server.handle()).unwrap();
            server.run().await.unwrap();
        });
    });
    let handle = stopped.recv().unwrap();
    let ask = || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{BODY}",
            BODY.len()
        )
        .unwrap();
        stream
    };
    fixture.script.close();
    let patient = ask();
    wait_until("one is decoded", || fixture.script.started() == 1);
    let disconnecting = ask();
    wait_until("one waits", || fixture.worker().queued() == 1);
    drop(disconnecting);
    // There is no way to observe when the server has noticed.
    std::thread::sleep(Duration::from_millis(500));
    fixture.script.open();
    wait_until("the queue is empty", || fixture.worker().queued() == 0);
    drop(patient);
    actix_rt::System::new().block_on(handle.stop(Some(Instant::now() + Duration::from_secs(1))));
    server.join().unwrap();
    assert!(fixture.worker().stop(Duration::from_mins(1)));
    assert_eq!(fixture.script.started(), 1, "the request of the disconnected client was decoded");
}

#[actix_rt::test]
async fn a_generator_that_panicked_is_replaced() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    assert_eq!(post(&app, PATH, history(PANICS)).await.refusal(), "500 internal");
    assert_eq!(post(&app, PATH, BODY).await.status.as_u16(), 200);
    assert_eq!(fixture.script.created.load(Ordering::SeqCst), 2);
    assert_eq!(get(&app, "/readyz").await.status.as_u16(), 200);
}

#[actix_rt::test]
async fn a_generator_that_failed_is_kept() {
    let fixture = Fixture::new();
    let app = app(&fixture).await;
    assert_eq!(post(&app, PATH, history(FAILS)).await.refusal(), "500 internal");
    assert_eq!(post(&app, PATH, BODY).await.status.as_u16(), 200);
    assert_eq!(fixture.script.created.load(Ordering::SeqCst), 1);
}

/// Queues `bodies` while a first job is decoded. Returns their statuses in order.
async fn queue_together(fixture: &Fixture, bodies: &[String]) -> Vec<u16> {
    let app = Rc::new(app(fixture).await);
    let start = |body: String| {
        let app = Rc::clone(&app);
        actix_rt::spawn(async move { post(&*app, PATH, body).await.status.as_u16() })
    };
    fixture.script.close();
    let first = start(BODY.to_owned());
    wait_for("one is decoded", || fixture.script.started() == 1).await;
    let mut waiting = Vec::new();
    for body in bodies {
        waiting.push(start(body.clone()));
        wait_for("it waits", || fixture.worker().queued() == waiting.len()).await;
    }
    fixture.script.open();
    assert_eq!(first.await.unwrap(), 200);
    let mut statuses = Vec::new();
    for request in waiting {
        statuses.push(request.await.unwrap());
    }
    assert_eq!(fixture.worker().queued(), 0);
    statuses
}

fn batching() -> Fixture {
    Fixture::with(Options { max_batch: Some(3), ..Options::default() })
}

#[actix_rt::test]
async fn half_of_the_waiting_jobs_are_a_batch_up_to_the_generator_s_size() {
    let bodies: Vec<String> = ["1", "2", "3", "4", "5", "6", "7", "8"].map(history).into();
    let fixture = batching();
    assert_eq!(queue_together(&fixture, &bodies).await, [200; 8]);
    assert_eq!(*fixture.script.batches.lock().unwrap(), [1, 3, 3, 1, 1]);

    let fixture = Fixture::new();
    assert_eq!(queue_together(&fixture, &bodies).await, [200; 8]);
    assert_eq!(*fixture.script.batches.lock().unwrap(), [1; 9]);
}

#[actix_rt::test]
async fn a_failing_query_does_not_affect_its_batch() {
    let fixture = batching();
    let bodies: Vec<String> = ["1", FAILS, "3", "4"].map(history).into();
    assert_eq!(queue_together(&fixture, &bodies).await, [200, 500, 200, 200]);
    assert_eq!(*fixture.script.batches.lock().unwrap(), [1, 2, 1, 1]);
    assert_eq!(fixture.script.created.load(Ordering::SeqCst), 1);
}

#[actix_rt::test]
async fn a_panic_fails_only_its_batch() {
    let fixture = batching();
    let bodies: Vec<String> = ["1", PANICS, "3", "4"].map(history).into();
    assert_eq!(queue_together(&fixture, &bodies).await, [500, 500, 200, 200]);
    assert_eq!(*fixture.script.batches.lock().unwrap(), [1, 2, 1, 1]);
    assert_eq!(fixture.script.created.load(Ordering::SeqCst), 2);
}

#[test]
fn stopping_a_worker_ends_its_thread() {
    let fixture = Fixture::new();
    assert!(fixture.worker().stop(Duration::from_mins(1)));
    assert!(fixture.worker().stop(Duration::ZERO), "stopping twice is harmless");
}
