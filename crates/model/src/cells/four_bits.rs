//! Rows whose values fit 4 bits ([`QuantisedRow::quantise_to_4_bits`]), as files store them: the
//! scale, then two values per byte, the first in the lower half.
//!
//! [`QuantisedRow::quantise_to_4_bits`]: crate::QuantisedRow::quantise_to_4_bits

use crate::{ModelError, rows::StoredRow};

/// Largest magnitude of a value.
const LARGEST: u8 = 7;

/// Whether the values of a row fit.
pub(super) fn fits(row: StoredRow<'_>) -> bool {
    row.quantised().iter().all(|value| value.cast_signed().unsigned_abs() <= LARGEST)
}

/// Bytes of a row of `dims` values.
pub(super) fn width(dims: usize) -> usize {
    dims.div_ceil(2).saturating_add(4)
}

/// Appends a row that [`fits`]; a missing second value is 0.
pub(super) fn pack(row: StoredRow<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&row.scale().to_le_bytes());
    out.extend(row.quantised().chunks(2).map(|values| {
        let half = |at: usize| values.get(at).copied().unwrap_or(0) & 0x0F;
        half(0) | half(1) << 4
    }));
}

/// The row of `dims` values with 8 bits per value, as in an item table. Refuses values that
/// [`pack`] does not write.
pub(super) fn unpack(what: &str, bytes: &[u8], dims: usize) -> Result<Vec<u8>, ModelError> {
    let (scale, values) = bytes.split_at(4);
    let mut row = scale.to_vec();
    let halves = values.iter().flat_map(|byte| [byte << 4, byte & 0xF0]);
    // The shift to the right copies the sign.
    row.extend(halves.map(|half| (half.cast_signed() >> 4).cast_unsigned()));
    let unused = row.split_off(4 + dims);
    let largest = row[4..].iter().map(|value| value.cast_signed().unsigned_abs()).max();
    if unused.iter().any(|value| *value != 0) || largest.is_some_and(|most| most > LARGEST) {
        return Err(ModelError::Format(format!(
            "{what}: expected values of 4 bits from -{LARGEST} to {LARGEST}, found another \
             value; export it again"
        )));
    }
    Ok(row)
}
