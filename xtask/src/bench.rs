//! Speed, measured now. Nothing here is a test: a figure is printed, never judged.

use clap::{Args, ValueEnum};

use crate::{
    browser, cargo,
    failure::Failure,
    pipeline,
    process::Program,
    say, setup, site,
    wasm::{self, Device, Purpose},
    workspace::Workspace,
};

/// What `bench` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure only this; by default, both sides.
    part: Option<Part>,
}

/// A side that can be measured by itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// The package, beside onnxruntime-web and TensorFlow.js; the last line is one JSON object.
    Browser,
}

/// `cargo xtask bench`
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    match options.part {
        Some(Part::Browser) => device(workspace),
        None => device(workspace).and_then(|()| cloud(workspace)),
    }
}

/// The package and the device's model in a browser.
fn device(workspace: &Workspace) -> Result<(), Failure> {
    setup::browser(workspace)?;
    for device in Device::ALL {
        wasm::build(workspace, device, Purpose::Package)?;
        wasm::build(workspace, device, Purpose::Bench)?;
    }
    site::build(workspace)?;
    say("Measuring", "the package in a browser, and its model beside other runtimes");
    browser::benchmark(workspace)
}

/// Language models on the server.
fn cloud(workspace: &Workspace) -> Result<(), Failure> {
    let assets = setup::everything(workspace, true)?;
    let prepared = pipeline::build_and_prepare(workspace, &assets)?;
    cargo::native(workspace, "building the generator's benchmark", "build")
        .args(["--example", "speed"])
        .run()?;

    let speed = |what: &str| {
        Program::new(what, workspace.program("examples/speed"))
            .dir(workspace.root())
            .env("OMP_WAIT_POLICY", "passive")
    };
    say("Measuring", "titles by a language model, beside llama.cpp's own decoding");
    speed("the benchmark of titles")
        .arg("--gguf")
        .arg(prepared.text_model())
        .arg("--data")
        .arg(&prepared.data)
        .run()?;
    say("Measuring", "item tokens, beside llama.cpp's own decoding");
    speed("the benchmark of item tokens").arg("--item-tokens").run()
}
