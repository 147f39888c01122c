// SPDX-License-Identifier: GPL-2.0

//! Numbers in byte slices, for records whose place is only known at run time.
//!
//! Every access is checked: a place outside the slice gives `None`, never a panic.

/// The `N` bytes at `at`, or `None` when they are not all inside `bytes`.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Stores `value` at `at`, or gives `None` and changes nothing when it does not fit.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes
        .get_mut(at..at.checked_add(value.len())?)?
        .copy_from_slice(value);
    Some(())
}

/// Declares one reader and one writer of an integer in a byte order.
macro_rules! number {
    ($int:ty, $get:ident, $put:ident, $from:ident, $to:ident, $text:literal) => {
        #[doc = concat!("The ", $text, " at `at`, or `None` outside the slice.")]
        pub fn $get(bytes: &[u8], at: usize) -> Option<$int> {
            array(bytes, at).map(<$int>::$from)
        }

        #[doc = concat!("Stores a ", $text, " at `at`; `None` (and no change) outside the slice.")]
        pub fn $put(bytes: &mut [u8], at: usize, value: $int) -> Option<()> {
            put(bytes, at, &value.$to())
        }
    };
}

number!(
    u16,
    le16,
    put_le16,
    from_le_bytes,
    to_le_bytes,
    "little-endian 16-bit number"
);
number!(
    u32,
    le32,
    put_le32,
    from_le_bytes,
    to_le_bytes,
    "little-endian 32-bit number"
);
number!(
    u16,
    be16,
    put_be16,
    from_be_bytes,
    to_be_bytes,
    "big-endian 16-bit number"
);
number!(
    u32,
    be32,
    put_be32,
    from_be_bytes,
    to_be_bytes,
    "big-endian 32-bit number"
);
number!(
    u64,
    be64,
    put_be64,
    from_be_bytes,
    to_be_bytes,
    "big-endian 64-bit number"
);

/// A `u32` as an index. Every supported machine has at least 32-bit addresses.
pub(crate) const fn index(n: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    n as usize
}

/// A length as a number of a message or a record: saturates, because it is only ever shown or compared.
pub(crate) const fn clamp32(n: usize) -> u32 {
    if n > index(u32::MAX) {
        u32::MAX
    } else {
        n as u32
    }
}

/// A length as a 64-bit operand of a fault.
pub(crate) const fn wide(n: usize) -> u64 {
    const { assert!(usize::BITS <= 64) };
    n as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_is_none() {
        let mut b = [1u8, 2, 3, 4, 5];
        assert_eq!(le16(&b, 0), Some(0x0201));
        assert_eq!(be32(&b, 1), Some(0x0203_0405));
        assert_eq!(le32(&b, 2), None);
        assert_eq!(be64(&b, usize::MAX), None);
        assert_eq!(put_le16(&mut b, 4, 7), None);
        assert_eq!(b, [1, 2, 3, 4, 5]);
        assert_eq!(put_be16(&mut b, 3, 7), Some(()));
        assert_eq!(b, [1, 2, 3, 0, 7]);
    }
}
