//! Programs, packages and data that must be present before anything can be built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    assets, browser, cargo,
    cli::SetupOptions,
    failure::Failure,
    node,
    process::{Program, on_path},
    progress::say,
    workspace::Workspace,
};

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// `cargo xtask setup`
pub(crate) fn run(workspace: &Workspace, options: &SetupOptions) -> Result<(), Failure> {
    everything(workspace, options.browser)?;
    if options.embedder {
        cargo::build_programs(workspace)?;
        say("Embedder", assets::embedder_gguf(workspace)?.display());
    }
    say("Ready", "everything is installed");
    Ok(())
}

/// Installs and downloads everything that is missing.
pub(crate) fn everything(workspace: &Workspace, browser: bool) -> Result<assets::Assets, Failure> {
    programs(workspace, browser)?;
    assets::fetch(workspace)
}

/// Installs what the npm package and its browser tests need; no data, no language model.
pub(crate) fn browser(workspace: &Workspace) -> Result<(), Failure> {
    programs(workspace, true)
}

fn programs(workspace: &Workspace, browser: bool) -> Result<(), Failure> {
    system_packages(browser)?;
    wasm_target(workspace)?;
    node::packages(workspace)
}

/// Installs the WebAssembly target. rustup does this by itself from `rust-toolchain.toml`, except
/// for a toolchain that was installed before the target was listed there.
pub(crate) fn wasm_target(workspace: &Workspace) -> Result<(), Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = Program::new("rustc --print target-libdir", &rustc)
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
        .remedy(format!("install rustup, or install the target {WASM_TARGET} for your Rust"))
        .run()
}

/// A program or library from the Linux distribution.
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
    Need { package: "libclang-dev", why: "generates llama.cpp's bindings", present: libclang },
];

const BROWSER: Need = Need {
    package: "chromium",
    why: "runs the browser tests",
    present: || browser::chromium().is_some(),
};

/// Tested as well where it can be installed.
const SECOND_BROWSER: Need = Need {
    package: "firefox-esr",
    why: "runs the main path of the package in a second browser",
    present: || std::env::var_os("FIREFOX").is_some() || either(&["firefox", "firefox-esr"]),
};

/// Installs Firefox if this machine can; its tests are skipped without it.
pub(crate) fn second_browser() -> Result<(), Failure> {
    if (SECOND_BROWSER.present)() || !debian() || !root()? {
        return Ok(());
    }
    match install(&[&SECOND_BROWSER]) {
        Err(Failure::Interrupted) => Err(Failure::Interrupted),
        Err(failure) => {
            eprintln!("warning: no tests in Firefox: {failure}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn either(programs: &[&str]) -> bool {
    programs.iter().any(|program| on_path(program).is_some())
}

/// Whether bindgen will find libclang. Searches the same folders and names as bindgen; other parts
/// of LLVM (`llvm-config`, `libclang-cpp`) do not include the library.
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
    let list = missing
        .iter()
        .map(|need| format!("{} ({})", need.package, need.why))
        .collect::<Vec<_>>()
        .join(", ");
    if !debian() {
        return Err(Failure::Machine(format!(
            "missing: {list}. These are Debian's package names; install your system's packages and \
             try again"
        )));
    }
    if !root()? {
        return Err(Failure::Machine(format!(
            "missing: {list}. Run this and try again: sudo apt-get install --yes {}",
            packages.join(" ")
        )));
    }
    install(&missing)
}

fn install(needs: &[&Need]) -> Result<(), Failure> {
    let packages: Vec<&str> = needs.iter().map(|need| need.package).collect();
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
    Ok(Program::new("id -u", "id").arg("-u").output()?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn only_the_c_library_is_libclang() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.13"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libc.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
