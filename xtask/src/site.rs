//! The npm package and the demo site.

use std::path::PathBuf;

use crate::{digest::Inputs, failure::Failure, node, progress::say, workspace::Workspace};

/// Builds the package into `pkg/dist` and the site into `web/dist`; returns the latter. The
/// WebAssembly modules must be built.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let leave_out =
        ["dist", "docs", "node_modules", "bench", "e2e", "test", "LICENSE-MIT", "LICENSE-APACHE"];
    // The demo shows the documents and the figures of the evaluation.
    let files = [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "tsconfig.base.json",
        "README.md",
        "ARCHITECTURE.md",
        "cloud-server/README.md",
    ];
    let inputs = files
        .into_iter()
        .try_fold(Inputs::new(), |inputs, file| inputs.file(&workspace.at(file)))?
        .folder(&workspace.at("pkg"), &leave_out)?
        .folder(&workspace.at("web"), &leave_out)?
        .folder(&workspace.at("pkg/docs"), &[])?
        .folder(&workspace.at("docs"), &[])?;
    let site = workspace.at("web/dist");
    let outputs = [workspace.at("pkg/dist"), site.clone()];
    workspace.stamp("site").unless_done(&inputs, &outputs, || {
        say("Building", "the npm package and the demo site");
        node::npm_run(workspace, "npm run build", "build").run()
    })?;
    Ok(site)
}
