//! What has to be on the machine before anything can be built.

use std::{fs, path::Path};

use clap::Args;

use crate::{
    assets, browser,
    failure::Failure,
    node,
    process::{Program, on_path},
    say,
    workspace::Workspace,
};

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What `setup` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also see to a Chromium, which the tests drive.
    #[arg(long)]
    pub(crate) browser: bool,
}

/// `cargo xtask setup`
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    everything(workspace, options.browser)?;
    say("Ready", "all that the other commands need is here");
    Ok(())
}

/// All of it, each part only if it is missing.
pub(crate) fn everything(workspace: &Workspace, browser: bool) -> Result<assets::Assets, Failure> {
    system_packages(browser)?;
    wasm_target(workspace)?;
    node::packages(workspace)?;
    assets::fetch(workspace)
}

/// The target is a part of `rust-toolchain.toml`, which rustup follows by itself; this is for
/// a toolchain that was there before the target was asked for.
pub(crate) fn wasm_target(workspace: &Workspace) -> Result<(), Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Program::new("asking rustc for its targets", &rustc)
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .dir(workspace.root())
        .remedy("install Rust with rustup")
        .output()?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    say("Installing", format!("Rust target {WASM_TARGET}"));
    Program::new("rustup target add", "rustup")
        .args(["target", "add", WASM_TARGET])
        .dir(workspace.root())
        .remedy(format!("install rustup, or the {WASM_TARGET} target of your Rust in its own way"))
        .run()
}

/// A program or library that a distribution packages.
struct Need {
    package: &'static str,
    why: &'static str,
    present: fn() -> bool,
}

const NEEDS: [Need; 4] = [
    Need {
        package: "g++",
        why: "compiles llama.cpp",
        present: || either(&["c++", "g++", "clang++"]),
    },
    Need { package: "make", why: "builds llama.cpp", present: || either(&["make", "ninja"]) },
    Need { package: "cmake", why: "configures llama.cpp", present: || either(&["cmake"]) },
    Need { package: "libclang-dev", why: "makes llama.cpp's bindings", present: libclang },
];

const BROWSER: Need = Need {
    package: "chromium",
    why: "runs the browser tests",
    present: || browser::chromium().is_some(),
};

fn either(programs: &[&str]) -> bool {
    programs.iter().any(|program| on_path(program).is_some())
}

fn libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() || either(&["llvm-config"]) {
        return true;
    }
    let mut folders = vec!["/usr/lib".into(), "/usr/lib64".into(), "/usr/local/lib".into()];
    for parent in ["/usr/lib"] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("llvm-") {
                folders.push(path.join("lib"));
            } else if name.to_string_lossy().ends_with("-linux-gnu") {
                folders.push(path);
            }
        }
    }
    folders.iter().any(|folder| {
        fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("libclang.so") || name.starts_with("libclang-")
            })
        })
    })
}

fn system_packages(browser: bool) -> Result<(), Failure> {
    let mut missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if browser && !(BROWSER.present)() {
        missing.push(&BROWSER);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let told = missing
        .iter()
        .map(|need| format!("{} ({})", need.package, need.why))
        .collect::<Vec<_>>()
        .join(", ");
    if !debian() {
        return Err(Failure::Machine(format!(
            "missing: {told}. The names are Debian's; install what your system calls them and \
             try again"
        )));
    }
    if !root()? {
        return Err(Failure::Machine(format!(
            "missing: {told}. Run this and try again: sudo apt-get install --yes {}",
            packages.join(" ")
        )));
    }
    say("Installing", format!("Debian packages {}", packages.join(" ")));
    let apt = |what: &str| {
        Program::new(what, "apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet")
    };
    apt("apt-get update").arg("update").run()?;
    apt("apt-get install")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&packages)
        .run()
}

fn debian() -> bool {
    on_path("apt-get").is_some() && Path::new("/etc/debian_version").exists()
}

fn root() -> Result<bool, Failure> {
    Ok(Program::new("asking who we are", "id").arg("-u").output()?.trim() == "0")
}
