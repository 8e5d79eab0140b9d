//! What has to be on the machine before anything can be built.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    programs(workspace, browser)?;
    assets::fetch(workspace)
}

/// What building the package and driving it in a browser needs: no data, no language model.
pub(crate) fn browser(workspace: &Workspace) -> Result<(), Failure> {
    programs(workspace, true)
}

fn programs(workspace: &Workspace, browser: bool) -> Result<(), Failure> {
    system_packages(browser)?;
    wasm_target(workspace)?;
    node::packages(workspace)
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

/// Whether bindgen will find a libclang: the library itself counts, in the folders and by
/// the names it looks for. LLVM's other parts (`llvm-config`, `libclang-cpp`) come without.
fn libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let mut folders: Vec<PathBuf> =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from).to_vec();
    for entry in fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("llvm-") {
            folders.push(entry.path().join("lib"));
        } else if name.to_string_lossy().ends_with("-linux-gnu") {
            folders.push(entry.path());
        }
    }
    folders.iter().any(|folder| {
        let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
    })
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so`, `libclang-14.so.13`.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let Some((version, _)) = rest.split_once(".so") else { return false };
    let numbered = |version: &str| version.starts_with(|c: char| c.is_ascii_digit());
    version.is_empty() || version.strip_prefix('-').is_some_and(numbered)
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

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn only_the_c_library_counts_as_libclang() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.13"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libc.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
