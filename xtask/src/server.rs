//! The cloud server as a child process.

use std::{
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    pipeline::Prepared,
    process::{Program, Service},
    progress::say,
    workspace::Workspace,
};

/// Maximum time for loading the language models on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);

/// Number of servers started so far, for unique file names.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A server that answers requests.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    address: SocketAddr,
}

/// Fails if `port` is in use, before anything is built.
pub(crate) fn port_is_free(port: u16) -> Result<(), Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|error| {
        Failure::Machine(format!(
            "port {port} of 127.0.0.1 cannot be used ({error}): stop the program that uses it, or choose \
             another with --port"
        ))
    })
}

/// Starts the server of the demo on `port` (0: any free port) and waits until its language models
/// are loaded. Pages of `origins` may call it too.
pub(crate) fn start(
    workspace: &Workspace,
    prepared: &Prepared,
    site: &Path,
    port: u16,
    origins: &[String],
) -> Result<Server, Failure> {
    say("Starting", "cloud-server");
    let folder = workspace.target().join("xtask");
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    let started = STARTED.fetch_add(1, Ordering::Relaxed);
    let port_file = folder.join(format!("port-{}-{started}", std::process::id()));
    let program = Program::new("cloud-server", workspace.program("cloud-server"))
        .dir(workspace.root())
        // Spinning OpenMP threads slow each other down on a busy machine.
        .env("OMP_WAIT_POLICY", "passive")
        .args(prepared.language_models.iter().flat_map(|(name, file)| {
            let mut model = OsString::from(format!("{name}="));
            model.push(file);
            [OsString::from("--gguf"), model]
        }))
        .arg("--data")
        .arg(&prepared.data)
        .arg("--artifacts")
        .arg(&prepared.artifacts)
        .arg("--site")
        .arg(site)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(origins.iter().flat_map(|origin| ["--allow-origin", origin]));
    launch(program, &port_file)
}

/// Starts `program`, which is `cloud-server` with its options, and waits until its language models
/// are loaded. The server writes its port to `port_file`, which is removed.
pub(crate) fn launch(program: Program, port_file: &Path) -> Result<Server, Failure> {
    let mut service = program.arg("--port-file").arg(port_file).spawn()?;
    let found = wait_until_ready(&mut service, port_file);
    // Missing if the server never listened.
    let _ = fs::remove_file(port_file);
    Ok(Server { service, address: found? })
}

fn wait_until_ready(service: &mut Service, port_file: &Path) -> Result<SocketAddr, Failure> {
    let started = Instant::now();
    loop {
        service.still_runs()?;
        let port = fs::read_to_string(port_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = port {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if status(address, "/readyz") == Some(200) {
                return Ok(address);
            }
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::Check(format!(
                "cloud-server was not ready after {} seconds: run it by hand to see why",
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(POLL);
    }
}

/// Status of the response to a GET request; `None` without a response.
fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, &request, Duration::from_secs(2))
}

/// Sends a request of HTTP/1.1 and returns the status of the response; `None` without one.
pub(crate) fn exchange(address: SocketAddr, request: &str, timeout: Duration) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    // In one write: a server may answer the first part and close before the next.
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = Vec::new();
    // The status is in the first line; a reset after it does not matter.
    let _ = stream.take(4096).read_to_end(&mut response);
    status_of(&response)
}

fn status_of(response: &[u8]) -> Option<u16> {
    let line = response.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Process id, for tests that kill the server.
    pub(crate) fn id(&self) -> u32 {
        self.service.id()
    }

    /// Waits until it ends or is interrupted.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        let status = self.service.wait()?;
        crate::process::succeeded("cloud-server", status)
    }

    pub(crate) fn stop(self) {
        self.service.stop();
    }

    /// Stops it, and puts the server that `start` starts in its place.
    pub(crate) fn restart(
        &mut self,
        start: impl FnOnce() -> Result<Self, Failure>,
    ) -> Result<(), Failure> {
        self.service.end();
        *self = start()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(super::status_of(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        assert_eq!(super::status_of(b"HTTP/1.1 200 OK"), Some(200));
        assert_eq!(super::status_of(b""), None);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(super::status(address, "/readyz"), Some(200));
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let failure = super::port_is_free(port).unwrap_err();
        assert_eq!(failure.status(), 2);
        assert!(failure.to_string().contains(&format!("port {port}")));
    }
}
