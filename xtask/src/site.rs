//! The npm package, the demo site and the documentation site.

use std::path::PathBuf;

use crate::{digest::Inputs, failure::Failure, node, progress::say, workspace::Workspace};

/// Builds the package into `pkg/dist` and the site into `web/dist`; returns the latter. The
/// WebAssembly modules must be built.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let leave_out =
        ["dist", "docs", "node_modules", "bench", "e2e", "test", "LICENSE-MIT", "LICENSE-APACHE"];
    let settings = ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.base.json"];
    let inputs = files(workspace, &settings)?
        .folder(&workspace.at("pkg"), &leave_out)?
        .folder(&workspace.at("web"), &leave_out)?
        // The demo shows the figures of the evaluation.
        .folder(&workspace.at("docs/results"), &[])?;
    let site = workspace.at("web/dist");
    let outputs = [workspace.at("pkg/dist"), site.clone()];
    workspace.stamp("site").unless_done(&inputs, &outputs, || {
        say("Building", "the npm package and the demo site");
        node::npm_run(workspace, "npm run build", "build").run()
    })?;
    Ok(site)
}

/// Builds the documentation site into `docs-site/dist` and returns this folder.
pub(crate) fn documents(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let pages = [
        "package-lock.json",
        "tsconfig.base.json",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "cloud-server/README.md",
        "docs-site/README.md",
        "examples/README.md",
        "pkg/README.md",
        "web/README.md",
    ];
    let inputs = files(workspace, &pages)?
        .folder(&workspace.at("docs-site"), &["dist", "node_modules"])?
        .folder(&workspace.at("docs"), &[])?
        .folder(&workspace.at("pkg/docs"), &[])?
        .folder(&workspace.at("pkg/src"), &[])?;
    let site = workspace.at("docs-site/dist");
    workspace.stamp("documents").unless_done(&inputs, std::slice::from_ref(&site), || {
        say("Building", "the documentation site");
        node::npm_run(workspace, "npm run docs", "docs").run()
    })?;
    Ok(site)
}

fn files(workspace: &Workspace, names: &[&str]) -> Result<Inputs, Failure> {
    names.iter().try_fold(Inputs::new(), |inputs, name| inputs.file(&workspace.at(name)))
}
