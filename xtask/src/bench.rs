//! Speed. Figures are printed, never tested.

use crate::{
    browser, cargo,
    cli::{BenchOptions, BenchPart, Device},
    failure::Failure,
    pipeline,
    process::Program,
    progress::say,
    setup, site,
    wasm::{self, Purpose},
    workspace::Workspace,
};

/// `cargo xtask bench`
pub(crate) fn run(workspace: &Workspace, options: &BenchOptions) -> Result<(), Failure> {
    match options.part {
        Some(BenchPart::Browser) => device(workspace),
        None => device(workspace).and_then(|()| cloud(workspace)),
    }
}

/// The npm package and the small model in a browser.
fn device(workspace: &Workspace) -> Result<(), Failure> {
    setup::browser(workspace)?;
    for device in Device::ALL {
        wasm::build(workspace, device, Purpose::Package)?;
        wasm::build(workspace, device, Purpose::Bench)?;
    }
    site::build(workspace)?;
    say("Measuring", "the npm package in a browser, and its model beside other runtimes");
    browser::benchmark(workspace)
}

/// The language models.
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
    say("Measuring", "candidates by titles, beside llama.cpp's own decoding");
    speed("the titles benchmark")
        .arg("--gguf")
        .arg(prepared.text_model())
        .arg("--data")
        .arg(&prepared.data)
        .run()?;
    say("Measuring", "candidates by item tokens, beside llama.cpp's own decoding");
    speed("the item-token benchmark").arg("--item-tokens").run()
}
