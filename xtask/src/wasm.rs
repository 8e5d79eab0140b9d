//! Builds `wasm-client` as two modules in `pkg/wasm`: one for the CPU without a tensor library, one
//! with Burn on WebGPU. Most visitors never load the second.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cargo,
    cli::{Device, WasmOptions},
    digest::Inputs,
    failure::Failure,
    node,
    progress::say,
    setup,
    workspace::Workspace,
};

/// The purpose of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Part of the npm package, in `pkg/wasm`.
    Package,
    /// With exports for benchmarks and for comparing backends, in `web/bench/wasm`.
    Bench,
}

impl Purpose {
    /// Folder of the modules, with one subfolder per device.
    fn folder(self) -> &'static str {
        match self {
            Self::Package => "pkg/wasm",
            Self::Bench => "web/bench/wasm",
        }
    }

    fn features(self, device: Device) -> String {
        match self {
            Self::Package => device.name().to_owned(),
            Self::Bench => format!("{},bench", device.name()),
        }
    }
}

/// Stem of the written files: `tandem.js`, `tandem.d.ts`, `tandem_bg.wasm`.
const NAME: &str = "tandem";
const MODULE: &str = "tandem_bg.wasm";

/// `wasm-client` and the crates that it may depend on (see `tidy`).
pub(crate) const SOURCES: [&str; 5] =
    ["wasm-client", "crates/session", "crates/model", "crates/collaboration", "crates/protocol"];
const RUSTFLAGS: &str = "-C target-feature=+simd128";

/// The optimised module with function names, for `npm run sizes`. It is not packed.
const NAMED: &str = "tandem_named.wasm";

/// Features that the compiler and wasm-bindgen may use; `wasm-opt` refuses a module with others.
const OPTIMISE: [&str; 9] = [
    "-O2",
    "--debuginfo",
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
];

/// `cargo xtask wasm`
pub(crate) fn run(workspace: &Workspace, options: &WasmOptions) -> Result<(), Failure> {
    setup::wasm_target(workspace)?;
    node::packages(workspace)?;
    let purpose = if options.bench { Purpose::Bench } else { Purpose::Package };
    let devices = options.only.map_or_else(|| Device::ALL.to_vec(), |only| vec![only]);
    for device in &devices {
        build(workspace, *device, purpose)?;
    }
    print_sizes(workspace, purpose, &devices)
}

/// Builds the modules of the npm package, if they are out of date.
pub(crate) fn package_modules(workspace: &Workspace) -> Result<(), Failure> {
    Device::ALL.into_iter().try_for_each(|device| build(workspace, device, Purpose::Package))
}

/// Compiles, binds and optimises the module for `device`, if it is out of date.
pub(crate) fn build(
    workspace: &Workspace,
    device: Device,
    purpose: Purpose,
) -> Result<(), Failure> {
    let folder = workspace.at(purpose.folder()).join(device.name());
    let name = format!("wasm-{}", purpose.features(device).replace(',', "-"));
    workspace.stamp(&name).unless_done(&inputs(workspace)?, std::slice::from_ref(&folder), || {
        let compiled = compile(workspace, &purpose.features(device))?;
        say("Binding", format!("{}/{}", purpose.folder(), device.name()));
        let scratch = workspace.target().join("xtask").join(&name);
        remake(&scratch)?;
        bind(workspace, &compiled, &scratch)?;
        optimise(workspace, &scratch)?;
        replace(&scratch, &folder)
    })
}

/// Everything that a module is built from. Cargo's own check does not suffice: both modules have
/// the same file name, so each build makes the other appear out of date.
fn inputs(workspace: &Workspace) -> Result<Inputs, Failure> {
    let mut inputs = Inputs::new()
        .text(&OPTIMISE.join(" "))
        .text(RUSTFLAGS)
        .file(&workspace.at("node_modules/binaryen/package.json"))?;
    for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"] {
        inputs = inputs.file(&workspace.at(file))?;
    }
    for source in SOURCES {
        inputs = inputs.folder(&workspace.at(source), &["tests", "examples"])?;
    }
    Ok(inputs)
}

fn compile(workspace: &Workspace, features: &str) -> Result<PathBuf, Failure> {
    cargo::cargo(workspace, &format!("compiling wasm-client with the features {features}"))
        .args(["build", "--profile", "wasm", "--package", "wasm-client", "--features", features])
        .args(["--target", "wasm32-unknown-unknown"])
        // Applies to this target only: with `--target`, cargo does not use it for build scripts.
        .env("RUSTFLAGS", RUSTFLAGS)
        .without_env("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
    Ok(workspace.target().join("wasm32-unknown-unknown/wasm/wasm_client.wasm"))
}

/// Generates the JavaScript of the module `compiled` in the folder `to`.
fn bind(workspace: &Workspace, compiled: &Path, to: &Path) -> Result<(), Failure> {
    cargo::xtask(workspace, "generating the JavaScript of the module", "run")
        .args(["--features", "bind", "--bin", "bind", "--"])
        .args([compiled, to])
        .arg(NAME)
        .run()
}

/// Optimises the module in `folder`, and writes a copy with function names beside it.
fn optimise(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    let (module, named) = (folder.join(MODULE), folder.join(NAMED));
    let tool = |what: &str| node::tool(workspace, what, "wasm-opt");
    tool("wasm-opt").args(OPTIMISE).arg(&module).arg("-o").arg(&named).run()?;
    tool("wasm-opt --strip-debug")
        .args(&OPTIMISE[2..])
        .arg("--strip-debug")
        .arg(named)
        .arg("-o")
        .arg(module)
        .run()
}

fn remake(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Failure::file(folder))?;
    }
    fs::create_dir_all(folder).map_err(Failure::file(folder))
}

/// Replaces the folder `to` with the files of `from`. The two may be on different file systems, so
/// files are copied beside `to` and renamed.
fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    let beside = to.with_extension("new");
    remake(&beside)?;
    for entry in fs::read_dir(from).map_err(Failure::file(from))? {
        let entry = entry.map_err(Failure::file(from))?;
        if entry.path().is_dir() {
            return Err(Failure::Check(format!(
                "wasm-bindgen wrote a folder of snippets, {}: change xtask/src/wasm.rs to copy it",
                entry.path().display()
            )));
        }
        fs::copy(entry.path(), beside.join(entry.file_name())).map_err(Failure::file(&beside))?;
    }
    if to.exists() {
        fs::remove_dir_all(to).map_err(Failure::file(to))?;
    }
    fs::rename(&beside, to).map_err(Failure::file(to))
}

/// Prints sizes; Node has both compressors.
const SIZES: &str = "
const fs = require('fs'), zlib = require('zlib');
for (const path of process.argv.slice(1)) {
  const raw = fs.readFileSync(path);
  const brotli = zlib.brotliCompressSync(raw, {
    params: { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: raw.length },
  });
  const mb = (bytes) => (bytes.length / 1e6).toFixed(3).padStart(7) + ' MB';
  console.log(`${path}: raw ${mb(raw)}, gzip ${mb(zlib.gzipSync(raw, { level: 9 }))}, brotli ${mb(brotli)}`);
}";

fn print_sizes(workspace: &Workspace, purpose: Purpose, devices: &[Device]) -> Result<(), Failure> {
    node::node(workspace, "measuring module sizes")
        .args(["-e", SIZES])
        .args(
            devices.iter().map(|device| format!("{}/{}/{MODULE}", purpose.folder(), device.name())),
        )
        .run()
}
