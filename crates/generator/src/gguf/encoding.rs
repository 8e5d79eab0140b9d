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

    /// `general.file_type` of a file whose matrices have this encoding.
    #[must_use]
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }

    /// This encoding, or [`F16`](Self::F16) where a first dimension of `width` values has no
    /// whole number of blocks.
    #[must_use]
    pub(crate) fn for_width(self, width: u64) -> Self {
        if width.is_multiple_of(self.block()) { self } else { Self::F16 }
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
        let mut values = Vec::new();
        self.decode_into(bytes, &mut values);
        values
    }

    /// Appends what [`decode`](Self::decode) returns to `out`.
    pub(crate) fn decode_into(self, bytes: &[u8], out: &mut Vec<f32>) {
        let short = |bytes: &[u8]| f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
        match self {
            Self::F32 => out.extend(
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            ),
            Self::F16 => out.extend(bytes.chunks_exact(2).map(short)),
            Self::Q8_0 => {
                for block in bytes.chunks_exact(34) {
                    let scale = short(block);
                    out.extend(
                        block[2..].iter().map(|&byte| scale * f32::from(byte.cast_signed())),
                    );
                }
            }
        }
    }

    /// Bytes of `values` values, which fill whole blocks.
    pub(crate) fn bytes_of(self, values: usize) -> usize {
        match self {
            Self::F32 => 4 * values,
            Self::F16 => 2 * values,
            Self::Q8_0 => values / 32 * 34,
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

/// Where a block of a storage format has floating point numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredFloats {
    /// Bytes of a block.
    pub(crate) bytes: u64,
    /// Values of a block.
    pub(crate) numbers: u64,
    float: Float,
    /// Positions in the block, in bytes.
    offsets: &'static [usize],
}

#[derive(Clone, Copy, Debug)]
enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl StoredFloats {
    /// Whether the floating point numbers of a block are finite. The block is complete.
    pub(crate) fn is_finite(&self, block: &[u8]) -> bool {
        self.offsets.iter().all(|&at| {
            let short = || u16::from_le_bytes([block[at], block[at + 1]]);
            match self.float {
                Float::F16 => short() & 0x7c00 != 0x7c00,
                Float::BF16 => short() & 0x7f80 != 0x7f80,
                // The exponent is in the last two bytes.
                Float::F32 => u16::from_le_bytes([block[at + 2], block[at + 3]]) & 0x7f80 != 0x7f80,
                Float::F64 => u16::from_le_bytes([block[at + 6], block[at + 7]]) & 0x7ff0 != 0x7ff0,
            }
        })
    }
}

/// The floating point numbers of a storage format, by GGUF type code; `None` for unknown types
/// and integers.
pub(crate) fn stored_floats(code: u32) -> Option<StoredFloats> {
    let (float, offsets): (Float, &'static [usize]) = match code {
        0 => (Float::F32, &[0]),
        28 => (Float::F64, &[0]),
        30 => (Float::BF16, &[0]),
        // F16, and the scales of Q4_0, Q5_0 and Q8_0.
        1 | 2 | 6 | 8 => (Float::F16, &[0]),
        // Scale and minimum of Q4_1, Q5_1, Q4_K and Q5_K.
        3 | 7 | 12 | 13 => (Float::F16, &[0, 2]),
        // Q2_K, Q3_K and Q6_K have them at the end.
        10 => (Float::F16, &[80, 82]),
        11 => (Float::F16, &[108]),
        14 => (Float::F16, &[208]),
        _ => return None,
    };
    let (bytes, numbers) = block_layout(code)?;
    Some(StoredFloats { bytes, numbers, float, offsets })
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
