// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: in the inode's record after the extra fields, and in one block.
//!
//! Both are a list of entries that grows up and values that grow down. Offsets of values count
//! from the block's start, or from the first entry in an inode. Values in inodes of their own
//! (`ea_inode`) are refused.
//!
//! Source: `Documentation/filesystems/ext4/attributes.rst`.

mod remove;

pub use remove::{remove_in_block, remove_in_body};

use super::{
    bytes::{index, le16, le32, put, put_le32, wide},
    fault::{Fault, Record, XattrFault as X},
    inode::BASE_LEN,
};

/// The magic number of both places.
pub const MAGIC: u32 = 0xea02_0000;
/// Most inodes that may share a block.
pub const MAX_REFERENCES: u32 = 1024;
/// Length of a block's header, of the one in an inode, and of an entry without its name.
const BLOCK_HEADER: usize = 32;
const BODY_HEADER: usize = 4;
const ENTRY: usize = 16;
/// Places of the hash in an entry, and in a block's header.
const ENTRY_HASH: usize = 12;
const BLOCK_HASH: usize = 12;

/// Name index of `user.`.
pub const USER: u8 = 1;
/// Name index of `trusted.`.
pub const TRUSTED: u8 = 4;
/// Name index of the access control list of a file.
pub const POSIX_ACL_ACCESS: u8 = 2;
/// Name index of the list new files in a directory get.
pub const POSIX_ACL_DEFAULT: u8 = 3;
/// Name index of `security.`.
pub const SECURITY: u8 = 6;

/// Name indices and the prefixes they stand for. A prefix without a dot is a whole name.
const PREFIXES: [(u8, &str); 8] = [
    (USER, "user."),
    (POSIX_ACL_ACCESS, "system.posix_acl_access"),
    (POSIX_ACL_DEFAULT, "system.posix_acl_default"),
    (TRUSTED, "trusted."),
    (SECURITY, "security."),
    (8, "system.richacl"),
    (7, "system."),
    (10, "gnu."),
];

/// The prefix a name index stands for; `None` for one that has no name outside (or is unknown).
pub fn prefix(index: u8) -> Option<&'static str> {
    PREFIXES
        .iter()
        .find(|(known, _)| *known == index)
        .map(|(_, text)| *text)
}

/// A full name as name index and rest.
pub fn split_name(full: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(index, text)| {
        let rest = full.strip_prefix(text.as_bytes())?;
        // Only a prefix that ends with a dot leaves a rest.
        (text.ends_with('.') != rest.is_empty()).then_some((*index, rest))
    })
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its name index.
    pub index: u8,
    /// Its name after the prefix.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Its hash as stored (0 when none was computed).
    pub hash: u32,
}

/// A checked list of attributes.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    /// From where offsets of values count.
    base: &'a [u8],
    /// Where the first entry is in it.
    first: usize,
}

const fn bad(what: X, a: usize, b: usize) -> Fault {
    Fault::Xattr(what, wide(a), wide(b))
}

/// Length of an entry with its name.
const fn entry_len(name: usize) -> usize {
    ENTRY.saturating_add(name).saturating_add(3) & !3
}

/// One entry as it is stored.
struct RawEntry {
    at: usize,
    index: u8,
    name: core::ops::Range<usize>,
    value_at: usize,
    value_inode: u32,
    value_len: usize,
    hash: u32,
    next: usize,
}

impl RawEntry {
    /// Reads the entry at `at`, or finds the list's end there.
    fn read(base: &[u8], at: usize) -> Result<Option<Self>, Fault> {
        let past = bad(X::EntryPastEnd, at, base.len());
        if le32(base, at).ok_or(past)? == 0 {
            return Ok(None);
        }
        let fixed = base
            .get(at..at.saturating_add(ENTRY))
            .and_then(|bytes| bytes.first_chunk::<ENTRY>())
            .ok_or(past)?;
        let [name_len, index_byte, ..] = *fixed;
        let name_len = usize::from(name_len);
        let name = at.saturating_add(ENTRY);
        let next = at.saturating_add(entry_len(name_len));
        // After the last entry there must still be the word that ends the list.
        if next.saturating_add(4) > base.len() {
            return Err(past);
        }
        Ok(Some(Self {
            at,
            index: index_byte,
            name: name..name.saturating_add(name_len),
            value_at: usize::from(le16(fixed, 2).ok_or(past)?),
            value_inode: le32(fixed, 4).ok_or(past)?,
            value_len: index(le32(fixed, 8).ok_or(past)?),
            hash: le32(fixed, 12).ok_or(past)?,
            next,
        }))
    }
}

impl<'a> Attrs<'a> {
    /// The attributes of an xattr block. The checksum is checked elsewhere.
    pub fn in_block(block: &'a [u8]) -> Result<Self, Fault> {
        let short = Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len());
        let header = block.first_chunk::<BLOCK_HEADER>().ok_or(short)?;
        let word = |at| le32(header, at).ok_or(short);
        if word(0)? != MAGIC {
            return Err(bad(X::Magic, index(word(0)?), 0));
        }
        let references = word(4)?;
        if references == 0 || references > MAX_REFERENCES {
            return Err(bad(X::RefCount, index(references), index(MAX_REFERENCES)));
        }
        if word(8)? != 1 {
            return Err(bad(X::Blocks, index(word(8)?), 0));
        }
        Self::check(block, BLOCK_HEADER)
    }

    /// The attributes in an inode's record (all its bytes, `extra_isize` of them extra fields);
    /// `None` when there are none.
    pub fn in_body(raw: &'a [u8], extra_isize: u16) -> Result<Option<Self>, Fault> {
        let at = BASE_LEN.saturating_add(usize::from(extra_isize));
        let Some(body) = raw.get(at..).filter(|body| body.len() > BODY_HEADER) else {
            return Ok(None);
        };
        // Anything but the magic number means that the place was never used. In a record whose
        // extra length is 0 the extra fields (and what follows) are not in use at all.
        if extra_isize == 0 || le32(body, 0) != Some(MAGIC) {
            return Ok(None);
        }
        let base = body.get(BODY_HEADER..).unwrap_or(&[]);
        Self::check(base, 0).map(Some)
    }

    fn check(base: &'a [u8], first: usize) -> Result<Self, Fault> {
        let mut at = first;
        while let Some(entry) = RawEntry::read(base, at)? {
            let name = base.get(entry.name).unwrap_or(&[]);
            if name.contains(&0) {
                return Err(bad(X::EntryPastEnd, at, base.len()));
            }
            at = entry.next;
        }
        let end_of_list = at.saturating_add(4);
        let mut at = first;
        while let Some(entry) = RawEntry::read(base, at)? {
            if entry.value_inode != 0 {
                return Err(bad(X::EaInode, index(entry.value_inode), at));
            }
            if entry.value_len > 0 {
                // Values are padded to 4 bytes, and the padding is theirs.
                let padded = entry.value_len.checked_next_multiple_of(4);
                let end = padded.and_then(|len| entry.value_at.checked_add(len));
                if end.is_none_or(|end| end > base.len()) {
                    return Err(bad(X::ValuePastEnd, entry.value_at, entry.value_len));
                }
                if entry.value_at < end_of_list {
                    return Err(bad(X::ValueInEntries, entry.value_at, end_of_list));
                }
            }
            at = entry.next;
        }
        Ok(Self { base, first })
    }

    /// All attributes in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Attr<'a>> + 'a {
        self.entries().map(|(_, attr)| attr)
    }

    /// The same with their entries.
    fn entries(&self) -> impl Iterator<Item = (RawEntry, Attr<'a>)> + 'a {
        let (base, mut at) = (self.base, self.first);
        core::iter::from_fn(move || {
            // Checked before: this ends at the end of the list.
            let entry = RawEntry::read(base, at).ok().flatten()?;
            at = entry.next;
            let value = if entry.value_len == 0 {
                &[]
            } else {
                base.get(entry.value_at..entry.value_at.checked_add(entry.value_len)?)?
            };
            let attr = Attr {
                index: entry.index,
                name: base.get(entry.name.clone())?,
                value,
                hash: entry.hash,
            };
            Some((entry, attr))
        })
    }

    /// What putting `value` in the place of an attribute's value takes; `None` when there is no such
    /// attribute, or its value has another length.
    fn plan(&self, index: u8, name: &[u8], value: &[u8]) -> Option<Replacement> {
        let mut entries = self.entries();
        let (entry, attr) = entries.find(|(_, attr)| attr.index == index && attr.name == name)?;
        let hash = Attr { value, ..attr }.computed_hash(false);
        (attr.value.len() == value.len()).then_some(Replacement {
            value_at: entry.value_at,
            hash_at: entry.at.saturating_add(ENTRY_HASH),
            // An entry that has none stays without.
            hash: if attr.hash == 0 { 0 } else { hash },
        })
    }

    /// Looks an attribute up.
    pub fn find(&self, index: u8, name: &[u8]) -> Option<Attr<'a>> {
        self.iter()
            .find(|attr| attr.index == index && attr.name == name)
    }
}

/// Where another value of the same length goes, and the hash that its entry gets.
struct Replacement {
    value_at: usize,
    hash_at: usize,
    hash: u32,
}

impl Replacement {
    fn apply(&self, base: &mut [u8], value: &[u8]) -> Option<()> {
        put(base, self.value_at, value)?;
        put_le32(base, self.hash_at, self.hash)
    }
}

/// Puts another value of the same length in the place of an attribute's in an xattr block, and renews
/// the hashes. `false` if there is no such attribute, or its value has another length.
pub fn replace_in_block(
    block: &mut [u8],
    index: u8,
    name: &[u8],
    value: &[u8],
) -> Result<bool, Fault> {
    let short = Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len());
    let Some(plan) = Attrs::in_block(block)?.plan(index, name, value) else {
        return Ok(false);
    };
    plan.apply(block, value).ok_or(short)?;
    rehash_block(block)?;
    Ok(true)
}

/// Puts the hash of all entries into an xattr block's header. With an entry that has none the block has
/// none either, and is never shared.
fn rehash_block(block: &mut [u8]) -> Result<(), Fault> {
    let short = Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len());
    let hash = Attrs::in_block(block)?.iter().try_fold(0u32, |hash, attr| {
        (attr.hash != 0).then_some(hash.rotate_left(16) ^ attr.hash)
    });
    put_le32(block, BLOCK_HASH, hash.unwrap_or(0)).ok_or(short)
}

/// As [`replace_in_block`], in an inode's record (all its bytes, `extra_isize` of them extra fields).
pub fn replace_in_body(
    raw: &mut [u8],
    extra_isize: u16,
    index: u8,
    name: &[u8],
    value: &[u8],
) -> Result<bool, Fault> {
    let plan = Attrs::in_body(raw, extra_isize)?.and_then(|attrs| attrs.plan(index, name, value));
    let Some(plan) = plan else {
        return Ok(false);
    };
    let short = Fault::short(Record::XattrBody, BASE_LEN, raw.len());
    let at = BASE_LEN
        .saturating_add(usize::from(extra_isize))
        .saturating_add(BODY_HEADER);
    let base = raw.get_mut(at..).ok_or(short)?;
    plan.apply(base, value).ok_or(short)?;
    Ok(true)
}

/// How many inodes share an xattr block.
pub fn references(block: &[u8]) -> Result<u32, Fault> {
    le32(block, 4).ok_or(Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len()))
}

/// Sets how many inodes share an xattr block (1 to [`MAX_REFERENCES`]).
pub fn set_references(block: &mut [u8], count: u32) -> Result<(), Fault> {
    let short = Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len());
    if count == 0 || count > MAX_REFERENCES {
        return Err(bad(X::RefCount, index(count), index(MAX_REFERENCES)));
    }
    put_le32(block, 4, count).ok_or(short)
}

impl Attr<'_> {
    /// The hash an entry of a block should have. Some old kernels read the bytes of the name as
    /// signed: `signed` gives their result.
    pub fn computed_hash(&self, signed: bool) -> u32 {
        let byte = |byte: u8| {
            if signed {
                i32::from(byte as i8) as u32
            } else {
                u32::from(byte)
            }
        };
        let name = self
            .name
            .iter()
            .fold(0u32, |hash, c| hash.rotate_left(5) ^ byte(*c));
        self.value.chunks(4).fold(name, |hash, bytes| {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().zip(bytes) {
                *to = *from;
            }
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }

    /// Checks the stored hash, in either form; an entry without one is fine.
    pub fn check_hash(&self) -> Result<(), Fault> {
        let want = self.computed_hash(false);
        if self.hash == 0 || self.hash == want || self.hash == self.computed_hash(true) {
            return Ok(());
        }
        Err(bad(X::EntryHash, index(self.hash), index(want)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block of attributes of users as C ext4 would make it, with its hashes.
    pub(super) fn list(size: usize, attrs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut block = vec![0u8; size];
        for (at, word) in [(0, MAGIC), (4, 1), (8, 1)] {
            put_le32(&mut block, at, word).unwrap();
        }
        let (mut at, mut end) = (BLOCK_HEADER, size);
        for (name, value) in attrs {
            end -= value.len().next_multiple_of(4);
            let place = if value.is_empty() { 0 } else { end as u16 };
            let name = name.as_bytes();
            let hash = Attr {
                index: USER,
                name,
                value,
                hash: 0,
            }
            .computed_hash(false);
            block[at] = name.len() as u8;
            block[at + 1] = USER;
            block[at + 2..at + 4].copy_from_slice(&place.to_le_bytes());
            put_le32(&mut block, at + 8, value.len() as u32).unwrap();
            put_le32(&mut block, at + ENTRY_HASH, hash).unwrap();
            put(&mut block, at + ENTRY, name).unwrap();
            put(&mut block, end, value).unwrap();
            at += entry_len(name.len());
        }
        rehash_block(&mut block).unwrap();
        block
    }

    /// Where the entry of this number is in a block.
    pub(super) fn entry(block: &[u8], number: usize) -> usize {
        let attrs = Attrs::in_block(block).unwrap();
        let (entry, _) = attrs.entries().nth(number).unwrap();
        entry.at
    }

    #[test]
    fn names() {
        for (full, want) in [
            (&b"user.a"[..], Some((1, &b"a"[..]))),
            (b"user.", None),
            (b"system.posix_acl_access", Some((2, b""))),
            (b"system.posix_acl_accessx", Some((7, b"posix_acl_accessx"))),
            (b"security.selinux", Some((6, b"selinux"))),
            (b"other.x", None),
        ] {
            assert_eq!(split_name(full), want, "{full:?}");
        }
    }

    /// A block with one entry `user.ab` = `value` at its end.
    fn block(value: &[u8]) -> [u8; 1024] {
        let mut block = [0u8; 1024];
        let at = 1024 - value.len().next_multiple_of(4);
        put_le32(&mut block, 0, MAGIC).unwrap();
        put_le32(&mut block, 4, 1).unwrap();
        put_le32(&mut block, 8, 1).unwrap();
        block[32] = 2;
        block[33] = 1;
        block[34..36].copy_from_slice(&(at as u16).to_le_bytes());
        block[40] = value.len() as u8;
        block[48..50].copy_from_slice(b"ab");
        block[at..at + value.len()].copy_from_slice(value);
        block
    }

    #[test]
    fn one_entry() {
        let good = block(b"value");
        let attrs = Attrs::in_block(&good).unwrap();
        assert_eq!(attrs.find(1, b"ab").unwrap().value, b"value");
        assert!(attrs.find(2, b"ab").is_none());
        for (at, byte) in [(0, 9), (4, 0), (8, 2), (34, 33), (36, 1), (42, 9)] {
            let mut broken = good;
            broken[at] = byte;
            if at == 34 {
                broken[35] = 0;
            }
            assert!(Attrs::in_block(&broken).is_err(), "{at}");
        }
    }

    #[test]
    fn another_value() {
        let mut block = block(b"value");
        let attr = |block: &[u8]| {
            let attrs = Attrs::in_block(block).unwrap();
            let attr = attrs.find(1, b"ab").unwrap();
            (attr.value.to_vec(), attr.hash, attr.check_hash())
        };
        let hash = |block: &[u8]| le32(block, BLOCK_HASH).unwrap();
        // Without a hash it stays so.
        assert_eq!(replace_in_block(&mut block, 1, b"ab", b"VALUE"), Ok(true));
        assert_eq!(attr(&block), (b"VALUE".to_vec(), 0, Ok(())));
        assert_eq!(hash(&block), 0);
        put_le32(&mut block, 32 + ENTRY_HASH, 1).unwrap();
        assert_eq!(replace_in_block(&mut block, 1, b"ab", b"other"), Ok(true));
        let (value, one, checked) = attr(&block);
        assert_eq!((value, checked), (b"other".to_vec(), Ok(())));
        assert!(one > 1);
        // Of one entry the block's hash is the entry's.
        assert_eq!(hash(&block), one);
        let before = block;
        for (index, name, value) in [
            (2, b"ab", &b"other"[..]),
            (1, b"aa", b"other"),
            (1, b"ab", b"oth"),
        ] {
            assert_eq!(replace_in_block(&mut block, index, name, value), Ok(false));
        }
        assert_eq!(block, before);
        // The same list in a record.
        let mut record = [0u8; 256];
        put_le32(&mut record, BASE_LEN + 32, MAGIC).unwrap();
        let body = BASE_LEN + 32 + BODY_HEADER;
        record[body..body + 18].copy_from_slice(&before[32..50]);
        record[body + 2..body + 4].copy_from_slice(&[40, 0]);
        record[body + 40..body + 45].copy_from_slice(b"other");
        assert_eq!(
            replace_in_body(&mut record, 32, 1, b"ab", b"VALUE"),
            Ok(true)
        );
        assert_eq!(&record[body + 40..body + 45], b"VALUE");
        let attrs = Attrs::in_body(&record, 32).unwrap().unwrap();
        assert_eq!(attrs.find(1, b"ab").unwrap().check_hash(), Ok(()));
        assert_eq!(
            replace_in_body(&mut record, 0, 1, b"ab", b"value"),
            Ok(false)
        );
        assert_eq!(
            replace_in_body(&mut record[..128], 32, 1, b"ab", b"value"),
            Ok(false)
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), extra: u16, magic: bool) {
            let mut bytes = bytes;
            if magic {
                let at = BASE_LEN + usize::from(extra % 64);
                let _ = put_le32(&mut bytes, at, MAGIC);
                let _ = put_le32(&mut bytes, 0, MAGIC);
                let _ = put_le32(&mut bytes, 4, 1);
                let _ = put_le32(&mut bytes, 8, 1);
            }
            let mut changed = bytes.clone();
            let _ = replace_in_block(&mut changed, 0, b"", b"");
            let _ = replace_in_body(&mut changed, extra % 64, 0, b"", b"");
            let _ = remove_in_block(&mut changed, 0, b"");
            let _ = remove_in_body(&mut changed, extra % 64, 0, b"");
            if let Ok(attrs) = Attrs::in_block(&bytes) {
                prop_assert!(attrs.iter().count() < 20);
            }
            if let Ok(Some(attrs)) = Attrs::in_body(&bytes, extra % 64) {
                prop_assert!(attrs.iter().count() < 20);
            }
        }
    }
}
