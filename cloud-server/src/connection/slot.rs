use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// Minimum age of a connection that is given up while its body arrives or its response is read.
const SLOW: Duration = Duration::from_secs(2);

/// What a connection waits for, in the order in which connections are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Its client has not sent a whole head yet.
    FirstHead,
    /// Its client may send another request.
    Idle,
    /// Its client sends a body, or does not read a response as fast as it is produced.
    Client,
    /// The server works for it.
    Server,
}

impl Phase {
    fn of(number: u8) -> Self {
        [Self::FirstHead, Self::Idle, Self::Client]
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Server)
    }
}

/// What all threads know of a connection: whether it may be given up for another one.
#[derive(Debug)]
pub(super) struct Slot {
    phase: AtomicU8,
    given_up: AtomicBool,
    /// Wakes the task of the connection.
    waker: Mutex<Option<Waker>>,
    opened: Instant,
    is_proxy: bool,
}

impl Slot {
    pub(super) fn new(opened: Instant, is_proxy: bool) -> Self {
        Self {
            phase: AtomicU8::new(Phase::FirstHead as u8),
            given_up: AtomicBool::new(false),
            waker: Mutex::default(),
            opened,
            is_proxy,
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Its phase, if the connection may be given up at `now`.
    pub(super) fn expendable(&self, now: Instant) -> Option<Phase> {
        let phase = Phase::of(self.phase.load(Ordering::Relaxed));
        match phase {
            // The proxy would answer its own client with an error.
            _ if self.is_proxy => None,
            Phase::FirstHead | Phase::Idle => Some(phase),
            Phase::Client => (now.saturating_duration_since(self.opened) >= SLOW).then_some(phase),
            Phase::Server => None,
        }
    }

    /// Closes the connection soon, on its own thread.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Wakes `waker` when the connection is given up. Check [`Self::is_given_up`] afterwards.
    pub(super) fn register(&self, waker: &Waker) {
        let mut held = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) => held.clone_from(waker),
            None => *held = Some(waker.clone()),
        }
    }
}
