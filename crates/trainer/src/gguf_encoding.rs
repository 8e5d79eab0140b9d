use clap::ValueEnum;
use tandem_generator::item_tokens::Encoding;

/// Encodings of the matrices in a GGUF file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GgufEncoding {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with one scale per 32 weights.
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<GgufEncoding> for Encoding {
    fn from(encoding: GgufEncoding) -> Self {
        match encoding {
            GgufEncoding::F32 => Self::F32,
            GgufEncoding::F16 => Self::F16,
            GgufEncoding::Q8_0 => Self::Q8_0,
        }
    }
}
