//! Child processes. Each leads a process group, so that it is stopped together with everything it
//! has started. An interrupt stops every group.

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// Time that a group has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(25);

#[derive(Debug)]
struct Running {
    stopping: bool,
    groups: Vec<u32>,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { stopping: false, groups: Vec::new() });

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP stop all child processes. Functions that wait for one return
/// [`Failure::Interrupted`].
pub(crate) fn stop_children_on_interrupt() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        let groups = {
            let mut running = running();
            running.stopping = true;
            running.groups.clone()
        };
        for group in &groups {
            signal(*group, Ending::Terminate);
        }
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if running().groups.is_empty() {
                return;
            }
            thread::sleep(POLL);
        }
        for group in running().groups.clone() {
            signal(group, Ending::Kill);
        }
    })
    .map_err(|error| Failure::Machine(format!("cannot install the handler for Ctrl-C: {error}")))
}

/// Fails after an interrupt. For loops that wait for something other than a child process.
pub(crate) fn check_interrupt() -> Result<(), Failure> {
    if running().stopping { Err(Failure::Interrupted) } else { Ok(()) }
}

/// A program to run, with a name for messages.
#[derive(Debug)]
pub(crate) struct Program {
    what: String,
    remedy: String,
    command: Command,
}

impl Program {
    /// `what` names the step in messages ("building the server").
    pub(crate) fn new(what: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        // Variables that cargo sets for the programs it runs. With them, the fingerprints of a
        // nested cargo's build scripts would differ from those of a cargo started by hand.
        for (key, _) in std::env::vars_os() {
            let Some(name) = key.to_str() else { continue };
            if name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name == "CARGO_BIN_NAME"
                || name == "CARGO_CRATE_NAME"
            {
                command.env_remove(name);
            }
        }
        Self { what: what.into(), remedy: "install it and try again".to_owned(), command }
    }

    /// Sets what the user can do if the program cannot be started.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn without_env(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it to its end, with our standard output and error.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let what = self.what.clone();
        let mut service = self.spawn()?;
        let status = service.wait()?;
        succeeded(&what, status)
    }

    /// Runs it and returns its standard output, or [`Failure::Child`].
    pub(crate) fn output(self) -> Result<String, Failure> {
        let what = self.what.clone();
        let (text, status) = self.collect(|_| {})?;
        succeeded(&what, status).map(|()| text)
    }

    /// Runs it, prints its standard output line by line, and returns the output with the exit
    /// status, whatever it is.
    pub(crate) fn tee(self) -> Result<(String, ExitStatus), Failure> {
        let mut out = io::stdout();
        self.collect(move |line| {
            // A closed pipe on our side does not stop the child.
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        })
    }

    /// Whether it starts and succeeds; its output is discarded.
    pub(crate) fn succeeds(mut self) -> Result<bool, Failure> {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        match self.spawn() {
            Ok(mut service) => Ok(service.wait()?.success()),
            Err(Failure::Start { .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Runs it and returns its standard output and exit status; standard error is still shown.
    pub(crate) fn collect_quietly(self) -> Result<(String, ExitStatus), Failure> {
        self.collect(|_| {})
    }

    fn collect(mut self, mut each: impl FnMut(&str)) -> Result<(String, ExitStatus), Failure> {
        self.command.stdout(Stdio::piped());
        let mut service = self.spawn()?;
        let mut text = String::new();
        if let Some(stdout) = service.child.stdout.take() {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                let decoded = String::from_utf8_lossy(&line);
                each(&decoded);
                text.push_str(&decoded);
                line.clear();
            }
        }
        Ok((text, service.wait()?))
    }

    /// Starts it without waiting.
    pub(crate) fn spawn(mut self) -> Result<Service, Failure> {
        own_group(&mut self.command);
        let mut running = running();
        if running.stopping {
            return Err(Failure::Interrupted);
        }
        let child = self.command.spawn().map_err(|source| Failure::Start {
            program: Path::new(self.command.get_program()).display().to_string(),
            source,
            remedy: self.remedy,
        })?;
        running.groups.push(child.id());
        Ok(Service { what: self.what, child, ended: None })
    }
}

/// Turns an exit status into a result.
pub(crate) fn succeeded(what: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let how = status.to_string();
    Err(Failure::Child { what: what.to_owned(), how, code: status.code() })
}

/// A running program. It is stopped, with its whole group, when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    what: String,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Service {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Failure> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = self
            .child
            .wait()
            .map_err(|error| Failure::Machine(format!("cannot wait for {}: {error}", self.what)))?;
        self.over(status);
        check_interrupt().map(|()| status)
    }

    /// Fails with the exit status if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), Failure> {
        check_interrupt()?;
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.over(status);
                let how = status.to_string();
                Err(Failure::Child { what: self.what.clone(), how, code: status.code() })
            }
            Err(error) => Err(Failure::Machine(format!(
                "cannot check whether {} still runs: {error}",
                self.what
            ))),
        }
    }

    /// Stops the whole group: politely first, by force after some seconds.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn over(&mut self, status: ExitStatus) {
        self.ended = Some(status);
        // Stops what it has left running in its group.
        signal(self.child.id(), Ending::Kill);
        running().groups.retain(|group| *group != self.child.id());
    }

    /// As [`Service::stop`], for one that is replaced afterwards.
    pub(crate) fn end(&mut self) {
        if self.ended.is_some() {
            return;
        }
        signal(self.child.id(), Ending::Terminate);
        let asked = Instant::now();
        let mut forced = false;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return self.over(status),
                Ok(None) if asked.elapsed() > GRACE && !forced => {
                    signal(self.child.id(), Ending::Kill);
                    forced = true;
                }
                Ok(None) => thread::sleep(POLL),
                Err(_) => return,
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Terminate,
    Kill,
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(unix)]
fn signal(group: u32, ending: Ending) {
    use nix::{
        sys::signal::{Signal, killpg},
        unistd::Pid,
    };
    let signal = match ending {
        Ending::Terminate => Signal::SIGTERM,
        Ending::Kill => Signal::SIGKILL,
    };
    if let Ok(group) = i32::try_from(group) {
        // "No such group" is fine.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

#[cfg(not(unix))]
fn signal(group: u32, _ending: Ending) {
    // There is no polite signal on this system.
    let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &group.to_string()]).status();
}

/// The full path of `program` among the folders of `PATH`.
pub(crate) fn on_path(program: &str) -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .map(Into::into)
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::{Duration, Instant};

    use super::Program;
    use crate::failure::Failure;

    fn alive(pid: &str) -> bool {
        // A zombie does not count as alive.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
    }

    #[test]
    fn stopping_a_service_stops_grandchildren_that_ignore_sigterm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!(
            "sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; sleep 60 & wait; sleep 60' & wait",
            file.display()
        );
        let service = Program::new("a test", "sh").args(["-c", &script]).spawn().unwrap();
        let asked = Instant::now();
        while !file.exists() && asked.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let pid = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        assert!(alive(&pid));
        service.stop();
        let stopped = Instant::now();
        while alive(&pid) && stopped.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!alive(&pid), "the grandchild outlived its service");
    }

    #[test]
    fn a_failure_has_the_exit_status() {
        let failure = Program::new("a test", "sh").args(["-c", "exit 2"]).run().unwrap_err();
        assert!(matches!(failure, Failure::Child { code: Some(2), .. }), "{failure}");
        assert_eq!(failure.status(), 2);
    }

    #[test]
    fn a_missing_program_is_reported_with_its_remedy() {
        let failure = Program::new("a test", "no-such-program-here").remedy("get it").run();
        let text = failure.unwrap_err().to_string();
        assert!(text.contains("no-such-program-here") && text.contains("get it"), "{text}");
    }
}
