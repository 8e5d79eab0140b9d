//! A log output that never blocks, never fails and never panics.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::log_lines::{bounded, dropped, is_json};

/// Lines that were dropped since the process started. It has one log, which exists before the
/// state of the server whose metrics have this number.
static LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// Time between two attempts of a flush while the queue is full.
const FLUSH_POLL: Duration = Duration::from_millis(5);

/// Passes log lines to a thread that writes them. If the output is slower than the log, or
/// cannot be written at all, lines are dropped and counted. The count is logged before the next
/// line that can be written, or at a flush, and is a metric of the server.
#[derive(Clone, Debug)]
pub struct LogWriter {
    lines: SyncSender<Message>,
    unreported: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread. At most `capacity` lines wait for the output.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(output: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (lines, received) = sync_channel(capacity);
        let unreported = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&unreported);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(output, &received, &count))?;
        Ok(Self { lines, unreported })
    }

    /// Waits at most `patience` until all lines are written.
    pub fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let (done, finished) = sync_channel(1);
        let mut message = Message::Flush(done);
        // The queue may be full: a standard channel cannot wait for a place with a time limit.
        while let Err(TrySendError::Full(refused)) = self.lines.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            message = refused;
            thread::sleep(FLUSH_POLL);
        }
        let _ = finished.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Message::Line(bounded(line))).is_err() {
            count_dropped(&self.unreported);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Number of log lines that were dropped since the process started.
pub(crate) fn lines_dropped() -> u64 {
    LINES_DROPPED.load(Ordering::Relaxed)
}

fn count_dropped(unreported: &AtomicU64) {
    unreported.fetch_add(1, Ordering::Relaxed);
    LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
}

fn write_lines(mut output: impl Write, messages: &Receiver<Message>, unreported: &AtomicU64) {
    let mut has_json = false;
    while let Ok(message) = messages.recv() {
        if let Message::Line(line) = &message {
            has_json = is_json(line);
        }
        let told = report_dropped(&mut output, unreported, has_json);
        match message {
            Message::Line(line) => {
                if !told || output.write_all(&line).is_err() {
                    count_dropped(unreported);
                }
            }
            Message::Flush(done) => {
                let _ = output.flush();
                let _ = done.try_send(());
            }
        }
    }
}

/// Writes the number of dropped lines, if there are any; `false` if that failed.
fn report_dropped(output: &mut impl Write, unreported: &AtomicU64, has_json: bool) -> bool {
    let lost = unreported.swap(0, Ordering::Relaxed);
    if lost > 0 && output.write_all(dropped(lost, has_json).as_bytes()).is_err() {
        unreported.fetch_add(lost, Ordering::Relaxed);
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex, PoisonError};

    use super::*;
    use crate::log_lines::MAX_LINE;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// An output that can be blocked and made to fail.
    #[derive(Clone, Default)]
    struct Output(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        text: Vec<u8>,
        is_blocked: bool,
        is_failing: bool,
    }

    impl Output {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().text.clone()).unwrap()
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut state = self.0.1.wait_while(state, |state| state.is_blocked).unwrap();
            if state.is_failing {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            state.text.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write_line(log: &LogWriter, line: &str) {
        let mut log = log;
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    #[test]
    fn a_blocked_output_drops_lines_and_reports_their_number() {
        let output = Output::default();
        output.set(|state| state.is_blocked = true);
        let log = LogWriter::start(output.clone(), 10).unwrap();
        for number in 0..1_000 {
            write_line(&log, &format!("line {number}"));
        }
        output.set(|state| state.is_blocked = false);
        log.flush(PATIENCE);
        let text = output.text();
        let reported: u64 = text
            .lines()
            .filter_map(|line| line.strip_suffix(" log lines were dropped")?.parse::<u64>().ok())
            .sum();
        let kept = text.lines().filter(|line| line.starts_with("line ")).count() as u64;
        // The queue holds ten lines, and the writer one.
        assert!((10..=12).contains(&kept), "{text}");
        assert_eq!(kept + reported, 1_000, "{text}");
    }

    #[test]
    fn a_failing_output_is_no_error_and_the_lost_lines_are_counted() {
        let output = Output::default();
        output.set(|state| state.is_failing = true);
        let log = LogWriter::start(output.clone(), 100).unwrap();
        for _ in 0..3 {
            write_line(&log, "lost");
        }
        log.flush(PATIENCE);
        output.set(|state| state.is_failing = false);
        write_line(&log, "kept");
        log.flush(PATIENCE);
        assert_eq!(output.text(), "3 log lines were dropped\nkept\n");
    }

    #[test]
    fn dropped_lines_of_json_are_reported_in_json_and_counted() {
        let output = Output::default();
        output.set(|state| state.is_failing = true);
        let log = LogWriter::start(output.clone(), 100).unwrap();
        let before = lines_dropped();
        write_line(&log, "{\"lost\":1}");
        log.flush(PATIENCE);
        // Other tests drop lines, too.
        assert!(lines_dropped() > before);
        output.set(|state| state.is_failing = false);
        write_line(&log, "{\"kept\":1}");
        log.flush(PATIENCE);
        let text = output.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<serde_json::Value> = lines.collect();
        assert_eq!((lines.len(), &lines[0]["lost"], &lines[1]["kept"]), (2, &1.into(), &1.into()));
        assert_eq!(lines[0]["message"], "log lines were dropped");
    }

    #[test]
    fn long_lines_are_cut() {
        let output = Output::default();
        let log = LogWriter::start(output.clone(), 10).unwrap();
        write_line(&log, &"x".repeat(100_000));
        log.flush(PATIENCE);
        assert_eq!(output.text().len(), MAX_LINE + 4);
    }
}
