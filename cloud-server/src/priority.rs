//! Work that can wait does not delay requests.

use std::{panic::resume_unwind, thread};

use tandem_storage::lower_priority;

/// Priority of what can wait; that of the storage is higher.
const NICE: i32 = 10;

/// Lets the threads that answer requests run before the calling thread and those that it starts
/// from now on.
pub(crate) fn yield_to_requests() {
    lower_priority(NICE);
}

/// Runs a task on a thread that yields to requests, and waits for it. The calling thread, which may
/// start threads that answer requests, keeps its priority: without privileges it could not raise it
/// again.
pub(crate) fn in_background<T: Send>(task: impl FnOnce() -> T + Send) -> T {
    let done = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            yield_to_requests();
            task()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| resume_unwind(panic))
}
