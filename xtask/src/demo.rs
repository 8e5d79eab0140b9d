//! The demo: everything from the logs to a running shop.

use std::path::PathBuf;

use clap::Args;

use crate::{
    browser::{self, Session},
    failure::Failure,
    pipeline::{self, Prepared},
    process, say,
    server::{self, Server},
    setup, site,
    wasm::{self, Device, Purpose},
    workspace::Workspace,
};

/// What `demo` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Drive a real browser through a scripted session on a free port, print one line of
    /// JSON with what was measured, and stop.
    #[arg(long, conflicts_with = "port")]
    check: bool,
    /// An origin whose pages may ask this server, such as those of `examples`; may be given
    /// several times.
    #[arg(long, value_name = "URL", conflicts_with = "check")]
    allow_origin: Vec<String>,
}

/// `cargo xtask demo`
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    if options.check {
        let built = build(workspace, true)?;
        let session = check(workspace, &built)?;
        for name in &session.tally.names {
            say("FAILED", name);
        }
        println!("{}", session.report);
        return if session.tally.failed == 0 { Ok(()) } else { Err(Failure::Told { status: 1 }) };
    }
    server::port_is_free(options.port)?;
    let built = build(workspace, false)?;
    let mut server = built.serve(workspace, options.port, &options.allow_origin)?;
    println!("Tandem is at {}  (Ctrl-C stops it)", server.url());
    match server.wait() {
        // That is how a demo is meant to end.
        Err(Failure::Interrupted) => Ok(()),
        ended => ended,
    }
}

/// All that a server needs.
#[derive(Debug)]
pub(crate) struct Built {
    prepared: Prepared,
    site: PathBuf,
}

impl Built {
    /// Starts a server on `port` (0: any free one), for pages of `origins` beside its own.
    pub(crate) fn serve(
        &self,
        workspace: &Workspace,
        port: u16,
        origins: &[String],
    ) -> Result<Server, Failure> {
        server::start(workspace, &self.prepared, &self.site, port, origins)
    }
}

/// Sets up, builds, imports, trains and exports; whatever is up to date is skipped.
pub(crate) fn build(workspace: &Workspace, browser: bool) -> Result<Built, Failure> {
    let assets = setup::everything(workspace, browser)?;
    let prepared = pipeline::build_and_prepare(workspace, &assets)?;
    for device in Device::ALL {
        wasm::build(workspace, device, Purpose::Package)?;
    }
    let site = site::build(workspace)?;
    process::go_on()?;
    Ok(Built { prepared, site })
}

/// The scripted session against a server of its own.
pub(crate) fn check(workspace: &Workspace, built: &Built) -> Result<Session, Failure> {
    let server = built.serve(workspace, 0, &[])?;
    say("Driving", format!("a browser at {}", server.url()));
    let session = browser::scripted_session(workspace, &server);
    server.stop();
    session
}
