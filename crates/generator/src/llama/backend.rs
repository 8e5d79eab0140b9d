use std::{path::Path, sync::OnceLock};

use llama_cpp_2::{
    LlamaCppError, LogOptions,
    context::{LlamaContext, params::LlamaContextParams},
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    send_logs_to_tracing,
};

use crate::GeneratorError;

/// llama.cpp's global state, initialised at the first use. There can be only one per process.
/// Its log goes to `tracing`.
///
/// # Errors
/// If other code in this process has initialised it already.
pub(super) fn backend() -> Result<&'static LlamaBackend, &'static LlamaCppError> {
    static BACKEND: OnceLock<Result<LlamaBackend, LlamaCppError>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init()
        })
        .as_ref()
}

/// Loads the weights of a GGUF file, mapped or read into memory.
///
/// # Errors
/// [`GeneratorError::Load`] if llama.cpp cannot load it.
pub(super) fn load_model(path: &Path, mapped: bool) -> Result<LlamaModel, GeneratorError> {
    let to_error = |error: &dyn std::fmt::Display| GeneratorError::Load {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let backend = backend().map_err(|error| to_error(error))?;
    let params = LlamaModelParams::default().with_use_mmap(mapped);
    LlamaModel::load_from_file(backend, path, &params).map_err(|error| to_error(&error))
}

/// Creates a context. `name` is that of the model, for the error.
///
/// # Errors
/// [`GeneratorError::Context`] if llama.cpp cannot create it.
pub(super) fn new_context<'m>(
    model: &'m LlamaModel,
    params: LlamaContextParams,
    name: &str,
) -> Result<LlamaContext<'m>, GeneratorError> {
    let to_error = |error: &dyn std::fmt::Display| GeneratorError::Context {
        name: name.to_owned(),
        message: error.to_string(),
    };
    let backend = backend().map_err(|error| to_error(error))?;
    model.new_context(backend, params).map_err(|error| to_error(&error))
}

/// Makes waiting llama.cpp threads sleep instead of spin. Spinning threads become very slow as soon
/// as other work runs on the machine (63 against 448 tokens/s on two cores).
pub const PASSIVE_THREADS: (&str, &str) = ("OMP_WAIT_POLICY", "passive");

/// [`restart_with`] [`PASSIVE_THREADS`].
///
/// # Errors
/// If `exec` fails. The program can continue with spinning threads.
pub fn passive_threads() -> std::io::Result<()> {
    restart_with(&[PASSIVE_THREADS])
}

/// Restarts the program with these environment variables, unless all of them are set; one that is
/// set keeps its value. Call it first in `main`.
///
/// Libraries read such variables before `main`, so setting them inside the process has no effect.
/// The restart uses `exec`: process id, arguments, environment and open files are kept. Does nothing
/// on systems without `exec`.
///
/// # Errors
/// If `exec` fails.
#[cfg_attr(not(unix), allow(unused_variables, reason = "there is no exec"))]
pub fn restart_with(variables: &[(&str, &str)]) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::{env, os::unix::process::CommandExt, process::Command};

        let missing = || variables.iter().filter(|(name, _)| env::var_os(name).is_none());
        if missing().next().is_some() {
            let mut arguments = env::args_os();
            let mut command = Command::new(env::current_exe()?);
            if let Some(name) = arguments.next() {
                command.arg0(name);
            }
            return Err(command.args(arguments).envs(missing().copied()).exec());
        }
    }
    Ok(())
}
