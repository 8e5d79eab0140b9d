//! The demo: everything from the log to a running shop.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    browser::{self, Session},
    cargo,
    cli::{DemoOptions, Device},
    failure::Failure,
    own_data::{self, OwnData},
    parts::{self, Part, Parts, State},
    pipeline::{self, Prepared, Training},
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
    serve(workspace, options)
}

/// Serves the page as soon as it works, then prepares the rest while it is up.
fn serve(workspace: &Workspace, options: &DemoOptions) -> Result<(), Failure> {
    server::port_is_free(options.port)?;
    let assets = setup::everything(workspace, false)?;
    cargo::build_programs(workspace)?;
    let is_trained = pipeline::is_trained(workspace)?;
    let training = if is_trained { Training::Full } else { Training::Brief };
    let prepared = pipeline::prepare(workspace, &assets, training)?;
    // Without the WebGPU module, which takes longer to compile than everything else of the page.
    wasm::build(workspace, Device::Cpu, Purpose::Package)?;
    let built = Built { prepared, site: site::build(workspace)? };
    process::check_interrupt()?;
    let mut films = Films::assemble(workspace, &built)?;
    let parts =
        [Part::OwnData, Part::Documentation, Part::SecondShop, Part::Training, Part::Webgpu];
    let mut parts = Parts::new(
        &films.folder,
        parts.into_iter().filter(|part| !(is_trained && *part == Part::Training)),
    )?;
    films.note("parts", &format!("./{}", parts::FILE))?;
    let start = |prepared: &Prepared, films: &Films, port: u16| {
        server::start(workspace, prepared, &films.folder, port, &options.allow_origin)
    };
    let mut server = start(&built.prepared, &films, options.port)?;
    println!("Tandem is at {}  (stop it with Ctrl-C)", server.url());

    let address = format!("{}/", server.url());
    let mut prepare = |part: Part, step: &mut dyn FnMut() -> Result<(), Failure>| {
        parts.set(part, State::UnderWay)?;
        match step() {
            Ok(()) => parts.set(part, State::Ready),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            Err(failure) => {
                eprintln!("warning: {}: {failure}", part.absence());
                parts.set(part, State::Failed)
            }
        }
    };
    let (mut own, mut second) = (None, None);
    let mut rest = || {
        prepare(Part::OwnData, &mut || {
            own = Some(own_data(workspace, &built, &mut films, &address)?);
            Ok(())
        })?;
        prepare(Part::Documentation, &mut || {
            served::add(&films.folder, "docs", &site::documents(workspace)?)?;
            // The examples of the documents run with the package and this script.
            let script = films.folder.join("docs/assets/run.js");
            fs::copy(workspace.at("docs-site/run.js"), &script).map_err(Failure::file(&script))?;
            for part in ["dist", "wasm/cpu"] {
                let from = workspace.at("pkg").join(part);
                served::add(&films.folder, &format!("package/{part}"), &from)?;
            }
            println!("The documentation is at {address}docs/");
            Ok(())
        })?;
        prepare(Part::SecondShop, &mut || {
            second = Some(second_shop(workspace, &built, &mut films, &address)?);
            Ok(())
        })?;
        if !is_trained {
            prepare(Part::Training, &mut || {
                let prepared = pipeline::prepare(workspace, &assets, Training::Full)?;
                // Another language model needs another server. Pages try again by themselves.
                let port = server.address().port();
                server.restart(|| start(&prepared, &films, port))?;
                println!("The models are trained to their end");
                Ok(())
            })?;
        }
        prepare(Part::Webgpu, &mut || webgpu(workspace, &films))
    };
    let outcome = rest().and_then(|()| server.wait());
    match outcome {
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

    /// Takes over a newer build of the site.
    fn renew(&self, site: &Path) -> Result<(), Failure> {
        let notes: Vec<_> = self.notes.iter().map(|(name, value)| (*name, &**value)).collect();
        served::renew(&self.folder, site, "index.html", &notes)
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
    first_shop: &str,
) -> Result<OwnData, Failure> {
    let own = own_data::start(workspace, &built.site, first_shop)?;
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
    first_shop: &str,
) -> Result<Server, Failure> {
    let shop = second_shop::prepare(workspace)?;
    let goods =
        served::assemble(workspace, "goods", &built.site, std::slice::from_ref(&shop.goods))?;
    served::note(&goods, "goods.html", &[("goods", "./goods.json"), ("first-shop", first_shop)])?;
    let second = shop.serve(workspace, &goods)?;
    let address = format!("{}/goods.html", second.url());
    films.note("second-shop", &address)?;
    println!("The second shop is at {address}");
    Ok(second)
}

/// Sets up, builds, imports, trains and exports. Steps that are up to date are skipped.
pub(crate) fn build(workspace: &Workspace, browser: bool) -> Result<Built, Failure> {
    let assets = setup::everything(workspace, browser)?;
    let prepared = pipeline::build_and_prepare(workspace, &assets)?;
    wasm::package_modules(workspace)?;
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
