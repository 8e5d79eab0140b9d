use crate::ModelError;

/// Reads the parts of a file one after the other.
pub(super) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the magic bytes, which end with the version of the format as a digit: that of
    /// `magic` is the newest that is supported, and the first is 1. Returns the version.
    pub(super) fn new(
        what: &'static str,
        magic: [u8; 8],
        bytes: &'a [u8],
    ) -> Result<(Self, u32), ModelError> {
        let mut reader = Self { what, rest: bytes };
        let found = reader.take(8)?;
        let (name, supported) = magic.split_at(7);
        let supported = u32::from(supported[0] - b'0');
        if !(found.starts_with(name) && found[7].is_ascii_digit()) {
            return Err(ModelError::Format(format!(
                "{what}: expected a file that starts with {}, found other bytes; export it again",
                magic.escape_ascii()
            )));
        }
        let version = u32::from(found[7] - b'0');
        if (1..=supported).contains(&version) {
            Ok((reader, version))
        } else {
            Err(ModelError::FormatVersion { what, supported, found: version })
        }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ModelError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(ModelError::Length {
                what: self.what,
                expected: count,
                found: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ModelError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, ModelError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn sha256(&mut self) -> Result<[u8; 32], ModelError> {
        self.array()
    }

    /// Everything that has not been read, which must be `expected` bytes.
    pub(super) fn rest(self, expected: usize) -> Result<&'a [u8], ModelError> {
        if self.rest.len() == expected {
            Ok(self.rest)
        } else {
            Err(ModelError::Length { what: self.what, expected, found: self.rest.len() })
        }
    }
}
