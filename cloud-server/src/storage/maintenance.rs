use std::{
    io,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use tandem_storage::{Retention, Storage};

use crate::clock::JumpDetector;

/// Time from the start to the first removal of old events, and between two.
const INTERVAL: Duration = Duration::from_hours(1);
/// Time from the start to the first removal.
const FIRST: Duration = Duration::from_mins(1);
/// How far the time of day may be set forward between two removals. By a wrong time, all events
/// would be too old. A jump beyond this skips one removal, in which the time may be corrected.
const MAX_JUMP: Duration = Duration::from_mins(10);

/// A thread that removes old events and returns free space to the disk.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// Dropped to stop the thread.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(storage: Storage, retention: Retention) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let run = move || {
            let (mut wait, mut detector) = (FIRST, JumpDetector::new());
            while matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                wait = INTERVAL;
                let jump = detector.look();
                if jump > MAX_JUMP {
                    tracing::warn!(
                        seconds = jump.as_secs(),
                        "the time of day was set forward; old events are not removed now, but in \
                         an hour: check the time"
                    );
                } else {
                    maintain(&storage, retention);
                }
            }
        };
        let thread = thread::Builder::new().name("retention".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Stops the thread, unless it is at work: then it ends with the process. Each of its
    /// transactions is whole.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.is_finished() {
            let _ = self.thread.join();
        }
    }
}

fn maintain(storage: &Storage, retention: Retention) {
    let done = storage.block_on(async {
        let removed = storage.retain(retention).await?;
        if removed.events > 0 || removed.items > 0 {
            storage.compact().await?;
        }
        Ok::<_, tandem_storage::StorageError>(removed)
    });
    match done {
        Ok(removed) if removed.events > 0 => {
            tracing::info!(events = removed.events, "removed old events");
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "could not remove old rows of the database; trying again in an hour");
        }
    }
}
