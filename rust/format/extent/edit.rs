// SPDX-License-Identifier: GPL-2.0

//! Changing the nodes of an extent tree.

use super::{capacity, place, Extent, Header, Index, Node, ENTRY, HEADER, MAGIC, MAX_DEPTH};
use crate::format::{
    bytes::{put_le16, put_le32},
    fault::{ExtentFault as E, Fault, Record},
    units::{DiskBlock, FileBlock},
};

/// A node to be changed. Every operation keeps the header right; none touches a checksum.
#[derive(Debug)]
pub struct NodeMut<'a> {
    bytes: &'a mut [u8],
    header: Header,
}

impl<'a> NodeMut<'a> {
    /// Views a node that was checked when it was read.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, Fault> {
        let header = Header::parse(bytes)?;
        Ok(Self { bytes, header })
    }

    /// Makes an empty node of all of `bytes` (the root's 60, or a block).
    pub fn init(bytes: &'a mut [u8], depth: u16) -> Result<Self, Fault> {
        let max = capacity(bytes.len());
        let short = Fault::short(
            Record::ExtentNode,
            HEADER.saturating_add(ENTRY),
            bytes.len(),
        );
        if max == 0 || depth > MAX_DEPTH {
            return Err(short);
        }
        bytes.fill(0);
        put_le16(bytes, 0, MAGIC).ok_or(short)?;
        let header = Header {
            entries: 0,
            max,
            depth,
        };
        let mut node = Self { bytes, header };
        node.set_header(header)?;
        Ok(node)
    }

    /// The same node, to be read.
    pub fn view(&self) -> Node<'_> {
        Node {
            bytes: self.bytes,
            header: self.header,
        }
    }

    fn set_header(&mut self, header: Header) -> Result<(), Fault> {
        let short = Fault::short(Record::ExtentNode, HEADER, self.bytes.len());
        put_le16(self.bytes, 2, header.entries).ok_or(short)?;
        put_le16(self.bytes, 4, header.max).ok_or(short)?;
        put_le16(self.bytes, 6, header.depth).ok_or(short)?;
        self.header = header;
        Ok(())
    }

    fn set_entries(&mut self, entries: u16) -> Result<(), Fault> {
        self.set_header(Header {
            entries,
            ..self.header
        })
    }

    fn position(&self, at: u16) -> Fault {
        self.view().position(at)
    }

    /// The bytes of entries `from .. to`, `to` at most the room there is.
    fn span(&mut self, from: u16, to: u16) -> Result<&mut [u8], Fault> {
        let fault = self.position(to);
        self.bytes.get_mut(place(from)..place(to)).ok_or(fault)
    }

    fn open_gap(&mut self, at: u16, entry: [u8; ENTRY]) -> Result<(), Fault> {
        let Header { entries, max, .. } = self.header;
        if entries >= max {
            return Err(Fault::Extent(E::NoRoom, u64::from(entries), u64::from(max)));
        }
        if at > entries {
            return Err(self.position(at));
        }
        let more = entries.saturating_add(1);
        let span = self.span(at, more)?;
        let keep = span.len().saturating_sub(ENTRY);
        span.copy_within(..keep, ENTRY);
        for (to, from) in span.iter_mut().zip(entry) {
            *to = from;
        }
        self.set_entries(more)
    }

    fn want_leaf(&self, leaf: bool) -> Result<(), Fault> {
        if leaf == (self.header.depth == 0) {
            return Ok(());
        }
        Err(Fault::Extent(E::Depth, u64::from(self.header.depth), 0))
    }

    /// Inserts an extent before entry `at` of a leaf.
    pub fn insert_extent(&mut self, at: u16, extent: &Extent) -> Result<(), Fault> {
        self.want_leaf(true)?;
        self.open_gap(at, extent.store()?)
    }

    /// Inserts an entry before entry `at` of an index node.
    pub fn insert_index(&mut self, at: u16, entry: &Index) -> Result<(), Fault> {
        self.want_leaf(false)?;
        self.open_gap(at, entry.store()?)
    }

    /// Puts an extent in the place of entry `at` of a leaf.
    pub fn set_extent(&mut self, at: u16, extent: &Extent) -> Result<(), Fault> {
        self.want_leaf(true)?;
        let entry = extent.store()?;
        if at >= self.header.entries {
            return Err(self.position(at));
        }
        self.span(at, at.saturating_add(1))?.copy_from_slice(&entry);
        Ok(())
    }

    /// Changes the first logical block of entry `at`, whatever it is.
    pub fn set_key(&mut self, at: u16, lblk: FileBlock) -> Result<(), Fault> {
        if at >= self.header.entries {
            return Err(self.position(at));
        }
        put_le32(self.bytes, place(at), lblk.get()).ok_or(self.position(at))
    }

    /// Removes the `count` entries from entry `at`.
    pub fn remove(&mut self, at: u16, count: u16) -> Result<(), Fault> {
        let entries = self.header.entries;
        let end = at
            .checked_add(count)
            .filter(|end| *end <= entries)
            .ok_or(self.position(at))?;
        let gap = usize::from(count).saturating_mul(ENTRY);
        let span = self.span(at, entries)?;
        span.copy_within(gap.., 0);
        let left = span.len().saturating_sub(gap);
        span.get_mut(left..).unwrap_or(&mut []).fill(0);
        self.set_entries(entries.saturating_sub(end.saturating_sub(at)))
    }

    /// Moves the entries from entry `at` on to the end of `other`, a node of the same depth.
    pub fn move_tail(&mut self, at: u16, other: &mut NodeMut<'_>) -> Result<(), Fault> {
        let entries = self.header.entries;
        let count = entries.checked_sub(at).ok_or(self.position(at))?;
        let Header {
            entries: there,
            max,
            depth,
        } = other.header;
        if depth != self.header.depth {
            return Err(Fault::Extent(
                E::Depth,
                u64::from(depth),
                u64::from(self.header.depth),
            ));
        }
        let end = there.saturating_add(count);
        if end > max {
            return Err(Fault::Extent(E::NoRoom, u64::from(there), u64::from(max)));
        }
        let from = self.span(at, entries)?;
        other.span(there, end)?.copy_from_slice(from);
        from.fill(0);
        other.set_entries(end)?;
        self.set_entries(at)
    }

    /// Makes the tree one level deeper: all of this root's entries go to `block` (which becomes a
    /// node like it), and the root then holds one index, to `child`, the place of `block`.
    pub fn grow(&mut self, block: &mut [u8], child: DiskBlock) -> Result<(), Fault> {
        let depth = self.header.depth;
        let deeper = depth.saturating_add(1);
        if deeper > MAX_DEPTH {
            return Err(Fault::Extent(
                E::Depth,
                u64::from(deeper),
                u64::from(MAX_DEPTH),
            ));
        }
        let first = self.view().key(0).unwrap_or(FileBlock(0));
        let mut node = NodeMut::init(block, depth)?;
        self.move_tail(0, &mut node)?;
        let header = Header {
            depth: deeper,
            ..self.header
        };
        self.set_header(header)?;
        self.insert_index(0, &Index { lblk: first, child })
    }

    /// Takes over the entries of the only child of this root, which then is one level less deep.
    /// `block` is the child's contents; its block is to be freed by the caller.
    pub fn shrink(&mut self, block: &mut [u8]) -> Result<(), Fault> {
        let mut node = NodeMut::new(block)?;
        let (entries, depth) = (node.header.entries, node.header.depth);
        if self.header.entries != 1 || self.header.depth != depth.saturating_add(1) {
            return Err(Fault::Extent(
                E::Depth,
                u64::from(depth),
                u64::from(self.header.depth),
            ));
        }
        if entries > self.header.max {
            let (have, max) = (u64::from(entries), u64::from(self.header.max));
            return Err(Fault::Extent(E::NoRoom, have, max));
        }
        self.remove(0, 1)?;
        self.set_header(Header {
            entries: 0,
            depth,
            ..self.header
        })?;
        node.move_tail(0, self)
    }

    /// An empty tree is a leaf: makes a root without entries one again.
    pub fn make_empty_leaf(&mut self) -> Result<(), Fault> {
        if self.header.entries != 0 {
            return Err(Fault::Extent(
                E::Position,
                0,
                u64::from(self.header.entries),
            ));
        }
        self.set_header(Header {
            depth: 0,
            ..self.header
        })
    }
}
