//! The command line: every command with its options and help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// `cargo xtask`
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    disable_help_subcommand = true,
    about = "Developer commands of the Tandem repository",
    help_template = "{about}\n\n{usage-heading} {usage}\n\n\
        Start:\n  \
        setup        Install programs and packages, download data and language model\n  \
        demo         Build everything and serve the demo site\n  \
        site         Make the demo site as files for a static host\n\n\
        Check:\n  \
        check        Run the fast checks of the development loop\n  \
        test         Run all tests\n  \
        tidy         Check the repository rules\n  \
        docs         Test the commands in the documents\n  \
        soak         Overload the server for minutes\n\n\
        Build and measure:\n  \
        wasm         Build the WebAssembly modules\n  \
        bench        Measure speed\n  \
        dist         Make the archives of a release\n  \
        screenshots  Make the pictures of the documents\n  \
        types        Rewrite the generated TypeScript types\n  \
        results      Rewrite the tables of the documents from docs/results\n\n\
        Options:\n{options}\n\n\
        `cargo xtask <COMMAND> --help` explains a command's options."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install programs and packages, download data and language model. Does nothing when
    /// everything is present.
    Setup(SetupOptions),
    /// Build everything and serve the demo site.
    ///
    /// Imports MovieLens-100k, trains both models, exports the artefacts and starts the server.
    /// Steps whose inputs have not changed are skipped. Ctrl-C stops the server.
    Demo(DemoOptions),
    /// Make the demo site as files for a static host, without a server.
    ///
    /// Trains what `demo` trains, makes candidate lists in advance for each item and for common
    /// pairs, and writes everything into one folder that works below any path.
    Site(SiteOptions),
    /// Run the fast checks of the development loop: formatting, repository rules, types, lints,
    /// unit tests of the small crates.
    Check(CheckOptions),
    /// Run all tests: Rust, WebAssembly, TypeScript, and the demo in a real browser.
    ///
    /// The last line is `N passed, N failed`. A failed step does not prevent the later steps.
    Test(TestOptions),
    /// Check the repository rules: allowed dependencies, import circles, generated types, file
    /// lengths, paths in documents, no traces of a machine.
    Tidy(TidyOptions),
    /// Test the commands in the documents.
    ///
    /// Every command in a Markdown file is executed, parsed by its program, or checked for
    /// existing names. `test` does this too.
    Docs,
    /// Send the server four times as many requests as it can answer, and check its refusals, its
    /// memory and its speed afterwards.
    Soak(SoakOptions),
    /// Build the WebAssembly modules and their bindings into `pkg/wasm`, and print their sizes.
    Wasm(WasmOptions),
    /// Measure speed. Every figure printed is from this run.
    Bench(BenchOptions),
    /// Make the archives of a release in `target/dist`, and try them in an empty folder.
    ///
    /// The programs with manual pages and completions, the npm package, the licences of all
    /// dependencies, a bill of materials (`CycloneDX`) and SHA-256 sums.
    Dist(DistOptions),
    /// Make the pictures of the documents from the demo, in light and dark, and an animation.
    ///
    /// Writes `docs/demo.png`, `docs/demo-dark.png` and `docs/demo.webp`. Needs Chromium and
    /// ffmpeg.
    Screenshots,
    /// Rewrite the generated TypeScript types from the Rust types.
    Types,
    /// Rewrite the tables of the documents from `docs/results`.
    Results,
}

/// Options of `setup`.
#[derive(Debug, Args)]
pub(crate) struct SetupOptions {
    /// Also install Chromium, for the browser tests.
    #[arg(long)]
    pub(crate) browser: bool,
    /// Also make a GGUF file of the sentence embedder all-MiniLM-L6-v2, for `tandem embed`.
    #[arg(long)]
    pub(crate) embedder: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Port to serve on, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Origin whose pages may call the server (CORS), such as those of `examples`. Repeatable.
    #[arg(long, value_name = "URL", conflicts_with = "check")]
    pub(crate) allow_origin: Vec<String>,
    /// Run a scripted session in Chromium instead, on a free port, and print the measured figures
    /// as one line of JSON.
    #[arg(long, conflicts_with = "port")]
    pub(crate) check: bool,
}

/// Options of `site`.
#[derive(Debug, Args)]
pub(crate) struct SiteOptions {
    /// Folder of the site; an earlier site in it is replaced [default: `site` in the build output].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Only the shop with generated products: without data that may not be published.
    #[arg(long)]
    pub(crate) generated: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Check the documentation instead of running unit tests.
    #[arg(long)]
    pub(crate) lint: bool,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Leave out the tests that need a browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Also test the examples for Next.js and Angular, which download hundreds of megabytes of
    /// packages of their own.
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) all_examples: bool,
    /// Fail if PostgreSQL, Redis or NATS does not answer on this machine, instead of skipping their
    /// tests. Also test object stores over a simulation of Azure, which has 360 MB, and imports
    /// outside of memory, whose libraries take long to build.
    #[arg(long)]
    pub(crate) services: bool,
}

/// Options of `tidy`.
#[derive(Debug, Args)]
pub(crate) struct TidyOptions {
    /// Leave out the check of the generated types, which compiles when a Rust type has changed.
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// Options of `soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakOptions {
    /// Duration of the overload in seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(2..=86_400))]
    pub(crate) seconds: u64,
}

/// Options of `dist`.
#[derive(Debug, Args)]
pub(crate) struct DistOptions {
    /// Leave out the npm package, which needs both WebAssembly modules.
    #[arg(long)]
    pub(crate) no_package: bool,
}

/// Options of `wasm`.
#[derive(Debug, Args)]
pub(crate) struct WasmOptions {
    /// Build only this module. Default: both.
    #[arg(long)]
    pub(crate) only: Option<Device>,
    /// Build the modules for benchmarks instead, into `web/bench/wasm`.
    #[arg(long)]
    pub(crate) bench: bool,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// Measure only this part. Default: everything.
    pub(crate) part: Option<BenchPart>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BenchPart {
    /// The device, beside onnxruntime-web and TensorFlow.js. The last line is one JSON object.
    Browser,
}

/// A compute device of the browser, and the module for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// WebAssembly with SIMD.
    Cpu,
    /// WebGPU.
    Webgpu,
}

impl Device {
    pub(crate) const ALL: [Self; 2] = [Self::Cpu, Self::Webgpu];

    /// The name of the cargo feature and of the folder in `pkg/wasm`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Webgpu => "webgpu",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_lists_every_command_in_a_group() {
        let mut cli = Cli::command();
        let help = cli.render_help().to_string();
        for command in cli.get_subcommands() {
            let start = format!("\n  {} ", command.get_name());
            assert_eq!(help.matches(&start).count(), 1, "{start}: {help}");
        }
        for heading in ["Start:", "Check:", "Build and measure:", "Options:"] {
            assert!(help.contains(heading), "{help}");
        }
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
