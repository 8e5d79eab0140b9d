use std::{ffi::CString, path::Path};

use tandem_dataset::files::FileDraft;

use super::backend::backend;
use crate::{GeneratorError, gguf::Metadata};

/// Quantisations that are fast on x86 and ARM processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantisation {
    /// 4.5 bits per weight. llama.cpp repacks it into a second copy when loading. The fastest
    /// on x86 with AVX2: lists of 50 by SmolLM2-135M took 215 ms on two cores, against 462 ms
    /// with [`Quantisation::Q8_0`] and 735 ms with `Q4_1`.
    Q4_0,
    /// 8.5 bits per weight, almost lossless.
    Q8_0,
}

/// Converts a GGUF file to another quantisation. This is slow: keep the result.
///
/// Embeddings become `Q8_0` in either quantisation. `to` is written atomically.
///
/// # Errors
/// If `from` is not a valid GGUF file, llama.cpp cannot convert it, or `to` cannot be written.
pub fn requantise(from: &Path, to: &Path, format: Quantisation) -> Result<(), GeneratorError> {
    let to_error = |message: String| GeneratorError::Requantise {
        from: from.to_owned(),
        to: to.to_owned(),
        message,
    };
    Metadata::read(from)?;
    backend().map_err(|error| to_error(error.to_string()))?;
    let draft = FileDraft::new(to).map_err(|error| to_error(error.to_string()))?;
    let c_path = |path: &Path| {
        CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|error| to_error(error.to_string()))
    };
    let (input, output) = (c_path(from)?, c_path(draft.path())?);
    let status = convert(&input, &output, format);
    if status != 0 {
        let message = format!("llama.cpp returned status {status}; its log has the reason");
        return Err(to_error(message));
    }
    // The output must be complete before it gets its final name.
    Metadata::read(draft.path())?;
    draft.publish().map_err(|error| to_error(error.to_string()))
}

#[expect(unsafe_code, reason = "llama-cpp-2 does not wrap llama_model_quantize")]
fn convert(input: &CString, output: &CString, format: Quantisation) -> u32 {
    // SAFETY: returns a plain struct by value, with default values and null for every
    // optional pointer.
    let mut params = unsafe { llama_cpp_sys_2::llama_model_quantize_default_params() };
    params.ftype = match format {
        Quantisation::Q4_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_0,
        Quantisation::Q8_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q8_0,
    };
    params.allow_requantize = true;
    params.token_embedding_type = llama_cpp_sys_2::GGML_TYPE_Q8_0;
    params.output_tensor_type = llama_cpp_sys_2::GGML_TYPE_Q8_0;
    // SAFETY: both paths are NUL-terminated; paths and `params` outlive the call; llama.cpp
    // catches its own exceptions and returns a status.
    unsafe {
        llama_cpp_sys_2::llama_model_quantize(input.as_ptr(), output.as_ptr(), &raw const params)
    }
}
