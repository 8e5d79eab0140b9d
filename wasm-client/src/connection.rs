//! The line to the server: whether it may be used, whether it works, what it has carried.

use serde::Serialize;
use tandem_collaboration::{Backoff, BackoffLimits};
use tandem_protocol::ErrorCode;

use crate::{
    error::{ClientError, Failure},
    host::Abort,
};

/// State of the line. Holds no network itself.
pub(crate) struct Line<A> {
    offline: bool,
    failure: Option<ClientError>,
    backoff: Backoff,
    flight: Option<Flight<A>>,
    /// Number of the last request, so that one that was given up does not end a later one.
    last_flight: u64,
    /// Requests that brought a list, since the session began.
    pub(crate) calls: u64,
    /// Requests that failed (those that were aborted did not).
    pub(crate) failed_calls: u64,
    /// Bytes of request bodies, since the client was opened.
    pub(crate) bytes_up: u64,
    /// Bytes of answers and artefacts, decompressed, since the client was opened.
    pub(crate) bytes_down: u64,
    /// How long the last request took, in milliseconds.
    pub(crate) request_ms: Option<f64>,
    /// How long the server says it worked on it, in milliseconds.
    pub(crate) server_ms: Option<f64>,
}

struct Flight<A> {
    number: u64,
    abort: A,
}

/// The line as an update reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionReport {
    pub(crate) state: ConnectionState,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) message: Option<String>,
    pub(crate) retry_in_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConnectionState {
    Online,
    Offline,
    Failing,
}

impl<A: Abort> Line<A> {
    pub(crate) fn new() -> Self {
        Self {
            offline: false,
            failure: None,
            backoff: Backoff::new(BackoffLimits::default()),
            flight: None,
            last_flight: 0,
            calls: 0,
            failed_calls: 0,
            bytes_up: 0,
            bytes_down: 0,
            request_ms: None,
            server_ms: None,
        }
    }

    /// Whether a request may start: not offline, none under way.
    pub(crate) fn is_free(&self) -> bool {
        !self.offline && self.flight.is_none()
    }

    /// Notes the start of a request; returns its number.
    pub(crate) fn begin(&mut self, abort: A) -> u64 {
        self.last_flight += 1;
        self.flight = Some(Flight { number: self.last_flight, abort });
        self.last_flight
    }

    /// Notes the end of a request; `false` if it was aborted meanwhile.
    pub(crate) fn end(&mut self, number: u64) -> bool {
        let ours = self.flight.as_ref().is_some_and(|flight| flight.number == number);
        if ours {
            self.flight = None;
        }
        ours
    }

    /// Ends the request in flight, if there is one.
    pub(crate) fn abort(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.abort.abort();
        }
    }

    /// Forbids or allows the network. Allowing forgets past failures: whoever switches it
    /// on again has a reason to.
    pub(crate) fn set_offline(&mut self, offline: bool) {
        self.offline = offline;
        if offline {
            self.abort();
        } else {
            self.failure = None;
            self.backoff.succeeded();
        }
    }

    pub(crate) fn succeeded(&mut self, request_ms: f64, server_ms: f64) {
        self.calls += 1;
        self.failure = None;
        self.backoff.succeeded();
        self.request_ms = Some(request_ms);
        self.server_ms = Some(server_ms);
    }

    pub(crate) fn failed(&mut self, failure: Failure, now_ms: f64, request_ms: f64, chance: f64) {
        self.failed_calls += 1;
        self.backoff.failed(now_ms, chance, failure.retry_after_ms);
        self.failure = Some(failure.error);
        self.request_ms = Some(request_ms);
        self.server_ms = None;
    }

    /// Starts the session's counters anew; bytes are the client's and go on.
    pub(crate) fn forget_session(&mut self) {
        self.abort();
        (self.calls, self.failed_calls) = (0, 0);
        (self.request_ms, self.server_ms) = (None, None);
    }

    /// The line as a decision needs it.
    pub(crate) fn situation(&self, now_ms: f64) -> tandem_session::Connection {
        tandem_session::Connection {
            in_flight: self.flight.is_some(),
            offline: self.offline,
            retry_in_ms: self.backoff.retry_in_ms(now_ms),
        }
    }

    pub(crate) fn report(&self, now_ms: f64) -> ConnectionReport {
        let (state, code, message) = match &self.failure {
            _ if self.offline => (ConnectionState::Offline, None, None),
            Some(error) => {
                (ConnectionState::Failing, Some(error.code), Some(error.message.clone()))
            }
            None => (ConnectionState::Online, None, None),
        };
        let failing = state == ConnectionState::Failing;
        let retry_in_ms = self.backoff.retry_in_ms(now_ms).filter(|_| failing);
        ConnectionReport { state, code, message, retry_in_ms }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[derive(Clone, Default)]
    struct Flag(Rc<Cell<bool>>);

    impl Abort for Flag {
        fn abort(&self) {
            self.0.set(true);
        }
    }

    fn failure() -> Failure {
        Failure::new(ErrorCode::Timeout, "late")
    }

    #[test]
    fn a_failure_is_reported_until_a_success() {
        let mut line = Line::<Flag>::new();
        line.failed(failure(), 0.0, 5.0, 0.0);
        let report = line.report(400.0);
        assert_eq!(report.state, ConnectionState::Failing);
        assert_eq!(report.code, Some(ErrorCode::Timeout));
        assert_eq!(report.message.as_deref(), Some("late"));
        assert_eq!(report.retry_in_ms, Some(600.0));
        // The wait is over: it still failed last time, and may be tried.
        let due = line.report(1_000.0);
        assert_eq!((due.state, due.retry_in_ms), (ConnectionState::Failing, None));
        assert_eq!(line.situation(1_000.0).retry_in_ms, None);
        line.succeeded(7.0, 3.0);
        assert_eq!(line.report(1_000.0).state, ConnectionState::Online);
        assert_eq!((line.calls, line.failed_calls), (1, 1));
    }

    #[test]
    fn going_offline_aborts_and_going_online_forgets_failures() {
        let mut line = Line::<Flag>::new();
        line.failed(failure(), 0.0, 5.0, 0.0);
        let flag = Flag::default();
        let number = line.begin(flag.clone());
        line.set_offline(true);
        assert!(flag.0.get() && !line.is_free() && !line.end(number));
        assert_eq!(line.report(0.0).state, ConnectionState::Offline);
        assert_eq!(line.report(0.0).retry_in_ms, None);
        line.set_offline(false);
        assert_eq!(line.report(0.0).state, ConnectionState::Online);
        assert!(line.is_free());
    }

    #[test]
    fn a_request_that_was_given_up_does_not_end_a_later_one() {
        let mut line = Line::<Flag>::new();
        let first = line.begin(Flag::default());
        line.abort();
        let second = line.begin(Flag::default());
        assert!(!line.end(first));
        assert!(line.situation(0.0).in_flight);
        assert!(line.end(second));
    }

    #[test]
    fn the_report_is_spelt_for_javascript() {
        let mut line = Line::<Flag>::new();
        line.failed(failure(), 0.0, 5.0, 0.0);
        assert_eq!(
            serde_json::to_string(&line.report(0.0)).unwrap(),
            r#"{"state":"failing","code":"timeout","message":"late","retryInMs":1000.0}"#
        );
    }
}
