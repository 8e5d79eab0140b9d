//! The demo: everything from the log to a running shop.

use std::path::{Path, PathBuf};

use crate::{
    browser::{self, Session},
    cli::{DemoOptions, Device},
    failure::Failure,
    own_data::{self, OwnData},
    pipeline::{self, Prepared},
    process,
    progress::say,
    second_shop, served,
    server::{self, Server},
    setup, site,
    wasm::{self, Purpose},
    workspace::Workspace,
};

/// `cargo xtask demo`
pub(crate) fn run(workspace: &Workspace, options: &DemoOptions) -> Result<(), Failure> {
    if options.check {
        let built = build(workspace, true)?;
        let session = check(workspace, &built)?;
        for name in &session.tally.names {
            say("FAILED", name);
        }
        println!("{}", session.report);
        return if session.tally.failed == 0 {
            Ok(())
        } else {
            Err(Failure::Reported { status: 1 })
        };
    }
    server::port_is_free(options.port)?;
    // Without the WebGPU module, which takes longer to compile than everything else of the page.
    let built = build_with(workspace, false, &[Device::Cpu])?;
    let mut films = Films::assemble(workspace, &built)?;
    let mut server = server::start(
        workspace,
        &built.prepared,
        &films.folder,
        options.port,
        &options.allow_origin,
    )?;
    println!("Tandem is at {}  (stop it with Ctrl-C)", server.url());
    // Afterwards, so that the page waits for none of them.
    let _own = match own_data(workspace, &built, &mut films, &server) {
        Ok(own) => Some(own),
        Err(Failure::Interrupted) => return Ok(()),
        Err(failure) => {
            eprintln!("warning: there is no page for own data: {failure}");
            None
        }
    };
    match site::documents(workspace)
        .and_then(|documents| served::add(&films.folder, "docs", &documents))
    {
        Ok(()) => println!("The documentation is at {}/docs/", server.url()),
        Err(Failure::Interrupted) => return Ok(()),
        Err(failure) => eprintln!("warning: there is no documentation: {failure}"),
    }
    let _second = match second_shop(workspace, &built, &mut films, &server) {
        Ok(second) => Some(second),
        Err(Failure::Interrupted) => return Ok(()),
        Err(failure) => {
            eprintln!("warning: there is no second shop: {failure}");
            None
        }
    };
    match webgpu(workspace, &films) {
        Ok(()) => {}
        Err(Failure::Interrupted) => return Ok(()),
        Err(failure) => eprintln!("warning: the page has no WebGPU: {failure}"),
    }
    match server.wait() {
        // Ctrl-C is the normal end of a demo.
        Err(Failure::Interrupted) => Ok(()),
        ended => ended,
    }
}

/// Everything the server needs.
#[derive(Debug)]
pub(crate) struct Built {
    prepared: Prepared,
    site: PathBuf,
}

impl Built {
    /// Folder of the built site.
    pub(crate) fn site(&self) -> &Path {
        &self.site
    }

    /// Starts a server on `port` (0: any free port). Pages of `origins` may call it too.
    pub(crate) fn serve(
        &self,
        workspace: &Workspace,
        port: u16,
        origins: &[String],
    ) -> Result<Server, Failure> {
        let films = Films::assemble(workspace, self)?;
        server::start(workspace, &self.prepared, &films.folder, port, origins)
    }
}

/// The folder of the film shop, with the visitors to replay.
struct Films {
    folder: PathBuf,
    /// What its page is told, by name.
    notes: Vec<(&'static str, String)>,
}

impl Films {
    fn assemble(workspace: &Workspace, built: &Built) -> Result<Self, Failure> {
        let visitors = std::slice::from_ref(&built.prepared.visitors);
        let folder = served::assemble(workspace, "films", &built.site, visitors)?;
        let mut films = Self { folder, notes: Vec::new() };
        films.note("visitors", "./visitors.json")?;
        Ok(films)
    }

    /// Tells the page something, from the next time it is loaded.
    fn note(&mut self, name: &'static str, value: &str) -> Result<(), Failure> {
        self.notes.push((name, value.to_owned()));
        served::note(&self.folder, "index.html", &[(name, value)])
    }

    /// Takes over a newer build of the site. Files of the older one stay for pages that are open.
    fn renew(&self, site: &Path) -> Result<(), Failure> {
        served::add_files(&self.folder, site)?;
        let notes: Vec<_> = self.notes.iter().map(|(name, value)| (*name, &**value)).collect();
        served::note(&self.folder, "index.html", &notes)
    }
}

/// Builds the WebGPU module, and the site with it.
fn webgpu(workspace: &Workspace, films: &Films) -> Result<(), Failure> {
    wasm::build(workspace, Device::Webgpu, Purpose::Package)?;
    films.renew(&site::build(workspace)?)
}

/// Starts the page for a visitor's own files. The page of the film shop links to it from the next
/// time it is loaded.
fn own_data(
    workspace: &Workspace,
    built: &Built,
    films: &mut Films,
    server: &Server,
) -> Result<OwnData, Failure> {
    let own = own_data::start(workspace, &built.site, &format!("{}/", server.url()))?;
    films.note("own-shop", &own.page)?;
    println!("Your own data: {}", own.page);
    Ok(own)
}

/// Trains and serves the shop of products. The page of the film shop links to it from the next time
/// it is loaded.
fn second_shop(
    workspace: &Workspace,
    built: &Built,
    films: &mut Films,
    server: &Server,
) -> Result<Server, Failure> {
    let shop = second_shop::prepare(workspace)?;
    let goods =
        served::assemble(workspace, "goods", &built.site, std::slice::from_ref(&shop.goods))?;
    let first = format!("{}/", server.url());
    served::note(&goods, "goods.html", &[("goods", "./goods.json"), ("first-shop", &first)])?;
    let second = shop.serve(workspace, &goods)?;
    let address = format!("{}/goods.html", second.url());
    films.note("second-shop", &address)?;
    println!("The second shop is at {address}");
    Ok(second)
}

/// Sets up, builds, imports, trains and exports. Steps that are up to date are skipped.
pub(crate) fn build(workspace: &Workspace, browser: bool) -> Result<Built, Failure> {
    build_with(workspace, browser, &Device::ALL)
}

/// [`build`] with the modules for these devices. A module that was built before stays in the site.
fn build_with(workspace: &Workspace, browser: bool, devices: &[Device]) -> Result<Built, Failure> {
    let assets = setup::everything(workspace, browser)?;
    let prepared = pipeline::build_and_prepare(workspace, &assets)?;
    for device in devices {
        wasm::build(workspace, *device, Purpose::Package)?;
    }
    let site = site::build(workspace)?;
    process::check_interrupt()?;
    Ok(Built { prepared, site })
}

/// `cargo xtask screenshots`
pub(crate) fn screenshots(workspace: &Workspace) -> Result<(), Failure> {
    if process::on_path("ffmpeg").is_none() {
        return Err(Failure::Machine(
            "no ffmpeg found, which makes the animation: install it (Debian's package ffmpeg)"
                .to_owned(),
        ));
    }
    let built = build(workspace, true)?;
    let server = built.serve(workspace, 0, &[])?;
    say("Driving", format!("a browser at {}", server.url()));
    let outcome = browser::screenshots(workspace, &server);
    server.stop();
    outcome
}

/// Runs the scripted session against a new server.
pub(crate) fn check(workspace: &Workspace, built: &Built) -> Result<Session, Failure> {
    let server = built.serve(workspace, 0, &[])?;
    say("Driving", format!("a browser at {}", server.url()));
    let session = browser::scripted_session(workspace, &server);
    server.stop();
    session
}
