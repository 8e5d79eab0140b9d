//! The link to the server: whether it may be used, whether it works, how much it carried.

use serde::Serialize;
use tandem_collaboration::{Backoff, BackoffLimits};
use tandem_protocol::ErrorCode;

use crate::{
    error::{ClientError, Failure},
    host::Abort,
};

/// State of the link to the server. Holds no network itself.
pub(crate) struct ServerLink<A> {
    offline: bool,
    failure: Option<ClientError>,
    backoff: Backoff,
    flight: Option<Flight<A>>,
    /// Number of the last request, so that an aborted one does not end a later one.
    last_flight: u64,
    /// Requests for lists that were answered, since the session began.
    pub(crate) calls: u64,
    /// Requests for lists that failed; aborted ones do not count.
    pub(crate) failed_calls: u64,
    /// Bytes of request bodies, since the client was opened.
    pub(crate) bytes_up: u64,
    /// Bytes of responses and artefacts, decompressed, since the client was opened.
    pub(crate) bytes_down: u64,
    /// Duration of the last request for a list, in milliseconds.
    pub(crate) request_ms: Option<f64>,
    /// The part of it that the server reports as its own, in milliseconds.
    pub(crate) server_ms: Option<f64>,
}

struct Flight<A> {
    number: u64,
    abort: A,
}

/// What is known about the connection to the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    pub(crate) state: ConnectionState,
    /// The last failure, for programs; `null` if the last request succeeded.
    pub(crate) code: Option<ErrorCode>,
    /// The last failure, for people.
    pub(crate) message: Option<String>,
    /// Milliseconds until the server may be tried again; `null` if no retry is planned.
    pub(crate) retry_in_ms: Option<f64>,
}

/// State of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConnectionState {
    /// The last request for a list succeeded or none was made yet, and no other request has failed
    /// to reach the server since.
    Online,
    /// The page forbids the network.
    Offline,
    /// The last request for a list failed, or another request did not reach the server.
    Failing,
}

impl<A: Abort> ServerLink<A> {
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

    /// Whether a request for a list may start: not offline, none in flight.
    pub(crate) fn is_free(&self) -> bool {
        !self.offline && self.flight.is_none()
    }

    /// Whether the page forbids the network.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Notes the start of a request for a list; returns its number.
    pub(crate) fn begin(&mut self, abort: A) -> u64 {
        self.last_flight += 1;
        self.flight = Some(Flight { number: self.last_flight, abort });
        self.last_flight
    }

    /// Notes the end of a request; `false` if it was aborted in the meantime.
    pub(crate) fn end(&mut self, number: u64) -> bool {
        let ours = self.flight.as_ref().is_some_and(|flight| flight.number == number);
        if ours {
            self.flight = None;
        }
        ours
    }

    /// Aborts the request in flight, if there is one.
    pub(crate) fn abort(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.abort.abort();
        }
    }

    /// Forbids or allows the network. Allowing it resets the back-off, so that the server is
    /// tried at once.
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

    pub(crate) fn failed(&mut self, failure: Failure, now_ms: f64, request_ms: f64, random: f64) {
        self.failed_calls += 1;
        self.backoff.failed(now_ms, random, failure.retry_after_ms);
        self.failure = Some(failure.error);
        self.request_ms = Some(request_ms);
        self.server_ms = None;
    }

    /// A request other than for a list did not reach the server. Does not count as a failed call;
    /// later ones do not prolong the back-off.
    pub(crate) fn unreachable(&mut self, error: &ClientError, now_ms: f64, random: f64) {
        if !self.offline && self.failure.is_none() {
            self.backoff.failed(now_ms, random, None);
            self.failure = Some(error.clone());
        }
    }

    /// Whether the last request failed.
    pub(crate) fn is_failing(&self) -> bool {
        !self.offline && self.failure.is_some()
    }

    /// Resets the session's counters. Bytes count for the client and go on.
    pub(crate) fn reset_session(&mut self) {
        self.abort();
        (self.calls, self.failed_calls) = (0, 0);
        (self.request_ms, self.server_ms) = (None, None);
    }

    /// The connection as a decision sees it.
    pub(crate) fn status(&self, now_ms: f64) -> tandem_session::Connection {
        tandem_session::Connection {
            in_flight: self.flight.is_some(),
            offline: self.offline,
            retry_in_ms: self.backoff.retry_in_ms(now_ms),
        }
    }

    /// The connection as an update reports it.
    pub(crate) fn report(&self, now_ms: f64) -> Connection {
        let (state, code, message) = match &self.failure {
            _ if self.offline => (ConnectionState::Offline, None, None),
            Some(error) => {
                (ConnectionState::Failing, Some(error.code), Some(error.message.clone()))
            }
            None => (ConnectionState::Online, None, None),
        };
        let failing = state == ConnectionState::Failing;
        let retry_in_ms = self.backoff.retry_in_ms(now_ms).filter(|_| failing);
        Connection { state, code, message, retry_in_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Flag;

    fn failure() -> Failure {
        Failure::new(ErrorCode::Timeout, "late")
    }

    #[test]
    fn a_failure_is_reported_until_a_request_succeeds() {
        let mut link = ServerLink::<Flag>::new();
        link.failed(failure(), 0.0, 5.0, 0.0);
        let report = link.report(400.0);
        assert_eq!(report.state, ConnectionState::Failing);
        assert_eq!(report.code, Some(ErrorCode::Timeout));
        assert_eq!(report.message.as_deref(), Some("late"));
        assert_eq!(report.retry_in_ms, Some(600.0));
        // The back-off is over: the last request failed, and the server may be tried.
        let due = link.report(1_000.0);
        assert_eq!((due.state, due.retry_in_ms), (ConnectionState::Failing, None));
        assert_eq!(link.status(1_000.0).retry_in_ms, None);
        link.succeeded(7.0, 3.0);
        assert_eq!(link.report(1_000.0).state, ConnectionState::Online);
        assert_eq!((link.calls, link.failed_calls), (1, 1));
    }

    #[test]
    fn going_offline_aborts_and_going_online_resets_the_back_off() {
        let mut link = ServerLink::<Flag>::new();
        link.failed(failure(), 0.0, 5.0, 0.0);
        let flag = Flag::default();
        let number = link.begin(flag.clone());
        link.set_offline(true);
        assert!(flag.0.get() && !link.is_free() && !link.end(number));
        assert_eq!(link.report(0.0).state, ConnectionState::Offline);
        assert_eq!(link.report(0.0).retry_in_ms, None);
        link.set_offline(false);
        assert_eq!(link.report(0.0).state, ConnectionState::Online);
        assert!(link.is_free());
    }

    #[test]
    fn a_server_that_other_requests_do_not_reach_is_failing_and_no_call_has_failed() {
        let mut link = ServerLink::<Flag>::new();
        link.unreachable(&failure().error, 0.0, 0.0);
        link.unreachable(&failure().error, 500.0, 0.0);
        let report = link.report(500.0);
        assert_eq!((report.state, report.retry_in_ms), (ConnectionState::Failing, Some(500.0)));
        assert_eq!(link.failed_calls, 0);
        link.succeeded(7.0, 3.0);
        assert!(!link.is_failing());
        link.set_offline(true);
        link.unreachable(&failure().error, 0.0, 0.0);
        link.set_offline(false);
        assert_eq!(link.report(0.0).state, ConnectionState::Online);
    }

    #[test]
    fn an_aborted_request_does_not_end_a_later_one() {
        let mut link = ServerLink::<Flag>::new();
        let first = link.begin(Flag::default());
        link.abort();
        let second = link.begin(Flag::default());
        assert!(!link.end(first));
        assert!(link.status(0.0).in_flight);
        assert!(link.end(second));
    }

    #[test]
    fn the_report_is_camel_case_in_javascript() {
        let mut link = ServerLink::<Flag>::new();
        link.failed(failure(), 0.0, 5.0, 0.0);
        assert_eq!(
            serde_json::to_string(&link.report(0.0)).unwrap(),
            r#"{"state":"failing","code":"timeout","message":"late","retryInMs":1000.0}"#
        );
    }
}
