//! Work that can wait does not delay the threads of others.

/// How long a thread of low priority runs before another of the same priority does, in nanoseconds.
/// A waking thread with a shorter time, as all have by default (some milliseconds), does not wait
/// for its end.
#[cfg(target_os = "linux")]
const SLICE: u64 = 50_000_000;

/// Lets other threads run before the calling thread and those that it starts from now on, where the
/// system has priorities of threads (Linux). `nice` is from 0 (usual) to 19 (lowest). Without other
/// work, nothing changes.
pub fn lower_priority(nice: i32) {
    #[cfg(target_os = "linux")]
    lower(nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// The niceness alone decides about shares of the processor: a thread that wakes still waits until
/// the running one has had its slice. Linux 6.12 lets one with a shorter slice interrupt it.
#[cfg(target_os = "linux")]
fn lower(nice: i32) {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        // The policy that an administrator has given to the process stays.
        sched_flags: u64::from(libc::SCHED_FLAG_KEEP_POLICY.cast_unsigned()),
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "no safe function sets the slice of a thread")]
    // SAFETY: both calls take numbers and a structure of the size that it says, which outlives them.
    unsafe {
        let set = libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        if set != 0 {
            // Without it, the work is done as well.
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{fs, thread};

    use super::*;

    /// The niceness of the calling thread.
    fn nice() -> i32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        // After the name, which may contain spaces, the state is the first field and this the 17th.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn threads_that_are_started_later_have_the_priority_too_and_the_caller_keeps_its_own() {
        let before = nice();
        let found = thread::spawn(|| {
            lower_priority(7);
            (nice(), thread::spawn(nice).join().unwrap())
        });
        assert_eq!(found.join().unwrap(), (7, 7));
        assert_eq!(nice(), before);
    }
}
