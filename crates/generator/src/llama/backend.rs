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
