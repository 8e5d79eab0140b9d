//! Work that can wait does not delay requests.

/// Lets the threads that answer requests run before the calling thread and those that it starts
/// from now on, where the system has priorities of threads (Linux).
pub(crate) fn yield_to_requests() {
    /// Of 0 (usual) to 19 (lowest).
    #[cfg(target_os = "linux")]
    const NICE: i32 = 10;
    // Without it, the work is done as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}
