//! The cloud server as a child.

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
    say,
    workspace::Workspace,
};

/// Loading a model of this size takes seconds; a busy machine may need many.
const PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);

/// Servers started so far, for file names of their own.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    address: SocketAddr,
}

/// Fails early, before anything is built, when `port` is taken.
pub(crate) fn port_is_free(port: u16) -> Result<(), Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|error| {
        Failure::Machine(format!(
            "port {port} of 127.0.0.1 cannot be used ({error}): stop what uses it, or choose \
             another with --port"
        ))
    })
}

/// Starts it on `port` (0: any free one), for pages of `origins` beside its own, and waits
/// until the language model is loaded.
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
    let mut service = Program::new("cloud-server", workspace.program("cloud-server"))
        .dir(workspace.root())
        // Two threads that spin for work starve each other on a busy machine.
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
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--port-file"])
        .arg(&port_file)
        .args(origins.iter().flat_map(|origin| ["--allow-origin", origin]))
        .spawn()?;
    let found = wait_until_ready(&mut service, &port_file);
    // Its purpose is served; if it was never written there is nothing to remove.
    let _ = fs::remove_file(&port_file);
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
                "cloud-server was not ready after {} seconds",
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(POLL);
    }
}

/// Status of the answer to a GET, if there is one.
fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let wait = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, wait).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    // In one piece: a server that answers after the first may have closed before the next.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // What matters stands in the first line; a reset after it does no harm.
    let _ = stream.take(4096).read_to_end(&mut answer);
    status_of(&answer)
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Process id, for a driver that wants to see what a page does when the server dies.
    pub(crate) fn id(&self) -> u32 {
        self.service.id()
    }

    /// Waits until it ends or an interrupt comes.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        let status = self.service.wait()?;
        crate::process::succeeded("cloud-server", status)
    }

    pub(crate) fn stop(self) {
        self.service.stop();
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
    fn readiness_is_the_status_of_the_first_line() {
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
    fn a_taken_port_is_named_before_anything_is_built() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let failure = super::port_is_free(port).unwrap_err();
        assert_eq!(failure.status(), 2);
        assert!(failure.to_string().contains(&format!("port {port}")));
    }
}
