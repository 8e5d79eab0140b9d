//! Signals to stop and to read the configuration again.

use std::io;

/// A request of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on the signals do not end the process.
    pub(crate) fn listen(HangUps { hang_up }: HangUps) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// Waits for a signal to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}

/// SIGHUP while the server starts: it does not end the process, and is answered afterwards.
#[cfg(unix)]
pub(crate) struct HangUps {
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl HangUps {
    pub(crate) fn wait_for() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { hang_up: signal(SignalKind::hangup())? })
    }
}

#[cfg(not(unix))]
pub(crate) struct HangUps;

#[cfg(not(unix))]
impl HangUps {
    pub(crate) fn wait_for() -> io::Result<Self> {
        Ok(Self)
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen(_: HangUps) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Signal {
        // Without a signal handler the process ends at once.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Stop
    }

    pub(crate) async fn stop(&mut self) {
        self.next().await;
    }
}
