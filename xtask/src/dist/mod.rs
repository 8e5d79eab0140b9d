//! The archives of a release: programs, npm package, licences, bill of materials, sums.

mod materials;
mod trial;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::{
    cargo,
    cli::{Device, DistOptions},
    digest,
    failure::Failure,
    node,
    process::{Program, on_path},
    progress::say,
    wasm::{self, Purpose},
    workspace::Workspace,
};

/// The programs of the archive.
const PROGRAMS: [&str; 2] = ["cloud-server", "tandem"];
/// Files of the checkout that the archive contains.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/hosting.md",
    "docs/quickstart.md",
    "cloud-server/README.md",
];
const DEPLOY: &str = "deploy";

/// `cargo xtask dist`
pub(crate) fn run(workspace: &Workspace, options: &DistOptions) -> Result<(), Failure> {
    let folder = workspace.target().join("dist");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(Failure::file(&folder))?;
    }
    make_folder(&folder)?;
    cargo::build_programs(workspace)?;

    let target = target(workspace)?;
    let name = format!("tandem-{}-{target}", env!("CARGO_PKG_VERSION"));
    let content = workspace.target().join("xtask").join("dist").join(&name);
    if content.exists() {
        fs::remove_dir_all(&content).map_err(Failure::file(&content))?;
    }
    programs(workspace, &content)?;
    documents(workspace, &content)?;
    let metadata = metadata(workspace, &target, &[])?;
    let used = materials::dependencies(&metadata, &["cloud-server", "tandem-trainer"], |kind| {
        kind != DependencyKind::Development
    })?;
    let licences = content.join("LICENSES-OF-DEPENDENCIES.txt");
    let text = materials::licences(&used, &materials::EMBEDDED, workspace)?;
    fs::write(&licences, text).map_err(Failure::file(&licences))?;
    let bill = folder.join(format!("{name}.cdx.json"));
    fs::write(&bill, materials::bill(&used, workspace)?).map_err(Failure::file(&bill))?;

    let archive = folder.join(format!("{name}.tar.gz"));
    pack(&content, &name, &archive)?;
    if !options.no_package {
        package(workspace, &folder)?;
    }
    sums(&folder)?;
    trial::run(&folder, &archive, &name)?;
    say("Made", folder.display().to_string());
    Ok(())
}

/// The packages of the workspace and their dependencies, for a target.
fn metadata(workspace: &Workspace, target: &str, features: &[&str]) -> Result<Metadata, Failure> {
    let options = ["--locked", "--filter-platform", target].into_iter();
    let options = options.chain(features.iter().copied());
    MetadataCommand::new()
        .current_dir(workspace.root())
        .other_options(options.map(str::to_owned).collect::<Vec<_>>())
        .exec()
        .map_err(|error| Failure::Check(format!("cargo metadata failed: {error}")))
}

/// The target of the programs, which is that of the compiler.
fn target(workspace: &Workspace) -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Program::new("rustc -vV", &rustc)
        .arg("-vV")
        .dir(workspace.root())
        .remedy("install Rust with rustup")
        .output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Check("rustc -vV names no host".to_owned()))
}

/// Copies the programs without their symbols, with manual pages and completions.
fn programs(workspace: &Workspace, content: &Path) -> Result<(), Failure> {
    let bin = content.join("bin");
    make_folder(&bin)?;
    for name in PROGRAMS {
        let program = bin.join(name);
        copy(&workspace.program(name), &program)?;
        if on_path("strip").is_some() {
            Program::new("strip", "strip").arg(&program).run()?;
        }
        Program::new(format!("{name} manual"), &program)
            .arg("manual")
            .arg(content.join("share"))
            .env("OMP_WAIT_POLICY", "passive")
            .run()?;
    }
    Ok(())
}

fn documents(workspace: &Workspace, content: &Path) -> Result<(), Failure> {
    for document in DOCUMENTS {
        copy(&workspace.at(document), &content.join(document))?;
    }
    let listed = Program::new("git ls-files", "git")
        .args(["ls-files", DEPLOY])
        .dir(workspace.root())
        .remedy("install git")
        .output()?;
    listed.lines().try_for_each(|file| copy(&workspace.at(file), &content.join(file)))
}

/// Packs a folder so that equal contents give equal archives.
fn pack(content: &Path, name: &str, archive: &Path) -> Result<(), Failure> {
    let parent = content.parent().unwrap_or(content);
    Program::new("tar", "tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"])
        .args(["--use-compress-program=gzip --no-name --best", "-cf"])
        .arg(archive)
        .arg("-C")
        .arg(parent)
        .arg(name)
        .remedy("install GNU tar and gzip")
        .run()
}

/// The npm package.
fn package(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    node::packages(workspace)?;
    for device in Device::ALL {
        wasm::build(workspace, device, Purpose::Package)?;
    }
    let devices = ["--features", "wasm-client/cpu,wasm-client/webgpu"];
    let metadata = metadata(workspace, "wasm32-unknown-unknown", &devices)?;
    let used = materials::dependencies(&metadata, &["wasm-client"], |kind| {
        kind == DependencyKind::Normal
    })?;
    let licences = workspace.at("pkg/LICENSE-DEPENDENCIES.txt");
    let text = materials::licences(&used, &[], workspace)?;
    fs::write(&licences, text).map_err(Failure::file(&licences))?;
    Program::new("npm pack", "npm")
        .args(["pack", "--silent", "--workspace", "@tandem-rec/client", "--pack-destination"])
        .arg(folder)
        .dir(workspace.root())
        .remedy("install Node 20 or newer, with npm, and try again")
        .run()
}

/// Writes `SHA256SUMS`, in the format of `sha256sum`.
fn sums(folder: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::file(folder))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {name}", digest::of_file(&file)?);
    }
    let path = folder.join("SHA256SUMS");
    fs::write(&path, text).map_err(Failure::file(&path))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if let Some(parent) = to.parent() {
        make_folder(parent)?;
    }
    fs::copy(from, to).map(|_| ()).map_err(Failure::file(from))
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::file(path))
}
