//! Speed, measured now. Nothing here is a test: a figure is printed, never judged.

use crate::{
    browser, cargo,
    failure::Failure,
    pipeline,
    process::Program,
    say, setup,
    wasm::{self, Device},
    workspace::Workspace,
};

/// `cargo xtask bench`
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let assets = setup::everything(workspace, true)?;
    let prepared = pipeline::build_and_prepare(workspace, &assets)?;
    for device in Device::ALL {
        wasm::build(workspace, device)?;
    }
    cargo::native(workspace, "building the generator's benchmark", "build")
        .args(["--example", "speed"])
        .run()?;

    say("Measuring", "the device's model in a browser, beside other runtimes");
    browser::benchmark(workspace)?;
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
