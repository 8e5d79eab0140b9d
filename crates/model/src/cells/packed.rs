//! Rows of a cell with 5 bits per value: their differences from the mean row of the cell, which are
//! smaller than the rows, because a cell has similar items (residuals, as in Jégou et al. 2011,
//! "Product quantization for nearest neighbor search", §IV).
//!
//! | bytes | content |
//! |---|---|
//! | 4 + dims | the mean row, as in an [`ItemTable`] |
//! | 4 | `f32` step: the largest of a row |
//! | rest | per row: `u16` share of this step in 65,535ths, rounded up; then 5 bits per value, from the lowest bit of the first byte on: `difference / step + 15` |

use super::reader::Reader;
use crate::{ItemTable, ModelError, QuantisedRow};

/// Bits of a value.
const BITS: usize = 5;
/// Largest magnitude of a value.
const LARGEST: f32 = 15.0;
/// The share of the largest step.
const WHOLE: f32 = 65_535.0;
/// Bytes before the values of a row.
const SHARE: usize = 2;

/// Bytes of a row of `dims` values.
pub(super) fn width(dims: usize) -> usize {
    dims.saturating_mul(BITS).div_ceil(8).saturating_add(SHARE)
}

/// Appends the rows of a table. The error of a value is at most half a step, a thirtieth of the
/// row's largest difference from the mean.
///
/// # Errors
/// [`ModelError::NotFinite`] for a row with a scale that is not finite, or rows so large that
/// their mean is not.
pub(super) fn pack(rows: &ItemTable, out: &mut Vec<u8>) -> Result<(), ModelError> {
    let dims = rows.dims();
    let values = rows.values()?;
    let mut mean = vec![0.0_f32; dims];
    for row in values.chunks_exact(dims) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows.len() as f32);
    }
    let mean = QuantisedRow::quantise(&mean)?;
    mean.write(out);
    let mean: Vec<f32> = mean.values().collect();
    let differences = |row: &[f32]| -> Vec<f32> {
        row.iter().zip(&mean).map(|(value, mean)| value - mean).collect()
    };
    let step = |row: &[f32]| {
        differences(row).iter().fold(0.0_f32, |max, value| max.max(value.abs())) / LARGEST
    };
    let largest = values.chunks_exact(dims).map(step).fold(0.0_f32, f32::max);
    if !largest.is_finite() {
        return Err(ModelError::NotFinite { what: "rows of a cell".into() });
    }
    out.extend_from_slice(&largest.to_le_bytes());
    for row in values.chunks_exact(dims) {
        #[allow(clippy::cast_sign_loss, reason = "steps are not negative")]
        let share =
            if largest > 0.0 { (step(row) / largest * WHOLE).ceil().min(WHOLE) as u16 } else { 0 };
        out.extend_from_slice(&share.to_le_bytes());
        let step = step_of(share, largest);
        let mut bits = 0_u32;
        let mut filled = 0;
        for value in differences(row) {
            let value =
                if step > 0.0 { (value / step).round().clamp(-LARGEST, LARGEST) } else { 0.0 };
            #[allow(clippy::cast_sign_loss, reason = "from 0 to 30")]
            let code = (value + LARGEST) as u32;
            bits |= code << filled;
            filled += BITS;
            if filled >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                filled -= 8;
            }
        }
        if filled > 0 {
            out.push(bits as u8);
        }
    }
    Ok(())
}

/// Reads `items` rows of `dims` values that [`pack`] wrote, which are the rest of a file. The table
/// has them with 8 bits per value.
///
/// # Errors
/// [`ModelError::Length`], [`ModelError::Format`] or [`ModelError::NotFinite`] for other bytes.
pub(super) fn unpack(
    mut reader: Reader<'_>,
    items: usize,
    dims: usize,
) -> Result<ItemTable, ModelError> {
    let mean = QuantisedRow::from_bytes(reader.take(dims.saturating_add(4))?, dims)?;
    let mean: Vec<f32> = mean.values().collect();
    let largest = f32::from_bits(reader.u32()?);
    if !(largest.is_finite() && largest >= 0.0) {
        return Err(ModelError::NotFinite { what: "step of the rows in a cell".into() });
    }
    let width = width(dims);
    let rows = reader.rest(width.saturating_mul(items))?;
    let mut table = ItemTable::new(dims)?;
    let mut values = Vec::with_capacity(dims);
    for row in rows.chunks_exact(width) {
        let (share, row) = row.split_at(SHARE);
        let step = step_of(u16::from_le_bytes([share[0], share[1]]), largest);
        values.clear();
        let mut bytes = row.iter();
        let (mut bits, mut filled) = (0_u32, 0);
        for mean in &mean {
            if filled < BITS {
                bits |= u32::from(bytes.next().copied().unwrap_or(0)) << filled;
                filled += 8;
            }
            let code = bits & 31;
            if code > 30 {
                return Err(ModelError::Format(
                    "cell: expected values of 5 bits from 0 to 30, found 31; export it again"
                        .to_owned(),
                ));
            }
            values.push(mean + step * (code as f32 - LARGEST));
            bits >>= BITS;
            filled -= BITS;
        }
        if bits != 0 {
            return Err(ModelError::Format(
                "cell: expected unused bits that are 0, found others; export it again".to_owned(),
            ));
        }
        table.push(&QuantisedRow::quantise(&values)?)?;
    }
    Ok(table)
}

/// The step of a row.
fn step_of(share: u16, largest: f32) -> f32 {
    largest * (f32::from(share) / WHOLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(rows: &ItemTable) -> Vec<u8> {
        let mut bytes = b"TNDMCEL3".to_vec();
        pack(rows, &mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8], items: usize, dims: usize) -> Result<ItemTable, ModelError> {
        unpack(Reader::new("cell", *b"TNDMCEL3", bytes)?.0, items, dims)
    }

    #[test]
    fn rows_are_differences_from_their_mean() {
        // The mean is (1, 2), the differences are (0.25, −1) and (−0.25, 1).
        let rows = ItemTable::quantise(&[1.25, 1.0, 0.75, 3.0], 2).unwrap();
        let bytes = packed(&rows);
        assert_eq!(bytes.len(), 8 + (4 + 2) + 4 + 2 * (2 + 2));
        // Values from −15 to 15 have the codes from 0 to 30: 0.25 is 4 steps of 1 / 15.
        let row = &bytes[8 + 6 + 4..][..4];
        let codes = u16::from_le_bytes([row[2], row[3]]);
        assert_eq!((codes & 31, codes >> 5), (19, 0));
        let values = read(&bytes, 2, 2).unwrap().values().unwrap();
        for (value, expected) in values.iter().zip([1.25, 1.0, 0.75, 3.0]) {
            assert!((value - expected).abs() < 0.06, "{values:?}");
        }
    }

    #[test]
    fn damaged_rows_are_refused() {
        let rows = ItemTable::quantise(&[1.5, 1.0, 0.5, 3.0], 2).unwrap();
        let good = packed(&rows);
        for length in 0..good.len() {
            assert!(read(&good[..length], 2, 2).is_err(), "{length}");
        }
        assert!(read(&[&good[..], &[0]].concat(), 2, 2).is_err());
        let last = good.len() - 1;
        for (at, value, expected) in [(last - 1, 0x1F, "found 31"), (last, 0xFF, "unused bits")] {
            let mut bad = good.clone();
            bad[at] = value;
            let error = read(&bad, 2, 2).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut bad = good;
        bad[14..18].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(read(&bad, 2, 2), Err(ModelError::NotFinite { .. })));
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_half_a_step(
            values in prop::collection::vec(-8.0_f32..8.0, 12 * 7), dims in 1_usize..12,
        ) {
            let values = &values[..values.len() / dims * dims];
            let rows = ItemTable::quantise(values, dims).unwrap();
            let found = read(&packed(&rows), rows.len(), dims).unwrap();
            let exact = rows.values().unwrap();
            let mean = |dim| {
                exact.iter().skip(dim).step_by(dims).sum::<f32>() / rows.len() as f32
            };
            let mean: Vec<f32> = (0..dims).map(mean).collect();
            let pairs = exact.chunks_exact(dims).zip(found.values().unwrap().chunks_exact(dims).map(<[f32]>::to_vec).collect::<Vec<_>>());
            for (exact, found) in pairs {
                let step = exact.iter().zip(&mean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / 15.0;
                // Rounding of the mean and of the row to 8 bits adds to it.
                let largest = found.iter().chain(&mean).fold(0.0_f32, |max, value| max.max(value.abs()));
                for (a, b) in exact.iter().zip(&found) {
                    prop_assert!((a - b).abs() <= step * 0.55 + largest / 60.0 + 0.01, "{} {}", a, b);
                }
            }
        }
    }
}
