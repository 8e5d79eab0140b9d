use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

/// Bytes that may be read ahead after a request has arrived, so that a disconnect is noticed. The
/// framework would otherwise read until its buffer is full and then poll without a pause.
const READ_AHEAD: usize = 64 << 10;

/// What happens on a connection, shared by its stream and the requests that arrive on it. All of
/// them live on one HTTP thread.
#[derive(Debug)]
pub(crate) struct Activity {
    requests: Cell<usize>,
    /// Start of the time without a request.
    waiting_since: Cell<Instant>,
    /// When a byte was received or sent last.
    progress: Cell<Instant>,
    /// Bytes that may still be read; unlimited while a body arrives.
    allowance: Cell<Option<usize>>,
    reader: RefCell<Option<Waker>>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            requests: Cell::new(0),
            waiting_since: Cell::new(now),
            progress: Cell::new(now),
            allowance: Cell::new(None),
            reader: RefCell::new(None),
        }
    }

    /// Marks the start of a request. It ends when the returned value is dropped.
    pub(crate) fn begin(self: &Rc<Self>, has_body: bool) -> InFlight {
        self.requests.set(self.requests.get() + 1);
        self.progress.set(Instant::now());
        self.allowance.set((!has_body).then_some(READ_AHEAD));
        InFlight(Rc::clone(self))
    }

    /// The body of the current request has arrived.
    pub(crate) fn body_arrived(&self) {
        self.allowance.set(Some(READ_AHEAD));
    }

    pub(super) fn progressed(&self, received: usize) {
        let now = Instant::now();
        self.progress.set(now);
        if let Some(left) = self.allowance.get() {
            self.allowance.set(Some(left.saturating_sub(received)));
        }
    }

    /// A part of a response was sent: the time for the next request starts afterwards.
    pub(super) fn sent(&self) {
        let now = Instant::now();
        self.progress.set(now);
        self.waiting_since.set(now);
    }

    /// Whether nothing may be read until the current request ends; then `waker` is woken.
    pub(super) fn pauses_reading(&self, waker: &Waker) -> bool {
        let pauses = self.requests.get() > 0 && self.allowance.get() == Some(0);
        if pauses {
            *self.reader.borrow_mut() = Some(waker.clone());
        }
        pauses
    }

    /// When the connection has to be closed if nothing happens.
    pub(super) fn deadline(&self, head: Duration, stalled: Duration) -> Instant {
        if self.requests.get() == 0 {
            self.waiting_since.get() + head
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
        if activity.requests.get() == 0 {
            activity.waiting_since.set(Instant::now());
            activity.allowance.set(None);
            if let Some(waker) = activity.reader.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}
