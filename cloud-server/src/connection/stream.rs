use std::{
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_rt::time::{Sleep, sleep_until};
use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Activity, ConnectionLimits, admission::Place, refusal};

/// Bytes that a client has to accept in each [`ConnectionLimits::write`].
const MIN_SENT: usize = 16 << 10;

/// A TCP connection with deadlines. A read or write that takes too long fails, and the framework
/// then closes the connection and drops its request.
pub(crate) struct GuardedStream {
    io: TcpStream,
    activity: Rc<Activity>,
    limits: Rc<ConnectionLimits>,
    /// Wakes the task at a deadline. It is not moved when the deadline moves: it fires early and
    /// is set again, because most deadlines move before they pass.
    read_alarm: Alarm,
    write_alarm: Alarm,
    /// While the client does not accept all output.
    blocked: Option<Blocked>,
    /// Bytes that were read since the framework last stopped to read.
    turn: usize,
    /// A response in place of a bare one of the HTTP parser, and how much of it was written.
    replacement: Option<(Vec<u8>, usize)>,
    place: Place,
}

struct Blocked {
    since: Instant,
    sent: usize,
}

impl GuardedStream {
    pub(crate) fn new(io: TcpStream, limits: Rc<ConnectionLimits>, place: Place) -> Self {
        let slot = Arc::clone(&place.slot);
        Self {
            io,
            activity: Rc::new(Activity::new(slot)),
            limits,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            blocked: None,
            turn: 0,
            replacement: None,
            place,
        }
    }

    pub(crate) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// An error if the connection is given up for another one; otherwise the task is woken when it
    /// is.
    fn check_place(&self, cx: &Context<'_>) -> io::Result<()> {
        self.place.slot.register(cx.waker());
        if !self.place.slot.is_given_up() {
            return Ok(());
        }
        // A reset: nothing waits for what the client does next.
        let _ = SockRef::from(&self.io).set_linger(Some(Duration::ZERO));
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// The error of a read that waits beyond its deadline.
    fn check_waiting(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.check_place(cx)?;
        // A client that does not accept a response has its own deadline.
        if self.blocked.is_some() {
            return Ok(());
        }
        let (activity, limits) = (&self.activity, &self.limits);
        let deadline = || activity.deadline(limits.head, limits.stalled);
        self.read_alarm.poll(cx, deadline)
    }

    fn check_sending(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.check_place(cx)?;
        if self.blocked.is_none() {
            self.activity.set_blocked(true);
        }
        let now = Instant::now();
        let write = self.limits.write;
        let blocked = self.blocked.get_or_insert(Blocked { since: now, sent: 0 });
        if now >= blocked.since + write && blocked.sent >= MIN_SENT {
            *blocked = Blocked { since: now, sent: 0 };
        }
        let deadline = blocked.since + write;
        self.write_alarm.poll(cx, || deadline)
    }

    fn poll_output(&mut self, cx: &mut Context<'_>, output: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(cx, output) {
            Poll::Ready(Ok(written)) => {
                self.activity.sent();
                if let Some(blocked) = &mut self.blocked {
                    blocked.sent += written;
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match self.check_sending(cx) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }

    /// Writes the rest of the replacement.
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, written)) = self.replacement.take() {
            if written == bytes.len() {
                break;
            }
            let polled = self.poll_output(cx, &bytes[written..]);
            let more = match polled {
                Poll::Ready(Ok(more)) => more,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => 0,
            };
            self.replacement = Some((bytes, written + more));
            if polled.is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A client that does not accept responses gets no further ones.
        let readable = match this.blocked {
            Some(_) => 0,
            None => this.activity.readable(cx.waker()),
        };
        if this.turn >= readable && readable > 0 {
            // The framework reads until nothing is left: it handles this part first.
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if readable > 0 {
            let part =
                buffer.initialize_unfilled_to((readable - this.turn).min(buffer.remaining()));
            let mut part = ReadBuf::new(part);
            let polled = Pin::new(&mut this.io).poll_read(cx, &mut part);
            let received = part.filled().len();
            if let Poll::Ready(result) = polled {
                buffer.advance(received);
                this.turn += received;
                this.activity.received(received);
                if this.activity.is_flooded() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                return Poll::Ready(result);
            }
        }
        this.turn = 0;
        match this.check_waiting(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        output: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replacement.is_none() {
            let Some(bytes) = refusal::replacement(output) else {
                return this.poll_output(cx, output);
            };
            this.replacement = Some((bytes, 0));
        }
        ready!(this.poll_replacement(cx))?;
        Poll::Ready(Ok(output.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The framework flushes when all of its output was accepted.
        if this.blocked.take().is_some() {
            this.activity.set_blocked(false);
            // Meanwhile nothing was read, and the deadlines of reading did not count.
            this.check_waiting(cx)?;
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// A timer that is created when it is needed first.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// An error if the deadline has passed; otherwise the task is woken at the deadline or before.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: impl Fn() -> Instant) -> io::Result<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline().into())));
        // A deadline that has moved forward.
        if timer.deadline().into_std() > deadline() {
            timer.as_mut().reset(deadline().into());
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // The timer has the resolution of a millisecond.
            timer.as_mut().reset((deadline() + Duration::from_millis(1)).into());
        }
        Ok(())
    }
}
