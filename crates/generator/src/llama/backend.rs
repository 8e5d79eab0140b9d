use std::sync::OnceLock;

use llama_cpp_2::{LogOptions, llama_backend::LlamaBackend, send_logs_to_tracing};

/// llama.cpp's global state, initialised at the first use. There can be only one per process.
/// Its log goes to `tracing`.
///
/// # Errors
/// If other code in this process has initialised it already.
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

/// Makes waiting llama.cpp threads sleep instead of spin: restarts the program with
/// `OMP_WAIT_POLICY=passive` unless the variable is already set. Call it first in `main`.
///
/// Spinning threads become very slow as soon as other work runs on the machine (63 against
/// 448 tokens/s on two cores). The OpenMP runtime reads the variable before `main`, so
/// setting it inside the process has no effect. The restart uses `exec`: process id,
/// arguments, environment and open files are kept.
///
/// Does nothing on systems without `exec`.
///
/// # Errors
/// If `exec` fails. The program can continue with spinning threads.
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
