//! Item ids of a cell, each as what it does not share with the one before.
//!
//! An id is one byte with the number of shared bytes in its upper half and that of the further ones
//! in its lower half, then these bytes. If one of the numbers is above 14, the byte is 255, and both
//! numbers follow as `u16`. Sorted ids share most: those of seven digits take five bytes or less.

use tandem_protocol::ItemId;

use super::reader::Reader;
use crate::ModelError;

/// Largest number that half a byte holds.
const SHORT: usize = 14;
/// The byte before long numbers.
const LONG: u8 = 0xFF;

/// Appends ids, which have at most 65,535 bytes each.
pub(super) fn write(ids: &[ItemId], out: &mut Vec<u8>) {
    let mut before: &[u8] = &[];
    for id in ids {
        let id = id.as_str().as_bytes();
        let shared = before.iter().zip(id).take_while(|(a, b)| a == b).count();
        let rest = &id[shared..];
        if shared <= SHORT && rest.len() <= SHORT {
            out.push((shared << 4 | rest.len()) as u8);
        } else {
            out.push(LONG);
            out.extend_from_slice(&(shared as u16).to_le_bytes());
            out.extend_from_slice(&(rest.len() as u16).to_le_bytes());
        }
        out.extend_from_slice(rest);
        before = id;
    }
}

/// Reads `count` ids that [`write`] wrote.
///
/// # Errors
/// [`ModelError::Length`] or [`ModelError::Format`] for other bytes.
pub(super) fn read(reader: &mut Reader<'_>, count: u32) -> Result<Vec<ItemId>, ModelError> {
    let damaged =
        |what: &str| ModelError::Format(format!("cell: item id: {what}; export it again"));
    let mut ids = Vec::new();
    let mut id = Vec::new();
    for _ in 0..count {
        let lengths = reader.u8()?;
        let (shared, rest) = if lengths == LONG {
            (reader.u16()?.into(), reader.u16()?.into())
        } else {
            (usize::from(lengths >> 4), usize::from(lengths & 15))
        };
        if shared > id.len() {
            let found = id.len();
            return Err(damaged(&format!("expected at most {found} shared bytes, found {shared}")));
        }
        id.truncate(shared);
        id.extend_from_slice(reader.take(rest)?);
        let text = std::str::from_utf8(&id).map_err(|error| damaged(&error.to_string()))?;
        ids.push(ItemId::new(text));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(ids: &[ItemId]) -> Vec<u8> {
        let mut bytes = b"TNDMCEL3".to_vec();
        write(ids, &mut bytes);
        bytes
    }

    fn read_all(bytes: &[u8], count: u32) -> Result<Vec<ItemId>, ModelError> {
        let (mut reader, _) = Reader::new("cell", *b"TNDMCEL3", bytes)?;
        let ids = read(&mut reader, count)?;
        reader.rest(0)?;
        Ok(ids)
    }

    #[test]
    fn an_id_shares_its_start_with_the_one_before() {
        let ids: Vec<ItemId> = ["100200", "100457", "é", "ê"].map(ItemId::new).into();
        let bytes = written(&ids);
        // The two letters share their first byte.
        assert_eq!(&bytes[8..], b"\x06100200\x33457\x02\xC3\xA9\x11\xAA");
        assert_eq!(read_all(&bytes, 4).unwrap(), ids);
    }

    #[test]
    fn damaged_ids_are_refused() {
        let good = written(&["abc", "abd"].map(ItemId::new));
        assert!(read_all(&good[..good.len() - 1], 2).is_err());
        for (at, value, expected) in [(8, 0x13, "at most 0 shared bytes"), (9, 0xFF, "utf-8")] {
            let mut bad = good.clone();
            bad[at] = value;
            let error = read_all(&bad, 2).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_ids_are_written_and_read(ids in prop::collection::vec(".{0,24}", 0..20)) {
            let mut ids: Vec<ItemId> = ids.into_iter().map(ItemId::new).collect();
            prop_assert_eq!(&read_all(&written(&ids), ids.len() as u32).unwrap(), &ids);
            ids.sort();
            prop_assert_eq!(&read_all(&written(&ids), ids.len() as u32).unwrap(), &ids);
        }
    }
}
