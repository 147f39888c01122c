// SPDX-License-Identifier: GPL-2.0

//! The hash index of a directory: a root in its block 0, and at most one level of nodes below.
//!
//! Root and nodes look like (nearly empty) linear blocks to whoever does not know the index. Their
//! entries pair a hash with a block of the directory; a block holds the names with hashes from its
//! own on to the next. A set lowest bit of an entry's hash means that names of the hash without it
//! go on from the block before. The first entry has no hash of its own: its place holds the room
//! and the number of entries.
//!
//! Source: `Documentation/filesystems/ext4/directory.rst`, "Hash Tree Directories".

use super::{
    bytes::{index, le16, le32, put, put_le16, put_le32, wide},
    dirent::DirFormat,
    fault::{Fault, HtreeFault as H, Record},
    hash::{HashVersion, Signedness},
    units::{FileBlock, Ino},
};

/// Length of an entry; the room-and-count pair is as long as half of one.
const ENTRY: usize = 8;
/// Length of the checksum after the room for entries.
const TAIL: usize = 8;
/// Length of a dot entry, and where the root's information is.
const DOT: usize = 12;
const INFO: usize = 24;
/// Levels of nodes there may be below the root (without `large_dir`).
pub const MAX_LEVELS: u8 = 1;
/// A block number of an entry has 28 bits.
const BLOCK_MASK: u32 = 0x0fff_ffff;

/// The two kinds of block with entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Block 0 of the directory.
    Root,
    /// A node below the root.
    Node,
}

impl Place {
    /// Where the entries begin: the offset of the room-and-count pair, that
    /// [`super::checksum::Checksums::verify_htree`] wants too.
    pub const fn entries_at(self) -> usize {
        match self {
            Self::Root => 32,
            Self::Node => 8,
        }
    }
}

/// What the root says of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootInfo {
    /// The hash function.
    pub version: HashVersion,
    /// The signedness, where the number of the function forces one (else the superblock's).
    pub signedness: Option<Signedness>,
    /// Levels of nodes below the root: 0 or 1.
    pub levels: u8,
}

/// One entry: names with hashes from `hash` on are in (or below) `block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The least hash, perhaps with the continuation bit.
    pub hash: u32,
    /// The block of the directory.
    pub block: FileBlock,
}

/// How index blocks of one directory look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFormat {
    /// The directory's blocks.
    pub dir: DirFormat,
    /// How many blocks it has.
    pub blocks: u32,
}

const fn bad(what: H, a: u64, b: u64) -> Fault {
    Fault::Htree(what, a, b)
}

impl IndexFormat {
    /// Entries a block has room for.
    pub const fn limit(&self, place: Place) -> u16 {
        let tail = if self.dir.has_tail { TAIL } else { 0 };
        let room = index(self.dir.block_size)
            .saturating_sub(place.entries_at())
            .saturating_sub(tail);
        (room / ENTRY) as u16
    }

    /// Checks the root and gives its information and its entries. (The checksum is checked
    /// elsewhere.)
    pub fn root<'a>(&self, block: &'a [u8]) -> Result<(RootInfo, Index<'a>), Fault> {
        let linear = self.dir.without_tail();
        let (dot, dotdot) = linear.dots(block)?;
        let size = index(self.dir.block_size);
        if dot.len != DOT || dotdot.len != size.saturating_sub(DOT) {
            return Err(bad(H::NotRoot, wide(dot.len), 0));
        }
        let info = self.info(block)?;
        Ok((info, self.index(block, Place::Root)?))
    }

    /// What the root says of the index, without a look at its entries.
    pub fn info(&self, block: &[u8]) -> Result<RootInfo, Fault> {
        let short = Fault::short(Record::HtreeNode, 32, block.len());
        let word = le32(block, INFO).ok_or(short)?;
        let fields = le32(block, INFO.saturating_add(4)).ok_or(short)?;
        let [version, length, levels, flags] = fields.to_le_bytes();
        if word != 0 || flags & 1 != 0 {
            return Err(bad(H::Flags, (u64::from(word) << 8) | u64::from(flags), 0));
        }
        if length != 8 {
            return Err(bad(H::InfoLength, u64::from(length), 0));
        }
        if levels > MAX_LEVELS {
            return Err(bad(H::Levels, u64::from(levels), u64::from(MAX_LEVELS)));
        }
        let known = HashVersion::from_root(version);
        let (version, signedness) = known.ok_or(bad(H::HashVersion, u64::from(version), 0))?;
        Ok(RootInfo {
            version,
            signedness,
            levels,
        })
    }

    /// Checks a node below the root and gives its entries.
    pub fn node<'a>(&self, block: &'a [u8]) -> Result<Index<'a>, Fault> {
        self.index(block, Place::Node)
    }

    fn index<'a>(&self, block: &'a [u8], place: Place) -> Result<Index<'a>, Fault> {
        let view = self.view(block, place)?;
        let mut before = 0;
        for at in 0..view.count {
            let entry = view.entry(at)?;
            if entry.hash < before {
                return Err(bad(H::Order, u64::from(before), u64::from(entry.hash)));
            }
            before = entry.hash;
            let number = entry.block.get();
            if number == 0 || number >= self.blocks {
                return Err(bad(H::Block, u64::from(number), u64::from(self.blocks)));
            }
        }
        Ok(view)
    }

    /// The entries of a block, whose order only [`Self::root`] and [`Self::node`] check.
    pub fn view<'a>(&self, block: &'a [u8], place: Place) -> Result<Index<'a>, Fault> {
        let at = place.entries_at();
        let short = Fault::short(Record::HtreeNode, index(self.dir.block_size), block.len());
        if block.len() != index(self.dir.block_size) {
            return Err(short);
        }
        let limit = le16(block, at).ok_or(short)?;
        let count = le16(block, at.saturating_add(2)).ok_or(short)?;
        if limit != self.limit(place) {
            return Err(bad(
                H::Limit,
                u64::from(limit),
                u64::from(self.limit(place)),
            ));
        }
        if count == 0 || count > limit {
            return Err(bad(H::Count, u64::from(count), u64::from(limit)));
        }
        Ok(Index {
            block,
            at,
            count,
            limit,
        })
    }

    /// The entries of a block, to be changed.
    pub fn view_mut<'a>(&self, block: &'a mut [u8], place: Place) -> Result<IndexMut<'a>, Fault> {
        let Index {
            at, count, limit, ..
        } = self.view(block, place)?;
        Ok(IndexMut {
            block,
            at,
            count,
            limit,
        })
    }

    /// Makes a root: dot entries, information, and one entry that names `first`.
    pub fn init_root(
        &self,
        block: &mut [u8],
        own: Ino,
        parent: Ino,
        version: HashVersion,
        first: FileBlock,
    ) -> Result<(), Fault> {
        let linear = self.dir.without_tail();
        linear.init_first(block, own, parent)?;
        let past = bad(H::NotRoot, 0, 0);
        let info = [version.number(), 8, 0, 0];
        put(block, INFO.saturating_add(4), &info).ok_or(past)?;
        self.init_entries(block, Place::Root, first)
    }

    /// Makes a node with one entry that names `first`.
    pub fn init_node(&self, block: &mut [u8], first: FileBlock) -> Result<(), Fault> {
        // A node looks like one unused entry as long as the whole block.
        self.dir.without_tail().init(block)?;
        self.init_entries(block, Place::Node, first)
    }

    fn init_entries(&self, block: &mut [u8], place: Place, first: FileBlock) -> Result<(), Fault> {
        let at = place.entries_at();
        let past = Fault::short(Record::HtreeNode, at, block.len());
        put_le16(block, at, self.limit(place)).ok_or(past)?;
        put_le16(block, at.saturating_add(2), 1).ok_or(past)?;
        put_le32(block, at.saturating_add(4), first.get()).ok_or(past)
    }

    /// Makes the index one level deeper: the root's entries go to `node`, which is block `child`
    /// of the directory, and the root then names only that.
    pub fn grow(&self, root: &mut [u8], node: &mut [u8], child: FileBlock) -> Result<(), Fault> {
        let levels = self.info(root)?.levels.saturating_add(1);
        if levels > MAX_LEVELS {
            return Err(bad(H::Levels, u64::from(levels), u64::from(MAX_LEVELS)));
        }
        self.init_node(node, child)?;
        let mut from = self.view_mut(root, Place::Root)?;
        let mut to = self.view_mut(node, Place::Node)?;
        let count = from.count;
        let first = from.view().entry(0)?;
        to.set_block(0, first.block)?;
        let rest = count.saturating_sub(1);
        if rest > 0 {
            from.copy_entries(1, rest, &mut to, 1)?;
        }
        to.set_count(count)?;
        from.set_count(1)?;
        from.set_block(0, child)?;
        put(root, INFO.saturating_add(6), &[levels]).ok_or(bad(H::NotRoot, 0, 0))
    }
}

/// Where the room-and-count pair of an index block is; `None` for a block of names.
///
/// The root hides it behind "." and "..", a node behind an unused entry as long as the block.
pub fn count_limit_offset(block: &[u8]) -> Option<usize> {
    let size = block.len();
    // A record length of 64 KiB has a code.
    let decode = |stored: u16| match usize::from(stored) {
        0 | 65535 if size == 65536 => size,
        len => len,
    };
    let first = decode(le16(block, 4)?);
    if le32(block, 0)? == 0 {
        return (first == size).then_some(Place::Node.entries_at());
    }
    let second = decode(le16(block, DOT.saturating_add(4))?);
    let [_, length, ..] = le32(block, INFO.saturating_add(4))?.to_le_bytes();
    let is_root =
        first == DOT && second == size.checked_sub(DOT)? && le32(block, INFO)? == 0 && length == 8;
    is_root.then_some(Place::Root.entries_at())
}

/// The entries of a root or node, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    block: &'a [u8],
    at: usize,
    count: u16,
    limit: u16,
}

/// The place of entry `n` when the first is at `at`.
fn place(at: usize, n: u16) -> usize {
    usize::from(n).saturating_mul(ENTRY).saturating_add(at)
}

impl Index<'_> {
    /// Number of entries, at least 1.
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Entries there is room for.
    pub const fn limit(&self) -> u16 {
        self.limit
    }

    /// Entry `n`; the first has hash 0.
    pub fn entry(&self, n: u16) -> Result<IndexEntry, Fault> {
        let fault = bad(H::Position, u64::from(n), u64::from(self.count));
        if n >= self.count {
            return Err(fault);
        }
        let at = place(self.at, n);
        let hash = if n == 0 {
            0
        } else {
            le32(self.block, at).ok_or(fault)?
        };
        let block = le32(self.block, at.saturating_add(4)).ok_or(fault)?;
        Ok(IndexEntry {
            hash,
            block: FileBlock(block & BLOCK_MASK),
        })
    }

    /// The entry whose block a hash belongs to: the last one that is not above it.
    pub fn find(&self, hash: u32) -> u16 {
        let (mut low, mut high) = (1, self.count);
        while low < high {
            let middle = u16::midpoint(low, high);
            match self.entry(middle) {
                Ok(entry) if entry.hash <= hash => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        low.saturating_sub(1)
    }

    /// All entries in order.
    pub fn entries(&self) -> impl Iterator<Item = IndexEntry> + '_ {
        (0..self.count).map_while(|n| self.entry(n).ok())
    }
}

/// The entries of a root or node, to be changed.
#[derive(Debug)]
pub struct IndexMut<'a> {
    block: &'a mut [u8],
    at: usize,
    count: u16,
    limit: u16,
}

impl IndexMut<'_> {
    /// The same entries, to be read.
    pub fn view(&self) -> Index<'_> {
        Index {
            block: self.block,
            at: self.at,
            count: self.count,
            limit: self.limit,
        }
    }

    fn position(&self, n: u16) -> Fault {
        bad(H::Position, u64::from(n), u64::from(self.count))
    }

    fn set_count(&mut self, count: u16) -> Result<(), Fault> {
        let at = self.at.saturating_add(2);
        put_le16(self.block, at, count).ok_or(self.position(count))?;
        self.count = count;
        Ok(())
    }

    /// Changes the block entry `n` names.
    pub fn set_block(&mut self, n: u16, block: FileBlock) -> Result<(), Fault> {
        if n >= self.count {
            return Err(self.position(n));
        }
        let at = place(self.at, n).saturating_add(4);
        put_le32(self.block, at, block.get()).ok_or(self.position(n))
    }

    /// Inserts an entry after entry `n`. Its hash must keep the order.
    pub fn insert_after(&mut self, n: u16, entry: IndexEntry) -> Result<(), Fault> {
        let (count, limit) = (self.count, self.limit);
        if count >= limit {
            return Err(bad(H::NoRoom, u64::from(count), u64::from(limit)));
        }
        if n >= count {
            return Err(self.position(n));
        }
        let fault = self.position(n);
        let from = place(self.at, n.saturating_add(1));
        let end = place(self.at, count.saturating_add(1));
        let span = self.block.get_mut(from..end).ok_or(fault)?;
        let keep = span.len().saturating_sub(ENTRY);
        span.copy_within(..keep, ENTRY);
        put_le32(span, 0, entry.hash).ok_or(fault)?;
        put_le32(span, 4, entry.block.get()).ok_or(fault)?;
        self.set_count(count.saturating_add(1))
    }

    /// Copies `len` entries from entry `from` to entry `to` of another block (past its count).
    fn copy_entries(
        &self,
        from: u16,
        len: u16,
        other: &mut IndexMut<'_>,
        to: u16,
    ) -> Result<(), Fault> {
        let end = from.saturating_add(len);
        let there = to.saturating_add(len);
        if end > self.count || there > other.limit {
            return Err(self.position(end));
        }
        let source = self
            .block
            .get(place(self.at, from)..place(self.at, end))
            .ok_or(self.position(end))?;
        let fault = other.position(there);
        other
            .block
            .get_mut(place(other.at, to)..place(other.at, there))
            .ok_or(fault)?
            .copy_from_slice(source);
        Ok(())
    }

    /// Splits: moves the upper half of the entries to `other`, a block just made by
    /// [`IndexFormat::init_node`]. Gives the least hash of the moved ones, with which the parent
    /// is to name `other`, and how many stayed.
    pub fn split(&mut self, other: &mut IndexMut<'_>) -> Result<(u32, u16), Fault> {
        let stay = self.count / 2;
        let first = self.view().entry(stay)?;
        if stay == 0 || other.count != 1 {
            return Err(self.position(stay));
        }
        let rest = self.count.saturating_sub(stay).saturating_sub(1);
        other.set_block(0, first.block)?;
        self.copy_entries(stay.saturating_add(1), rest, other, 1)?;
        other.set_count(rest.saturating_add(1))?;
        self.set_count(stay)?;
        Ok((first.hash, stay))
    }
}

#[cfg(test)]
mod tests;
