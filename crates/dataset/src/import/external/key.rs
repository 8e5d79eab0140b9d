use std::cmp::Ordering;

use crate::import::log::Row;

/// A row that counts as bytes, whose order is that of the rows of a dataset: by user in the order of
/// [`compare_ids`](crate::compare_ids), then by time, item, weight, event type, file and line. In a
/// log without times, the order of the files counts after the user.
///
/// ```text
/// user  time                       item  weight  event  file  line  marks
/// user  file  position in the file  item  weight  event  file  line  marks    without times
/// ```
///
/// All numbers have their highest byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// Microseconds, or 0.
    pub(super) time: i64,
    pub(super) line: u32,
    pub(super) file: u16,
    pub(super) event: u16,
    /// Kind of the user's column.
    pub(super) kind: u8,
    pub(super) marks: Marks,
}

/// What else is to be known of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Whether the user is of a further column, because its own is empty.
    pub(super) filled: bool,
    /// Whether the row does not count, and is there only for the name of its user.
    pub(super) dropped: bool,
}

/// Where a row of a log without times is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// Position of the part in its file.
    pub(super) part: u32,
    /// Position of the row in the part.
    pub(super) row: u64,
}

/// Bytes of weight, event type, file, line and marks.
const TAIL: usize = 4 + 2 + 2 + 4 + 1;
/// First byte of an id that is no number. A number begins with the number of its digits.
const TEXT: u8 = 0xff;
/// First byte of a number with more digits.
const LONG: u8 = 0xfe;

/// More zeros before a number are damage.
const MAX_ZEROS: usize = 1 << 24;

impl RowKey {
    /// Appends the key of a row to `bytes`. `position` is that of a log without times.
    pub(super) fn write(
        &self,
        user: &str,
        item: &str,
        weight: u32,
        position: Option<Position>,
        bytes: &mut Vec<u8>,
    ) {
        write_id(user, bytes);
        match position {
            None => bytes.extend(ordered(self.time).to_be_bytes()),
            Some(Position { part, row }) => {
                bytes.extend(self.file.to_be_bytes());
                bytes.extend(part.to_be_bytes());
                bytes.extend(row.to_be_bytes());
            }
        }
        write_id(item, bytes);
        bytes.extend(weight.to_be_bytes());
        bytes.extend(self.event.to_be_bytes());
        bytes.extend(self.file.to_be_bytes());
        bytes.extend(self.line.to_be_bytes());
        bytes
            .push(self.kind << 2 | u8::from(self.marks.filled) << 1 | u8::from(self.marks.dropped));
    }

    /// The parts of a key: the bytes of the user, the item, and the rest. `None` if the bytes are no
    /// key.
    pub(super) fn read(bytes: &[u8], timed: bool) -> Option<(&[u8], String, Self)> {
        let (_, rest) = read_id(bytes)?;
        let user = &bytes[..bytes.len() - rest.len()];
        let (time, rest) = if timed {
            let (time, rest) = rest.split_first_chunk()?;
            (unordered(u64::from_be_bytes(*time)), rest)
        } else {
            (0, rest.get(2 + 4 + 8..)?)
        };
        let (item, tail) = read_id(rest)?;
        let tail: &[u8; TAIL] = tail.try_into().ok()?;
        let marks = tail[12];
        let key = Self {
            time,
            event: u16::from_be_bytes([tail[4], tail[5]]),
            file: u16::from_be_bytes([tail[6], tail[7]]),
            line: u32::from_be_bytes([tail[8], tail[9], tail[10], tail[11]]),
            kind: marks >> 2,
            marks: Marks { filled: marks & 2 > 0, dropped: marks & 1 > 0 },
        };
        Some((user, item, key))
    }

    /// The id of the first bytes of a key.
    pub(super) fn user(bytes: &[u8]) -> Option<String> {
        read_id(bytes).map(|(id, _)| id)
    }

    pub(super) fn row(&self, item: u32) -> Row {
        let Self { time, line, file, event, .. } = *self;
        Row { time, user: 0, item, line, file, event }
    }
}

/// A number whose order without a sign is that of `time`.
fn ordered(time: i64) -> u64 {
    time.cast_unsigned() ^ (1 << 63)
}

fn unordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

/// Writes an id so that the order of bytes is that of [`compare_ids`](crate::compare_ids), also
/// if something follows. An id has no control characters.
fn write_id(id: &str, bytes: &mut Vec<u8>) {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        bytes.push(TEXT);
        bytes.extend(id.as_bytes());
        bytes.push(0);
        return;
    }
    let digits = id.trim_start_matches('0');
    match digits.len().cmp(&usize::from(LONG)) {
        Ordering::Less => bytes.push(digits.len() as u8),
        Ordering::Equal | Ordering::Greater => {
            bytes.push(LONG);
            bytes.extend((digits.len() as u32).to_be_bytes());
        }
    }
    bytes.extend(digits.as_bytes());
    match id.len() - digits.len() {
        0 => bytes.push(0),
        zeros => {
            bytes.push(1);
            bytes.extend((zeros as u32).to_be_bytes());
        }
    }
}

/// The id at the beginning of `bytes`, and what follows.
fn read_id(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first == TEXT {
        let end = rest.iter().position(|byte| *byte == 0)?;
        return Some((String::from_utf8(rest[..end].to_vec()).ok()?, &rest[end + 1..]));
    }
    let (length, rest) = if first == LONG {
        let (length, rest) = rest.split_first_chunk()?;
        (u32::from_be_bytes(*length) as usize, rest)
    } else {
        (usize::from(first), rest)
    };
    let (digits, rest) = rest.split_at_checked(length)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let (&has_zeros, rest) = rest.split_first()?;
    if has_zeros == 0 {
        return Some((digits.to_owned(), rest));
    }
    let (zeros, rest) = rest.split_first_chunk()?;
    let zeros = u32::from_be_bytes(*zeros) as usize;
    if zeros > MAX_ZEROS {
        return None;
    }
    Some((format!("{}{digits}", "0".repeat(zeros)), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compare_ids;

    fn bytes(id: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_id(id, &mut bytes);
        bytes
    }

    #[test]
    fn long_numbers_are_in_order() {
        let long = |length| "9".repeat(length);
        let ids = ["0".to_owned(), "9".to_owned(), long(253), long(254), long(300), "a".to_owned()];
        for pair in ids.windows(2) {
            assert!(bytes(&pair[0]) < bytes(&pair[1]), "{} {}", pair[0], pair[1]);
            assert_eq!(read_id(&bytes(&pair[0])), Some((pair[0].clone(), &[][..])));
        }
    }

    #[test]
    fn times_before_1970_come_first() {
        let mut times = [i64::MIN, -1, 0, 1, i64::MAX].map(ordered);
        assert!(times.is_sorted());
        times.reverse();
        assert_eq!(times.map(unordered), [i64::MAX, 1, 0, -1, i64::MIN]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_ids(a in "[0-9ab]{0,4}", b in "[0-9ab]{0,4}", tail in 0_u8..255) {
            let with = |id: &str| { let mut bytes = bytes(id); bytes.push(tail); bytes };
            prop_assert_eq!(with(&a).cmp(&with(&b)), compare_ids(&a, &b));
            let whole = with(&a);
            prop_assert_eq!(read_id(&whole), Some((a, &[tail][..])));
        }

        #[test]
        fn a_key_is_read_back(user in "[0-9a-z]{1,5}", item in "[0-9a-z]{1,5}", time in any::<i64>(),
                              line in any::<u32>(), file in any::<u16>(), event in any::<u16>(),
                              filled in any::<bool>(), dropped in any::<bool>(), timed in any::<bool>()) {
            let time = if timed { time } else { 0 };
            let key = RowKey { time, line, file, event, kind: 3, marks: Marks { filled, dropped } };
            let mut bytes = Vec::new();
            let position = (!timed).then_some(Position { part: 7, row: 9 });
            key.write(&user, &item, 5, position, &mut bytes);
            let (user_bytes, found_item, found) = RowKey::read(&bytes, timed).unwrap();
            prop_assert_eq!(RowKey::user(user_bytes), Some(user));
            prop_assert_eq!((found_item, found), (item, key));
        }

        #[test]
        fn damaged_keys_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = RowKey::read(&bytes, true);
            let _ = RowKey::read(&bytes, false);
        }
    }
}
