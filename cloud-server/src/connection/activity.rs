use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::slot::{Phase, Slot};

/// Bytes that are read at a time while a head is expected or after a request has arrived. The
/// framework takes every request apart that it has read, at several KiB each, so a client that
/// sends many small ones at once must not be read as fast as it sends.
const HEADS: usize = 2 << 10;
/// Bytes that are read at a time of a body of unknown length.
const CHUNKS: usize = 4 << 10;
/// Bytes that are read at a time of a body of known length.
const BODY: usize = 64 << 10;

/// Number of bytes that may arrive without a request: the rest of a body that was refused, which is
/// discarded so that the client sees the refusal, and the next head.
const DISCARDED: usize = 8 << 20;

/// What arrives on a connection.
#[derive(Clone, Copy, Debug)]
enum Arriving {
    Head,
    /// A body, and how many bytes it still has, if that is known.
    Body(Option<usize>),
    /// The bytes after a request. At most this number of them is read before the request is
    /// answered, so that the server notices when the client disconnects.
    Next(usize),
}

/// What happens on a connection, shared by its stream and the requests that arrive on it. All of
/// them live on one HTTP thread.
#[derive(Debug)]
pub(crate) struct Activity {
    requests: Cell<usize>,
    /// Start of the time without a request.
    waiting_since: Cell<Instant>,
    /// When a byte was received or sent last.
    progress: Cell<Instant>,
    arriving: Cell<Arriving>,
    reader: RefCell<Option<Waker>>,
    /// Number of bytes that have arrived since the last request ended.
    unused: Cell<usize>,
    /// Whether a request has arrived.
    is_used: Cell<bool>,
    /// Whether the client does not accept all output.
    is_blocked: Cell<bool>,
    /// Whether the server works on a part of a body before it reads on.
    is_working: Cell<bool>,
    slot: Arc<Slot>,
}

impl Activity {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        let now = Instant::now();
        Self {
            is_used: Cell::new(false),
            is_blocked: Cell::new(false),
            is_working: Cell::new(false),
            slot,
            requests: Cell::new(0),
            waiting_since: Cell::new(now),
            progress: Cell::new(now),
            arriving: Cell::new(Arriving::Head),
            reader: RefCell::new(None),
            unused: Cell::new(0),
        }
    }

    /// Marks the start of a request. It ends when the returned value is dropped. `body` is the
    /// length of its body, if it has one and the length is known.
    pub(crate) fn begin(self: &Rc<Self>, has_body: bool, body: Option<usize>) -> InFlight {
        self.requests.set(self.requests.get() + 1);
        self.unused.set(0);
        self.progress.set(Instant::now());
        self.is_working.set(false);
        self.arriving.set(match self.arriving.get() {
            _ if has_body => Arriving::Body(body),
            // Requests that were sent together share what is read ahead.
            Arriving::Next(left) => Arriving::Next(left),
            Arriving::Head | Arriving::Body(_) => Arriving::Next(HEADS),
        });
        self.is_used.set(true);
        self.set_phase();
        InFlight(Rc::clone(self))
    }

    /// The body of the current request has arrived.
    pub(crate) fn body_arrived(&self) {
        self.arriving.set(Arriving::Next(HEADS));
        self.set_phase();
    }

    /// The server begins to work on a part of the body, or goes on to read it.
    pub(crate) fn set_working(&self, is_working: bool) {
        self.is_working.set(is_working);
        self.progress.set(Instant::now());
    }

    /// Whether the client does not accept all output.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.set(is_blocked);
        self.set_phase();
    }

    fn set_phase(&self) {
        self.slot.set(match self.arriving.get() {
            _ if self.is_blocked.get() => Phase::Client,
            _ if !self.is_used.get() => Phase::FirstHead,
            _ if self.requests.get() == 0 => Phase::Idle,
            Arriving::Body(_) => Phase::Client,
            Arriving::Head | Arriving::Next(_) => Phase::Server,
        });
    }

    /// How many bytes may be read now; 0 until the current request ends, when `waker` is woken.
    pub(super) fn readable(&self, waker: &Waker) -> usize {
        if self.requests.get() == 0 {
            self.arriving.set(Arriving::Head);
        }
        let bytes = match self.arriving.get() {
            Arriving::Head => HEADS,
            Arriving::Body(None) => CHUNKS,
            Arriving::Body(Some(left)) => (left + HEADS).min(BODY),
            Arriving::Next(left) => left,
        };
        if bytes == 0 {
            *self.reader.borrow_mut() = Some(waker.clone());
        }
        bytes
    }

    /// Whether the client sends on and on without a request.
    pub(super) fn is_flooded(&self) -> bool {
        self.unused.get() > DISCARDED
    }

    pub(super) fn received(&self, bytes: usize) {
        self.progress.set(Instant::now());
        if self.requests.get() == 0 {
            self.unused.set(self.unused.get() + bytes);
        }
        self.arriving.set(match self.arriving.get() {
            Arriving::Body(Some(left)) => Arriving::Body(Some(left.saturating_sub(bytes))),
            Arriving::Next(left) => Arriving::Next(left.saturating_sub(bytes)),
            other => other,
        });
    }

    /// A part of a response was sent: the time for the next request starts afterwards.
    pub(super) fn sent(&self) {
        let now = Instant::now();
        self.progress.set(now);
        self.waiting_since.set(now);
    }

    /// Whether the answer, or the next part of the body, waits for the server.
    fn is_server_busy(&self) -> bool {
        let has_arrived = matches!(self.arriving.get(), Arriving::Head | Arriving::Next(_));
        !self.is_blocked.get() && (self.is_working.get() || has_arrived)
    }

    /// When the connection has to be closed if nothing happens.
    pub(super) fn deadline(&self, head: Duration, stalled: Duration) -> Instant {
        if self.requests.get() == 0 {
            self.waiting_since.get() + head
        } else if self.is_server_busy() {
            // Nothing is expected of the client.
            Instant::now() + stalled
        } else {
            self.progress.get() + stalled
        }
    }
}

/// A request that is being answered, until the last byte of its response has been produced.
#[derive(Debug)]
pub(crate) struct InFlight(Rc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.requests.set(activity.requests.get().saturating_sub(1));
        activity.set_phase();
        if activity.requests.get() == 0 {
            activity.waiting_since.set(Instant::now());
            if let Some(waker) = activity.reader.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn only_a_client_that_is_waited_for_has_a_deadline() {
        let activity = Rc::new(Activity::new(Arc::new(Slot::new(Instant::now(), false))));
        let request = activity.begin(true, None);
        let deadline = || activity.deadline(Duration::from_secs(1), Duration::from_secs(9));
        let moves = || {
            let before = deadline();
            sleep(Duration::from_millis(2));
            deadline() > before
        };
        assert!(!moves(), "the body is expected");
        activity.set_working(true);
        assert!(moves(), "a part of the body is being stored");
        activity.set_working(false);
        assert!(!moves(), "more of the body is expected");
        activity.body_arrived();
        assert!(moves(), "the answer is being made");
        activity.set_blocked(true);
        assert!(!moves(), "the client does not read the answer");
        activity.set_blocked(false);
        drop(request);
        assert!(!moves(), "the next request is expected");
    }
}
