use std::ops::Range;

use crate::ModelError;

/// An item's row with 8 bits per dimension: `scale * i8`. 64 dimensions take 68 bytes.
///
/// ```
/// use tandem_model::QuantisedRow;
///
/// let row = QuantisedRow::quantise(&[1.27, -0.5])?;
/// let values: Vec<f32> = row.values().collect();
/// assert!((values[1] + 0.5).abs() < 0.005);
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedRow {
    scale: f32,
    values: Box<[i8]>,
}

impl QuantisedRow {
    /// Quantises a row `[dims]`. The largest magnitude becomes 127, and the error of a value is
    /// at most half a step, `max / 254`.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if a value is not finite.
    pub fn quantise(row: &[f32]) -> Result<Self, ModelError> {
        Self::quantise_to(row, 127.0)
    }

    /// As [`quantise`](Self::quantise), with the 15 values from −7 to 7, for which 4 bits are
    /// enough. The error of a value is at most `max / 14`.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if a value is not finite.
    pub fn quantise_to_4_bits(row: &[f32]) -> Result<Self, ModelError> {
        Self::quantise_to(row, 7.0)
    }

    fn quantise_to(row: &[f32], most: f32) -> Result<Self, ModelError> {
        if row.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: "item row".into() });
        }
        let largest = row.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let scale = largest / most;
        let values = row
            .iter()
            .map(|value| if scale > 0.0 { (value / scale).round() as i8 } else { 0 })
            .collect();
        Ok(Self { scale, values })
    }

    /// Reads a row: a little-endian `f32` scale, then one `i8` per dimension.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there are not `4 + dims` bytes, [`ModelError::NotFinite`] if
    /// the scale is not finite.
    pub fn from_bytes(bytes: &[u8], dims: usize) -> Result<Self, ModelError> {
        let wrong = ModelError::Length {
            what: "bytes of an item row",
            expected: 4 + dims,
            found: bytes.len(),
        };
        let Some((scale, values)) = bytes.split_first_chunk::<4>() else { return Err(wrong) };
        if values.len() != dims {
            return Err(wrong);
        }
        let scale = f32::from_le_bytes(*scale);
        if !scale.is_finite() {
            return Err(ModelError::NotFinite { what: "scale of an item row".into() });
        }
        Ok(Self { scale, values: values.iter().map(|byte| byte.cast_signed()).collect() })
    }

    /// Appends the row to `out` in the format of [`from_bytes`](Self::from_bytes).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.scale.to_le_bytes());
        out.extend(self.values.iter().map(|value| value.cast_unsigned()));
    }

    /// Number of dimensions.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.values.len()
    }

    /// The dequantised values `[dims]`.
    #[must_use]
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.values.iter().map(|value| self.scale * f32::from(*value))
    }
}

/// The rows of a catalogue in its order, as stored and served: `u32` little-endian number of
/// items and of dimensions, then one [`QuantisedRow`] per item.
#[derive(Clone, PartialEq)]
pub struct ItemTable {
    dims: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for ItemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ItemTable")
            .field("items", &self.len())
            .field("dims", &self.dims)
            .finish_non_exhaustive()
    }
}

const HEADER: usize = 8;

impl ItemTable {
    /// Quantises a table `[items, dims]` row by row.
    ///
    /// # Errors
    /// [`ModelError::Length`] if the length is not a multiple of `dims` or `dims` is 0,
    /// [`ModelError::NotFinite`] if a value is not finite.
    pub fn quantise(table: &[f32], dims: usize) -> Result<Self, ModelError> {
        if dims == 0 || !table.len().is_multiple_of(dims) {
            return Err(ModelError::Length {
                what: "item table",
                expected: dims,
                found: table.len(),
            });
        }
        let items = table.len() / dims;
        let mut bytes = Vec::with_capacity(HEADER + items * (4 + dims));
        bytes.extend_from_slice(&(items as u32).to_le_bytes());
        bytes.extend_from_slice(&(dims as u32).to_le_bytes());
        for row in table.chunks_exact(dims) {
            QuantisedRow::quantise(row)?.write(&mut bytes);
        }
        Ok(Self { dims, bytes })
    }

    /// A table without rows, for rows of `dims` values.
    ///
    /// # Errors
    /// [`ModelError::Length`] if `dims` is 0.
    pub fn new(dims: usize) -> Result<Self, ModelError> {
        Self::quantise(&[], dims)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`ModelError::Length`] if the row has another width.
    pub fn push(&mut self, row: &QuantisedRow) -> Result<(), ModelError> {
        if row.dims() != self.dims {
            return Err(ModelError::Length {
                what: "dimensions of an item row",
                expected: self.dims,
                found: row.dims(),
            });
        }
        row.write(&mut self.bytes);
        let items = self.len() as u32;
        self.bytes[..4].copy_from_slice(&items.to_le_bytes());
        Ok(())
    }

    /// Takes the bytes of a stored table.
    ///
    /// # Errors
    /// [`ModelError::Format`] or [`ModelError::Length`] if the bytes are not a table. Scales are
    /// checked when a row is read.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ModelError> {
        let header = |at: usize| -> Option<usize> {
            let word = bytes.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(word)).ok()
        };
        let (Some(items), Some(dims)) = (header(0), header(4)) else {
            return Err(ModelError::Format(format!(
                "item table: expected a header of {HEADER} bytes, found {} bytes in all; export it again",
                bytes.len()
            )));
        };
        let expected = items.saturating_mul(4 + dims).saturating_add(HEADER);
        if dims == 0 || bytes.len() != expected {
            return Err(ModelError::Length {
                what: "bytes of the item table",
                expected,
                found: bytes.len(),
            });
        }
        Ok(Self { dims, bytes })
    }

    /// The table in the stored format.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The stored rows without the header.
    pub(crate) fn row_bytes(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.bytes.len() - HEADER) / (4 + self.dims)
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width of a row.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// All rows in order, borrowed.
    pub(crate) fn stored_rows(&self) -> impl ExactSizeIterator<Item = StoredRow<'_>> {
        self.row_bytes().chunks_exact(4 + self.dims).map(|bytes| StoredRow { bytes })
    }

    /// All rows in order, borrowed: groups of `N`, then the remaining ones.
    pub(crate) fn stored_groups<const N: usize>(
        &self,
    ) -> (impl Iterator<Item = [StoredRow<'_>; N]>, impl Iterator<Item = StoredRow<'_>>) {
        let width = 4 + self.dims;
        let groups = self.row_bytes().chunks_exact(N * width);
        let rest = groups.remainder().chunks_exact(width).map(|bytes| StoredRow { bytes });
        let groups = groups.map(move |group| {
            std::array::from_fn(|at| StoredRow { bytes: &group[at * width..(at + 1) * width] })
        });
        (groups, rest)
    }

    /// The row at a position, borrowed.
    pub(crate) fn stored_row(&self, position: usize) -> Option<StoredRow<'_>> {
        Some(StoredRow { bytes: self.bytes.get(self.range(position)?)? })
    }

    /// Where the bytes of a row are.
    fn range(&self, position: usize) -> Option<Range<usize>> {
        let width = 4 + self.dims;
        let start = HEADER.checked_add(position.checked_mul(width)?)?;
        Some(start..start.checked_add(width)?)
    }

    /// The values of all rows, `[items, dims]`.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if a stored scale is not finite.
    pub fn values(&self) -> Result<Vec<f32>, ModelError> {
        let mut values = Vec::with_capacity(self.len() * self.dims);
        for row in self.stored_rows() {
            if !row.scale().is_finite() {
                return Err(ModelError::NotFinite { what: "scale of an item row".into() });
            }
            values.extend(row.values());
        }
        Ok(values)
    }

    /// Appends the values `[dims]` of the row at a position to `out`. Returns `false`, and
    /// appends nothing, beyond the last row and for a row whose scale is not finite.
    pub fn append_row(&self, position: usize, out: &mut Vec<f32>) -> bool {
        let row = self.stored_row(position).filter(|row| row.scale().is_finite());
        if let Some(row) = row {
            out.extend(row.values());
        }
        row.is_some()
    }

    /// The row at a position, `None` beyond the last one.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if the stored scale is not finite.
    #[must_use]
    pub fn row(&self, position: usize) -> Option<Result<QuantisedRow, ModelError>> {
        let bytes = self.bytes.get(self.range(position)?)?;
        Some(QuantisedRow::from_bytes(bytes, self.dims))
    }
}

/// A row of an [`ItemTable`], borrowed as it is stored; its scale need not be finite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredRow<'a> {
    /// The scale as a little-endian `f32`, then one `i8` per dimension.
    bytes: &'a [u8],
}

impl<'a> StoredRow<'a> {
    pub(crate) fn scale(self) -> f32 {
        self.bytes.first_chunk::<4>().map_or(0.0, |scale| f32::from_le_bytes(*scale))
    }

    /// The values before scaling, one byte each, to be read as `i8`.
    pub(crate) fn quantised(self) -> &'a [u8] {
        self.bytes.get(4..).unwrap_or(&[])
    }

    /// The values as [`QuantisedRow::values`] has them.
    pub(crate) fn values(self) -> impl Iterator<Item = f32> + 'a {
        let scale = self.scale();
        self.quantised().iter().map(move |value| scale * f32::from(value.cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_is_scaled_by_its_largest_magnitude() {
        let row = QuantisedRow::quantise(&[1.27, -0.635, 0.0]).unwrap();
        let values: Vec<f32> = row.values().collect();
        // Step 0.01: 1.27 and 0.0 are exact, -63.5 steps round away from zero to -64.
        for (value, expected) in values.iter().zip([1.27, -0.64, 0.0]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn damaged_tables_are_refused() {
        let table = ItemTable::quantise(&[0.5; 6], 3).unwrap();
        let good = table.as_bytes().to_vec();
        assert_eq!(ItemTable::from_bytes(good.clone()).unwrap(), table);
        assert!(matches!(ItemTable::from_bytes(good[..5].to_vec()), Err(ModelError::Format(_))));
        assert!(matches!(
            ItemTable::from_bytes(good[..good.len() - 1].to_vec()),
            Err(ModelError::Length { expected: 22, found: 21, .. })
        ));
        let mut pushed = ItemTable::new(3).unwrap();
        for position in 0..2 {
            pushed.push(&table.row(position).unwrap().unwrap()).unwrap();
        }
        assert_eq!(pushed, table);
        let wide = QuantisedRow::quantise(&[0.5; 4]).unwrap();
        assert!(matches!(pushed.push(&wide), Err(ModelError::Length { .. })));
        assert!(ItemTable::new(0).is_err());
        let row = |position| table.row(position).unwrap().unwrap();
        let rows: Vec<f32> = row(0).values().chain(row(1).values()).collect();
        assert_eq!(table.values().unwrap(), rows);
        let mut nan = good;
        nan[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        let table = ItemTable::from_bytes(nan).unwrap();
        assert!(matches!(table.row(0), Some(Err(ModelError::NotFinite { .. }))));
        assert!(matches!(table.values(), Err(ModelError::NotFinite { .. })));
        assert!(table.row(2).is_none());
        let mut values = Vec::new();
        assert!(!table.append_row(0, &mut values) && !table.append_row(2, &mut values));
        assert!(table.append_row(1, &mut values) && values.len() == 3);
    }

    proptest! {
        #[test]
        fn the_quantisation_error_is_at_most_half_a_step(row in prop::collection::vec(-8.0_f32..8.0, 1..80)) {
            let quantised = QuantisedRow::quantise(&row).unwrap();
            let mut bytes = Vec::new();
            quantised.write(&mut bytes);
            prop_assert_eq!(&QuantisedRow::from_bytes(&bytes, row.len()).unwrap(), &quantised);
            let step = row.iter().fold(0.0_f32, |max, value| max.max(value.abs())) / 127.0;
            for (value, rounded) in row.iter().zip(quantised.values()) {
                prop_assert!((value - rounded).abs() <= step * 0.501 + 1e-7);
            }
        }
    }
}
