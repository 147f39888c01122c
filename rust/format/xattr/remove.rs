// SPDX-License-Identifier: GPL-2.0

//! Taking an attribute out of a list.
//!
//! Entries and values stay without holes, as C ext4 leaves them: the entries behind move down, the values
//! below move up.

use super::{bad, rehash_block, Attrs, Fault, RawEntry, Record, X};
use super::{BASE_LEN, BLOCK_HEADER, BODY_HEADER};
use crate::format::bytes::{le32, put_le16, put_le32};
use core::ops::Range;

/// What goes; all places count from the list's base.
struct Removal {
    /// The entry with its name.
    entry: Range<usize>,
    /// The end of the list, with the word that ends it.
    list_end: usize,
    /// The value with its padding; empty when there is none.
    value: Range<usize>,
    /// Where the lowest value begins.
    lowest: usize,
}

/// A value with its padding; the list was checked.
fn value_of(entry: &RawEntry) -> Range<usize> {
    if entry.value_len == 0 {
        return 0..0;
    }
    let len = entry.value_len.saturating_add(3) & !3;
    entry.value_at..entry.value_at.saturating_add(len)
}

impl Attrs<'_> {
    /// What removing an attribute takes; `None` when there is no such attribute.
    fn plan_removal(&self, index: u8, name: &[u8]) -> Result<Option<Removal>, Fault> {
        let mut entries = self.entries();
        let Some((entry, _)) = entries.find(|(_, a)| a.index == index && a.name == name) else {
            return Ok(None);
        };
        let value = value_of(&entry);
        let (mut lowest, mut end) = (value.start, entry.next);
        for (other, _) in self.entries() {
            end = other.next;
            let others = value_of(&other);
            if other.at == entry.at || others.is_empty() || value.is_empty() {
                continue;
            }
            if others.start < value.end && value.start < others.end {
                return Err(bad(X::ValueShared, value.start, others.start));
            }
            lowest = lowest.min(others.start);
        }
        Ok(Some(Removal {
            entry: entry.at..entry.next,
            list_end: end.saturating_add(4),
            value,
            lowest,
        }))
    }
}

impl Removal {
    /// `first` is where the first entry is.
    fn apply(&self, base: &mut [u8], first: usize) -> Option<()> {
        let len = self.value.len();
        let values = base.get_mut(self.lowest..self.value.end)?;
        values.copy_within(..values.len().checked_sub(len)?, len);
        values.get_mut(..len)?.fill(0);
        let mut at = first;
        while let Some(entry) = RawEntry::read(base, at).ok()? {
            if entry.value_len > 0 && entry.value_at < self.value.start {
                let moved = u16::try_from(entry.value_at.checked_add(len)?).ok()?;
                put_le16(base, at.checked_add(2)?, moved)?;
            }
            at = entry.next;
        }
        let entries = base.get_mut(self.entry.start..self.list_end)?;
        let keep = entries.len().checked_sub(self.entry.len())?;
        entries.copy_within(self.entry.len().., 0);
        entries.get_mut(keep..)?.fill(0);
        Some(())
    }
}

/// Removes an attribute from an xattr block, and renews its hash. `false` if there is no such attribute.
pub fn remove_in_block(block: &mut [u8], index: u8, name: &[u8]) -> Result<bool, Fault> {
    let Some(plan) = Attrs::in_block(block)?.plan_removal(index, name)? else {
        return Ok(false);
    };
    let short = Fault::short(Record::XattrBlock, BLOCK_HEADER, block.len());
    plan.apply(block, BLOCK_HEADER).ok_or(short)?;
    rehash_block(block)?;
    Ok(true)
}

/// As [`remove_in_block`], in an inode's record (all its bytes, `extra_isize` of them extra fields). When
/// it was the last one, the place is unused again.
pub fn remove_in_body(
    raw: &mut [u8],
    extra_isize: u16,
    index: u8,
    name: &[u8],
) -> Result<bool, Fault> {
    let plan = match Attrs::in_body(raw, extra_isize)? {
        Some(attrs) => attrs.plan_removal(index, name)?,
        None => None,
    };
    let Some(plan) = plan else {
        return Ok(false);
    };
    let short = Fault::short(Record::XattrBody, BASE_LEN, raw.len());
    let header = BASE_LEN.saturating_add(usize::from(extra_isize));
    let body = raw.get_mut(header..).ok_or(short)?;
    plan.apply(body.get_mut(BODY_HEADER..).ok_or(short)?, 0)
        .ok_or(short)?;
    if le32(body, BODY_HEADER) == Some(0) {
        put_le32(body, 0, 0).ok_or(short)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, list};
    use super::super::{references, BLOCK_HASH, MAGIC};
    use super::*;

    type Pairs = [(&'static str, &'static [u8])];

    /// All names of a block in order, with their values.
    fn pairs(block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let attrs = Attrs::in_block(block).unwrap();
        attrs
            .iter()
            .map(|attr| (attr.name.to_vec(), attr.value.to_vec()))
            .collect()
    }

    #[test]
    fn every_order_of_removal() {
        let all: &Pairs = &[("a", b"1234"), ("bcd", b""), ("ef", b"value"), ("g", b"x")];
        for first in 0..all.len() {
            for second in 0..all.len() {
                let mut block = list(1024, all);
                let mut left: Vec<_> = all.to_vec();
                let mut gone = vec![all[first], all[second]];
                gone.dedup();
                for (name, _) in gone {
                    assert_eq!(remove_in_block(&mut block, 1, name.as_bytes()), Ok(true));
                    left.retain(|(other, _)| *other != name);
                }
                // The same as if they had never been there.
                assert_eq!(block, list(1024, &left), "{first} {second}");
                let want: Vec<_> = left
                    .iter()
                    .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
                    .collect();
                assert_eq!(pairs(&block), want);
            }
        }
    }

    #[test]
    fn what_is_not_there() {
        let before = list(1024, &[("a", b"1234")]);
        let mut block = before.clone();
        assert_eq!(remove_in_block(&mut block, 2, b"a"), Ok(false));
        assert_eq!(remove_in_block(&mut block, 1, b"b"), Ok(false));
        assert_eq!(block, before);
        assert_eq!(remove_in_block(&mut block, 1, b"a"), Ok(true));
        assert_eq!(le32(&block, BLOCK_HASH), Some(0));
        assert_eq!(references(&block), Ok(1));
        assert_eq!(pairs(&block), []);
    }

    #[test]
    fn values_that_overlap() {
        let mut block = list(1024, &[("a", b"1234"), ("b", b"5678")]);
        let second = entry(&block, 1);
        put_le16(&mut block, second + 2, 1020).unwrap();
        let before = block.clone();
        assert!(remove_in_block(&mut block, 1, b"a").is_err());
        assert_eq!(block, before);
    }

    #[test]
    fn in_a_record() {
        let block = list(128, &[("a", b"1234"), ("b", b"56789")]);
        let mut record = vec![0u8; 256];
        let header = BASE_LEN + 32;
        put_le32(&mut record, header, MAGIC).unwrap();
        record[header + 4..].copy_from_slice(&block[32..124]);
        for at in [0, 20] {
            let place = header + 4 + at + 2;
            let moved = u16::from_le_bytes([record[place], record[place + 1]]) - 36;
            put_le16(&mut record, place, moved).unwrap();
        }
        record[244..256].copy_from_slice(&block[116..128]);
        let find = |record: &[u8], name| {
            let attrs = Attrs::in_body(record, 32).unwrap()?;
            attrs.find(1, name).map(|attr| attr.value.to_vec())
        };
        assert_eq!(find(&record, b"a"), Some(b"1234".to_vec()));
        assert_eq!(remove_in_body(&mut record, 32, 1, b"a"), Ok(true));
        assert_eq!(find(&record, b"a"), None);
        assert_eq!(find(&record, b"b"), Some(b"56789".to_vec()));
        assert_eq!(remove_in_body(&mut record, 32, 1, b"a"), Ok(false));
        assert_eq!(remove_in_body(&mut record, 32, 1, b"b"), Ok(true));
        assert!(record.iter().all(|&byte| byte == 0));
        assert_eq!(remove_in_body(&mut record, 32, 1, b"b"), Ok(false));
    }
}
