//! The page for a visitor's own files: a local server that takes them, trains with
//! `tandem quickstart` and serves the result (`web/own`).

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    node,
    process::{Program, Service},
    workspace::Workspace,
};

/// Maximum time for the start of Node on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The local server. Its files, and the server of a trained shop, end with it.
#[derive(Debug)]
pub(crate) struct OwnData {
    /// Held for its end.
    _service: Service,
    /// Address of the page.
    pub(crate) page: String,
}

/// Starts it on a free port of the loopback interface. `site` is the built site, `first_shop` the
/// address of the film shop. The programs must be built.
pub(crate) fn start(
    workspace: &Workspace,
    site: &Path,
    first_shop: &str,
) -> Result<OwnData, Failure> {
    let port_file = workspace.target().join(format!("xtask/own-{}", std::process::id()));
    let tandem = workspace.program("tandem");
    let mut service = command(workspace, site, tandem.parent().unwrap_or(workspace.target()))
        .args(["--first-shop", first_shop, "--port-file"])
        .arg(&port_file)
        .spawn()?;
    let port = wait_for_port(&mut service, &port_file);
    // Missing if the server never listened.
    let _ = fs::remove_file(&port_file);
    Ok(OwnData { _service: service, page: format!("http://127.0.0.1:{}/own.html", port?) })
}

fn command(workspace: &Workspace, site: &Path, programs: &Path) -> Program {
    node::node(workspace, "the server for own data")
        .arg("web/own/main.mjs")
        .arg("--programs")
        .arg(programs)
        .arg("--site")
        .arg(site)
}

fn wait_for_port(service: &mut Service, port_file: &Path) -> Result<u16, Failure> {
    let started = Instant::now();
    loop {
        service.still_runs()?;
        let port = fs::read_to_string(port_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = port {
            return Ok(port);
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::Check(format!(
                "the server for own data did not listen after {} seconds: run `node \
                 web/own/main.mjs` by hand to see why",
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(POLL);
    }
}
