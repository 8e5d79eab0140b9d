//! Co-occurrence counts on the device: for each item, those that were most often chosen near it.

use std::collections::BTreeMap;

use tandem_protocol::Counts;

use crate::ModelError;

/// Bytes before the rows: number of items and of neighbours, `u32` little-endian each.
const HEADER: usize = 8;
/// Bytes of the scale of a row, `f32` little-endian.
const SCALE: usize = 4;
/// Largest number of neighbours of an item; the number of each row is one byte.
pub const MAX_NEIGHBOURS: usize = 255;

/// The count rows of a catalogue.
///
/// A row has one byte with the number of neighbours and, unless that is 0, an `f32` scale, then
/// for each neighbour its position in the catalogue (2 bytes for at most 65,536 items, else 4)
/// and one byte: its weight is `scale · byte`. With 32 neighbours a row takes 101 bytes in a
/// catalogue of at most 65,536 items.
///
/// ```
/// use tandem_model::CountRows;
///
/// let rows = CountRows::new(&[vec![(1, 2.0), (2, 0.5)], vec![], vec![(0, 1.0)]])?;
/// let near: Vec<(u32, f32)> = rows.row(0).collect();
/// assert_eq!(near[0], (1, 2.0));
/// assert_eq!(CountRows::from_bytes(rows.as_bytes().to_vec())?, rows);
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct CountRows {
    bytes: Vec<u8>,
    /// Where each row begins in `bytes`.
    starts: Vec<u32>,
}

impl std::fmt::Debug for CountRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (items, bytes) = (self.items(), self.bytes.len());
        f.debug_struct("CountRows")
            .field("items", &items)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl CountRows {
    /// Rows of (position, weight) in catalogue order. The largest weight of a row becomes 255; a
    /// weight that rounds to 0 is left out.
    ///
    /// # Errors
    /// [`ModelError::Format`] for more than [`MAX_NEIGHBOURS`] in a row, for a position outside
    /// the catalogue or used twice in a row, and for a file above 4 GB;
    /// [`ModelError::NotFinite`] for a weight that is negative or not finite.
    pub fn new(rows: &[Vec<(u32, f32)>]) -> Result<Self, ModelError> {
        let wide = position_bytes(rows.len());
        let most = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut bytes = Vec::new();
        bytes.extend((rows.len() as u32).to_le_bytes());
        bytes.extend((most as u32).to_le_bytes());
        for row in rows {
            if row.iter().any(|(_, weight)| !weight.is_finite() || *weight < 0.0) {
                return Err(ModelError::NotFinite { what: "count row".into() });
            }
            if row.len() > MAX_NEIGHBOURS {
                return Err(ModelError::Format(format!(
                    "count rows: expected at most {MAX_NEIGHBOURS} neighbours of an item, found {}",
                    row.len()
                )));
            }
            let scale = row.iter().fold(0.0_f32, |max, (_, weight)| max.max(*weight)) / 255.0;
            #[allow(clippy::cast_sign_loss, reason = "weights are not negative")]
            let level = |weight: f32| (weight / scale).round().min(255.0) as u8;
            let mut kept: Vec<(u32, u8)> = row
                .iter()
                .filter(|_| scale > 0.0)
                .map(|&(position, weight)| (position, level(weight)))
                .filter(|(_, level)| *level > 0)
                .collect();
            kept.sort_unstable();
            bytes.push(kept.len() as u8);
            if kept.is_empty() {
                continue;
            }
            bytes.extend(scale.to_le_bytes());
            for (position, level) in kept {
                bytes.extend(&position.to_le_bytes()[..wide]);
                bytes.push(level);
            }
        }
        Self::from_bytes(bytes)
    }

    /// Takes the bytes of stored rows, and checks all of them.
    ///
    /// # Errors
    /// [`ModelError::Format`] if they are not count rows, [`ModelError::NotFinite`] for a scale
    /// that is not a positive number.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ModelError> {
        let damaged = |what: String| {
            Err(ModelError::Format(format!("count rows: {what}; export them again")))
        };
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
        };
        let (Some(items), Some(most)) = (word(0), word(4)) else {
            return damaged(format!("expected {HEADER} bytes of a header, found {}", bytes.len()));
        };
        // Each row has at least one byte, so a false number allocates nothing.
        if items as usize > bytes.len() - HEADER || u32::try_from(bytes.len()).is_err() {
            return damaged(format!("expected rows of {items} items, found {} bytes", bytes.len()));
        }
        let wide = position_bytes(items as usize);
        let mut starts = Vec::with_capacity(items as usize);
        let mut at = HEADER;
        for item in 0..items {
            starts.push(at as u32);
            let Some(&count) = bytes.get(at) else {
                return damaged(format!("expected {items} rows, found {item}"));
            };
            if u32::from(count) > most {
                return damaged(format!("expected at most {most} neighbours, found {count}"));
            }
            at += 1;
            if count == 0 {
                continue;
            }
            let Some(scale) = word(at).map(f32::from_bits) else {
                return damaged(format!("row {item} is cut off"));
            };
            if !(scale.is_finite() && scale > 0.0) {
                return Err(ModelError::NotFinite { what: "scale of a count row".into() });
            }
            at += SCALE;
            let end = at + usize::from(count) * (wide + 1);
            let Some(entries) = bytes.get(at..end) else {
                return damaged(format!("row {item} is cut off"));
            };
            let mut positions = entries.chunks_exact(wide + 1).map(|entry| position(entry, wide));
            let mut last = None;
            if !positions.all(|position| {
                let in_order = last.is_none_or(|last| last < position);
                last = Some(position);
                in_order && position < items
            }) {
                return damaged(format!("row {item} has positions that are wrong or out of order"));
            }
            at = end;
        }
        if at != bytes.len() {
            return damaged(format!("expected {at} bytes, found {}", bytes.len()));
        }
        Ok(Self { bytes, starts })
    }

    /// The rows in the stored format.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.starts.len()
    }

    /// The neighbours of the item at a catalogue position with their weights, by ascending
    /// position. None for a position outside the catalogue.
    pub fn row(&self, item: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let wide = position_bytes(self.items());
        let row = self.starts.get(item).map_or(&[][..], |&start| &self.bytes[start as usize..]);
        let count = row.first().copied().unwrap_or(0);
        let scale = row.get(1..).and_then(|row| row.first_chunk::<SCALE>());
        let scale = scale.map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
        let entries = row.get(1 + SCALE..).unwrap_or_default().chunks_exact(wide + 1);
        entries
            .take(usize::from(count))
            .map(move |entry| (position(entry, wide), scale * f32::from(entry[wide])))
    }

    /// The counts `c` of a history of catalogue positions, newest first, divided by their length
    /// `|c|`: the positions that are not 0, ascending. Empty if no item was chosen near those of
    /// the history. See [`Counts`].
    #[must_use]
    pub fn direction(&self, newest_first: impl IntoIterator<Item = usize>) -> Vec<(u32, f32)> {
        counts_direction(newest_first.into_iter().map(|item| self.row(item)))
    }
}

/// As [`CountRows::direction`], of the rows of a history's items, newest first. `K` is what names
/// an item.
#[must_use]
pub fn counts_direction<K: Ord, R: IntoIterator<Item = (K, f32)>>(
    newest_first: impl IntoIterator<Item = R>,
) -> Vec<(K, f32)> {
    let mut sums: BTreeMap<K, f32> = BTreeMap::new();
    let mut worth = 1.0;
    for row in newest_first.into_iter().take(Counts::NEWEST) {
        for (item, weight) in row {
            *sums.entry(item).or_default() += worth * weight;
        }
        worth *= Counts::DECAY;
    }
    let length = sums.values().map(|sum| sum * sum).sum::<f32>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Vec::new();
    }
    sums.into_iter().map(|(item, sum)| (item, sum / length)).collect()
}

/// Bytes of a position in a catalogue of this size.
fn position_bytes(items: usize) -> usize {
    if items <= 1 << 16 { 2 } else { 4 }
}

fn position(entry: &[u8], wide: usize) -> u32 {
    let mut word = [0; 4];
    word[..wide].copy_from_slice(&entry[..wide]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_positions_and_weights_to_8_bits() {
        let rows = vec![vec![(3, 1.0), (1, 0.5), (2, 1e-6)], Vec::new(), vec![(0, 3.0)], vec![]];
        let rows = CountRows::new(&rows).unwrap();
        let near: Vec<(u32, f32)> = rows.row(0).collect();
        // The third rounds to 0.
        assert_eq!(near.len(), 2);
        assert_eq!((near[0].0, near[1]), (1, (3, 1.0)));
        assert!((near[0].1 - 0.5).abs() < 1.0 / 255.0);
        assert_eq!(rows.row(2).collect::<Vec<_>>(), [(0, 3.0)]);
        assert_eq!(rows.row(1).count() + rows.row(3).count() + rows.row(4).count(), 0);
        assert_eq!(rows.as_bytes().len(), HEADER + 4 + 2 * SCALE + 3 * 3);

        let wide = CountRows::new(&vec![vec![(70_000, 1.0)]; 70_001]).unwrap();
        assert_eq!(wide.row(70_000).collect::<Vec<_>>(), [(70_000, 1.0)]);
    }

    #[test]
    fn counts_of_a_history_are_decayed_sums_of_length_1() {
        let rows = CountRows::new(&[vec![(2, 2.55)], vec![(2, 2.55), (3, 5.1)], vec![], vec![]]);
        let rows = rows.unwrap();
        let found = rows.direction([0, 1]);
        // Up to rounding to 8 bits.
        let (a, b) = (2.55_f32 + 0.8 * 2.55, 0.8 * 5.1);
        let length = a.hypot(b);
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 3]);
        assert!((found[0].1 - a / length).abs() < 0.01 && (found[1].1 - b / length).abs() < 0.01);
        assert!(rows.direction([2, 3, 99]).is_empty());
        // The eleventh newest item is not read.
        assert!(rows.direction([2; Counts::NEWEST].into_iter().chain([0])).is_empty());
    }

    #[test]
    fn rows_that_no_catalogue_has_are_refused() {
        let refusal = |rows: &[Vec<(u32, f32)>]| CountRows::new(rows).unwrap_err().to_string();
        assert!(refusal(&[vec![(1, 1.0)]]).contains("wrong or out of order"));
        assert!(refusal(&[vec![(0, 1.0), (0, 1.0)]]).contains("wrong or out of order"));
        assert!(refusal(&[vec![(0, f32::NAN)]]).contains("not finite"));
        assert!(refusal(&[vec![(0, 1.0); 256]]).contains("at most 255"));
        let bytes = CountRows::new(&[vec![(0, 1.0)]]).unwrap().as_bytes().to_vec();
        assert!(CountRows::from_bytes(bytes[..bytes.len() - 1].to_vec()).is_err());
        assert!(CountRows::from_bytes([&bytes[..], &[0]].concat()).is_err());
        assert!(CountRows::from_bytes(Vec::new()).is_err());
    }
}
