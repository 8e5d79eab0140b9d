use std::{ffi::CString, path::Path};

use tandem_dataset::files::FileDraft;

use super::backend::backend;
use crate::{GeneratorError, gguf::Metadata};

/// Quantisations that x86 and ARM processors compute with fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 4.5 bits a weight; llama.cpp rearranges it at load time into a second copy. The
    /// fastest on x86 with AVX2: lists of 50 by SmolLM2-135M took 215 ms on two cores,
    /// against 462 with [`Format::Q8_0`] and 735 with `Q4_1`.
    Q4_0,
    /// 8.5 bits a weight: next to no loss.
    Q8_0,
}

/// Rewrites a GGUF file in another quantisation. Slow enough to be done once and kept.
///
/// Embeddings become `Q8_0` in either format. `to` is written beside itself and renamed:
/// it never holds half a file.
///
/// # Errors
/// If `from` is not a sound GGUF, llama.cpp cannot convert it, or `to` cannot be written.
pub fn requantise(from: &Path, to: &Path, format: Format) -> Result<(), GeneratorError> {
    let fault = |message: String| GeneratorError::Requantise {
        from: from.to_owned(),
        to: to.to_owned(),
        message,
    };
    Metadata::read(from)?;
    backend().map_err(&fault)?;
    let draft = FileDraft::new(to).map_err(|error| fault(error.to_string()))?;
    let c_path = |path: &Path| {
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| fault(error.to_string()))
    };
    let (input, output) = (c_path(from)?, c_path(draft.path())?);
    let status = convert(&input, &output, format);
    if status != 0 {
        return Err(fault(format!("llama.cpp answered {status}; its log says why")));
    }
    // What was written must be whole before it takes its name.
    Metadata::read(draft.path())?;
    draft.publish().map_err(|error| fault(error.to_string()))
}

#[expect(unsafe_code, reason = "llama-cpp-2 does not wrap llama_model_quantize")]
fn convert(input: &CString, output: &CString, format: Format) -> u32 {
    // SAFETY: returns a plain struct by value; llama.cpp fills in defaults, and null for
    // every optional pointer.
    let mut params = unsafe { llama_cpp_sys_2::llama_model_quantize_default_params() };
    params.ftype = match format {
        Format::Q4_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_0,
        Format::Q8_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q8_0,
    };
    params.allow_requantize = true;
    params.token_embedding_type = llama_cpp_sys_2::GGML_TYPE_Q8_0;
    params.output_tensor_type = llama_cpp_sys_2::GGML_TYPE_Q8_0;
    // SAFETY: both are strings that end with a zero byte and live through the call, `params`
    // likewise; llama.cpp catches its own exceptions and answers a status.
    unsafe {
        llama_cpp_sys_2::llama_model_quantize(input.as_ptr(), output.as_ptr(), &raw const params)
    }
}
