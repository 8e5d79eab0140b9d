use std::sync::OnceLock;

use llama_cpp_2::{LogOptions, llama_backend::LlamaBackend, send_logs_to_tracing};

/// llama.cpp's global state, set up at the first use and kept: it may exist once a process.
/// Its log goes to `tracing`.
///
/// # Errors
/// If something else in this process has set it up already.
pub(crate) fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Makes sure that llama.cpp's threads sleep while they wait for each other, by starting
/// this program anew with `OMP_WAIT_POLICY=passive` unless the variable is set. To be called
/// first thing in `main`.
///
/// Threads that spin while they wait collapse as soon as anything else runs on the machine
/// (63 against 448 tokens/s on two cores). The OpenMP runtime reads the variable before
/// `main` begins, so setting it from within comes too late. The new program takes the place
/// of this one: process id, arguments, environment and open files are kept.
///
/// Does nothing on systems without `exec`.
///
/// # Errors
/// If the program could not be started again; going on is possible, at the risk above.
pub fn passive_threads() -> std::io::Result<()> {
    #[cfg(unix)]
    if std::env::var_os("OMP_WAIT_POLICY").is_none() {
        use std::os::unix::process::CommandExt;

        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(std::env::current_exe()?);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        return Err(command.args(arguments).env("OMP_WAIT_POLICY", "passive").exec());
    }
    Ok(())
}
