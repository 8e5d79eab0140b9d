use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::unsupported;
use crate::{
    GeneratorError,
    gguf::{GgufError, Metadata, StoredFloats, TensorInfo, stored_floats},
};

/// Blocks that are read at once.
const BLOCKS: u64 = 4096;

/// Reads the numbers and scales of all tensors. A single NaN turns every list into rubbish that
/// an operator notices late, so a model that has one is refused.
///
/// # Errors
/// [`GeneratorError::Unsupported`] for the first tensor with a number that is not finite, and
/// [`GeneratorError::Gguf`] if the file cannot be read.
pub(in super::super) fn check_weights(
    path: &Path,
    metadata: &Metadata,
) -> Result<(), GeneratorError> {
    let mut file = File::open(path).map_err(GgufError::read(path))?;
    for tensor in &metadata.tensors {
        // Integers, and formats that llama.cpp alone knows, are not checked.
        let Some(stored) = stored_floats(tensor.encoding) else { continue };
        file.seek(SeekFrom::Start(metadata.data + tensor.offset)).map_err(GgufError::read(path))?;
        if !is_finite(&mut file, tensor, stored).map_err(GgufError::read(path))? {
            let found = format!("NaN or infinity in {}", tensor.name);
            return Err(unsupported(path, "finite weights", &found));
        }
    }
    Ok(())
}

/// Whether all numbers of the tensor at the file's position are finite.
fn is_finite(file: &mut File, tensor: &TensorInfo, stored: StoredFloats) -> io::Result<bool> {
    // The reader of the header has checked that the tensor lies inside the file.
    let mut blocks = tensor.dims.iter().product::<u64>() / stored.numbers;
    let mut bytes = Vec::new();
    while blocks > 0 {
        let taken = blocks.min(BLOCKS);
        bytes.clear();
        file.take(taken * stored.bytes).read_to_end(&mut bytes)?;
        if !bytes.chunks_exact(stored.bytes as usize).all(|block| stored.is_finite(block)) {
            return Ok(false);
        }
        blocks -= taken;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Encoding, Writer};

    #[test]
    fn a_number_that_is_not_finite_is_found_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        for encoding in [Encoding::F32, Encoding::F16, Encoding::Q8_0] {
            for bad in [None, Some(f32::NAN), Some(f32::INFINITY)] {
                let mut values = vec![0.5_f32; 64];
                if let Some(bad) = bad {
                    values[63] = bad;
                }
                let mut writer = Writer::new("llama");
                writer.tensor("first", &[32], encoding, &[1.0; 32]).unwrap();
                writer.tensor("second", &[32, 2], encoding, &values).unwrap();
                writer.write(&path).unwrap();
                let checked = check_weights(&path, &Metadata::read(&path).unwrap());
                // Rounding to 8 bits with a NaN in the block ignores the NaN.
                let is_kept = encoding != Encoding::Q8_0 || bad == Some(f32::INFINITY);
                match checked {
                    Ok(()) => assert!(bad.is_none() || !is_kept, "{encoding:?} {bad:?}"),
                    Err(error) => {
                        assert!(bad.is_some(), "{error}");
                        assert!(error.to_string().contains("second"), "{error}");
                    }
                }
            }
        }
    }
}
