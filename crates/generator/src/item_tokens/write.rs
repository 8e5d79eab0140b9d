use std::path::Path;

use super::{
    metadata::{ENGINE, ENGINE_KEY},
    model::{ItemTokenModel, SPECIAL_TOKENS},
};
use crate::{
    GeneratorError,
    gguf::{Encoding, GgufError, Value, Writer},
};

impl ItemTokenModel {
    /// Writes the model as a GGUF file, atomically.
    ///
    /// Norms are always F32. With [`Encoding::Q8_0`], a matrix whose number of inputs is not
    /// a multiple of 32 is written as F16.
    ///
    /// # Errors
    /// [`GgufError::Tensor`] if sizes do not match or weights are not finite;
    /// [`GgufError::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path, encoding: Encoding) -> Result<(), GeneratorError> {
        self.shape.validate().map_err(|error| mismatch("shape", error.expected, error.found))?;
        if self.blocks.len() != self.shape.blocks {
            let found = self.blocks.len().to_string();
            return Err(mismatch("blk", format!("{} blocks", self.shape.blocks), found));
        }
        if self.item_ids.is_empty() {
            return Err(mismatch("token_embd", "at least one item".to_owned(), "none".to_owned()));
        }
        let mut writer = Writer::new("llama");
        self.write_metadata(&mut writer, encoding);
        let mut tensors = TensorWriter { writer: &mut writer, encoding };
        let (items, dims) = (self.item_ids.len(), self.shape.dims);
        let embedding = &self.token_embedding;
        tensors.rows("token_embd.weight", dims, items, embedding, SpecialTokenRow::Mean)?;
        if let Some(output) = &self.output {
            tensors.rows("output.weight", dims, items, output, SpecialTokenRow::Zero)?;
        }
        tensors.norm("output_norm.weight", dims, &self.output_norm)?;
        for (position, block) in self.blocks.iter().enumerate() {
            let name = |part: &str| format!("blk.{position}.{part}.weight");
            for (part, weights) in block.norms() {
                tensors.norm(&name(part), dims, weights)?;
            }
            for (part, inputs, outputs, values) in block.matrices(&self.shape) {
                tensors.matrix(&name(part), inputs, outputs, values)?;
            }
        }
        Ok(writer.write(path)?)
    }

    fn write_metadata(&self, writer: &mut Writer, encoding: Encoding) {
        let shape = &self.shape;
        // The shape has been validated, and a catalogue position fits 32 bits.
        let number = |size: usize| Value::U32(size as u32);
        let vocabulary = self.item_ids.len() + SPECIAL_TOKENS.len();
        writer
            .set("general.name", self.name.as_str())
            .set("general.file_type", encoding.file_type())
            .set("general.quantization_version", 2_u32)
            .set("llama.context_length", number(shape.max_length))
            .set("llama.embedding_length", number(shape.dims))
            .set("llama.block_count", number(shape.blocks))
            .set("llama.feed_forward_length", number(shape.feed_forward))
            .set("llama.attention.head_count", number(shape.heads))
            .set("llama.attention.head_count_kv", number(shape.kv_heads))
            .set("llama.attention.layer_norm_rms_epsilon", shape.norm_epsilon as f32)
            .set("llama.rope.freq_base", shape.rope_base as f32)
            .set("llama.rope.dimension_count", number(shape.head_width()))
            .set("llama.vocab_size", number(vocabulary))
            .set("tokenizer.ggml.model", "none")
            .set(ENGINE_KEY, ENGINE)
            .set("tandem.catalogue.hash", self.catalogue_hash.as_str())
            .set("tandem.catalogue.items", number(self.item_ids.len()))
            .set("tandem.special_tokens", SPECIAL_TOKENS.to_vec());
        let ids: Vec<&str> = self.item_ids.iter().map(tandem_protocol::ItemId::as_str).collect();
        writer.set("tandem.item_ids", ids);
        for (key, text) in &self.provenance {
            writer.set(&format!("tandem.training.{key}"), text.as_str());
        }
    }
}

/// The row of the special tokens.
#[derive(Clone, Copy)]
enum SpecialTokenRow {
    Mean,
    Zero,
}

struct TensorWriter<'w> {
    writer: &'w mut Writer,
    encoding: Encoding,
}

impl TensorWriter<'_> {
    /// Writes item rows `[items, dims]`, followed by the rows of the special tokens.
    fn rows(
        &mut self,
        name: &str,
        dims: usize,
        items: usize,
        rows: &[f32],
        special: SpecialTokenRow,
    ) -> Result<(), GeneratorError> {
        check(name, items * dims, rows)?;
        let mut all = Vec::with_capacity((items + SPECIAL_TOKENS.len()) * dims);
        all.extend_from_slice(rows);
        let row = match special {
            SpecialTokenRow::Mean => mean_row(rows, dims),
            SpecialTokenRow::Zero => vec![0.0; dims],
        };
        for _ in SPECIAL_TOKENS {
            all.extend_from_slice(&row);
        }
        self.matrix(name, dims, items + SPECIAL_TOKENS.len(), &all)
    }

    fn matrix(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        values: &[f32],
    ) -> Result<(), GeneratorError> {
        check(name, inputs * outputs, values)?;
        let (inputs, outputs) = (inputs as u64, outputs as u64);
        let encoding = self.encoding.for_width(inputs);
        self.writer.tensor(name, &[inputs, outputs], encoding, values)?;
        Ok(())
    }

    fn norm(&mut self, name: &str, dims: usize, weights: &[f32]) -> Result<(), GeneratorError> {
        check(name, dims, weights)?;
        self.writer.tensor(name, &[dims as u64], Encoding::F32, weights)?;
        Ok(())
    }
}

fn check(name: &str, expected: usize, values: &[f32]) -> Result<(), GeneratorError> {
    if values.len() != expected {
        let found = values.len().to_string();
        return Err(mismatch(name, format!("{expected} values"), found));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(mismatch(name, "finite values".to_owned(), value.to_string())),
        None => Ok(()),
    }
}

fn mismatch(name: &str, expected: String, found: String) -> GeneratorError {
    GgufError::Tensor { name: name.to_owned(), expected, found }.into()
}

fn mean_row(rows: &[f32], dims: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dims];
    for row in rows.chunks_exact(dims) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    let count = (rows.len() / dims) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}
