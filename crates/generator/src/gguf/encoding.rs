/// Storage format of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 4 bytes each.
    F32,
    /// IEEE half precision, 2 bytes each, rounded to nearest even.
    F16,
    /// Blocks of 32 along the first dimension: an F16 scale and 32 signed bytes;
    /// `scale = max |x| / 127`.
    Q8_0,
}

impl Encoding {
    /// The encoding of a GGUF type code, if this module can decode it.
    pub(super) fn from_code(code: u32) -> Option<Self> {
        [Self::F32, Self::F16, Self::Q8_0].into_iter().find(|encoding| encoding.code() == code)
    }

    /// The GGUF type code.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
        }
    }

    /// Values per block. The first dimension of a tensor is a multiple of it.
    #[must_use]
    pub fn block(self) -> u64 {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8_0 => 32,
        }
    }

    /// Appends the encoded values to `out`.
    pub(super) fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => {
                out.extend(values.iter().flat_map(|&value| f32_to_f16(value).to_le_bytes()));
            }
            Self::Q8_0 => {
                for block in values.chunks(32) {
                    let max = block.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
                    let scale = max / 127.0;
                    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
                    out.extend(f32_to_f16(scale).to_le_bytes());
                    out.extend(
                        block
                            .iter()
                            .flat_map(|value| ((value * inverse).round() as i8).to_le_bytes()),
                    );
                }
            }
        }
    }

    /// The inverse of [`encode`](Self::encode). An incomplete last block is ignored.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let short = |bytes: &[u8]| f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
        match self {
            Self::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Self::F16 => bytes.chunks_exact(2).map(short).collect(),
            Self::Q8_0 => bytes
                .chunks_exact(34)
                .flat_map(|block| {
                    let scale = short(block);
                    block[2..].iter().map(move |&byte| scale * f32::from(byte.cast_signed()))
                })
                .collect(),
        }
    }
}

/// Bytes and values of one block, by GGUF type code; `None` for unknown types.
pub(super) fn block_layout(code: u32) -> Option<(u64, u64)> {
    Some(match code {
        0 | 26 => (4, 1),
        1 | 25 | 30 => (2, 1),
        2 => (18, 32),
        3 => (20, 32),
        6 => (22, 32),
        7 => (24, 32),
        8 => (34, 32),
        10 => (84, 256),
        11 => (110, 256),
        12 => (144, 256),
        13 => (176, 256),
        14 => (210, 256),
        24 => (1, 1),
        27 | 28 => (8, 1),
        _ => return None,
    })
}

/// The bits of the nearest IEEE half-precision value, ties to even.
pub(super) fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // 65520 is halfway between the largest half-precision value and the next power of two.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Subnormal: adding 0.5 puts the result's bits at the end of the mantissa.
        let shifted = f32::from_bits(magnitude) + 0.5;
        return sign | (shifted.to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let rebased = magnitude - (112 << 23);
    sign | ((rebased + 0xfff + ((rebased >> 13) & 1)) >> 13) as u16
}

/// The value of IEEE half-precision bits.
pub(super) fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => mantissa * 2.0_f32.powi(-24),
        0x1f if mantissa == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1.0 + mantissa / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}
