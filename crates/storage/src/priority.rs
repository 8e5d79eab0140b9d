//! Work that can wait does not delay the threads of others.

/// Lets other threads run before the calling thread and those that it starts from now on, where the
/// system has priorities of threads (Linux). `nice` is from 0 (usual) to 19 (lowest). Without other
/// work, nothing changes.
pub fn lower_priority(nice: i32) {
    // Without it, the work is done as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}
