//! The demo's second shop: generated products with prices, trained by one `tandem quickstart`.

use std::path::{Path, PathBuf};

use crate::{
    cargo,
    digest::Inputs,
    failure::Failure,
    node,
    process::Program,
    progress::say,
    server::{self, Server},
    workspace::Workspace,
};

/// Minutes of training for both models.
const MINUTES: &str = "1";

/// Files of the second shop.
#[derive(Debug)]
pub(crate) struct SecondShop {
    release: PathBuf,
    /// Prices and stock, for the page.
    pub(crate) goods: PathBuf,
}

/// Generates the shop and trains its models, unless that is done. The programs must be built.
pub(crate) fn prepare(workspace: &Workspace) -> Result<SecondShop, Failure> {
    cargo::build_programs(workspace)?;
    let folder = workspace.at("data/goods");
    let release = workspace.at("data/goods-release");
    let files = ["items.csv", "events.csv", "goods.json"].map(|name| folder.join(name));
    let inputs = Inputs::new().folder(&workspace.at("web/goods"), &[])?;
    workspace.stamp("goods").unless_done(&inputs, &files, || {
        say("Generating", "the second shop");
        node::node(workspace, "generating the second shop")
            .arg("web/goods/generate.mjs")
            .arg(&folder)
            .run()
    })?;
    let [items, events, goods] = files;
    let inputs = Inputs::new().text(MINUTES).file(&items)?.file(&events)?;
    let current = release.join("current");
    workspace.stamp("goods-release").unless_done(
        &inputs,
        std::slice::from_ref(&current),
        || {
            say("Training", "the second shop");
            Program::new("tandem quickstart", workspace.program("tandem"))
                .dir(workspace.root())
                .env("OMP_WAIT_POLICY", "passive")
                .args(["quickstart", "--minutes", MINUTES, "--events"])
                .arg(&events)
                .arg("--catalogue")
                .arg(&items)
                .arg("--out")
                .arg(&release)
                .run()
        },
    )?;
    Ok(SecondShop { release, goods })
}

impl SecondShop {
    /// Starts its server on any free port.
    pub(crate) fn serve(&self, workspace: &Workspace, site: &Path) -> Result<Server, Failure> {
        let port_file = workspace.target().join(format!("xtask/goods-{}", std::process::id()));
        let program = Program::new("cloud-server", workspace.program("cloud-server"))
            .dir(workspace.root())
            .env("OMP_WAIT_POLICY", "passive")
            .arg("--release")
            .arg(&self.release)
            .arg("--site")
            .arg(site)
            .args(["--host", "127.0.0.1", "--port", "0"]);
        server::launch(program, &port_file)
    }
}
