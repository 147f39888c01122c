// SPDX-License-Identifier: GPL-2.0

//! The extent tree: walking it.
//!
//! A node below the root was checked as such when it was read into the cache (checksum, order and
//! bounds of its entries). A walk checks what only it can know: that a child is what its parent says
//! (one level lower, beginning and ending where the parent has it) and that no block it names is one of
//! the file system's own. The depth falls with every step, so a walk ends whatever the disk says.

use super::status::Piece;
use super::{BlockRange, State};
use crate::core::cache::{Buffer, Kind, Owner};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Run;
use crate::core::platform::Block;
use crate::core::volume::Volume;
use crate::format::extent::{self, Expect, Extent, Header, Node, NodeMut, MAX_DEPTH};
use crate::format::fault::{ExtentFault, Fault};
use crate::format::inode::I_BLOCK_LEN;
use crate::format::units::{DiskBlock, FileBlock};
use core::ops::Deref;

/// Levels a tree can have, the root's among them.
const LEVELS: usize = MAX_DEPTH as usize + 1;

/// The bytes of a node.
pub(super) enum Bytes {
    /// The root.
    Root([u8; I_BLOCK_LEN]),
    /// A block, as it was when it was looked at.
    Block(Block),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Root(bytes) => bytes,
            Self::Block(block) => block,
        }
    }
}

/// The way from the root to the leaf for a logical block.
#[derive(Debug)]
pub(super) struct Path {
    /// Which child was taken at each level; the leaf's level has none.
    at: [u16; LEVELS],
    /// The nodes below the root.
    nodes: [Option<Buffer>; LEVELS],
    /// The level of the leaf; the root's is 0.
    pub(super) leaf: usize,
    /// The first block past what the leaf may cover.
    pub(super) end: FileBlock,
}

impl Path {
    /// Which child was taken at a level.
    pub(super) fn child_at(&self, level: usize) -> u16 {
        self.at.get(level).copied().unwrap_or(0)
    }

    /// The block of the node at a level; `None` for the root.
    pub(super) fn buffer(&self, level: usize) -> Option<&Buffer> {
        self.nodes.get(level)?.as_ref()
    }

    /// Whether it leads to the very first leaf.
    fn is_leftmost(&self) -> bool {
        self.at.iter().take(self.leaf).all(|at| *at == 0)
    }
}

/// The extent tree of one inode. The owner's lock protects it.
#[derive(Debug)]
pub(super) struct Tree {
    /// Whose it is.
    pub(super) owner: Owner,
    /// The node in the inode.
    pub(super) root: [u8; I_BLOCK_LEN],
    /// Blocks the inode has: data, nodes of this tree, and what else the inode counts.
    pub(super) blocks: u64,
}

impl Tree {
    /// The tree below a root, which is checked.
    pub(super) fn new(owner: Owner, root: [u8; I_BLOCK_LEN], blocks: u64) -> Result<Self> {
        // What the entries name is checked when they are used.
        let checked = extent::check(&root, &Expect::ROOT, |_, _| true);
        checked.map_err(|fault| Error::Corrupt(Place::inode(owner.ino), fault))?;
        Ok(Self {
            owner,
            root,
            blocks,
        })
    }

    /// A root with nothing in it.
    pub(super) fn empty_root() -> [u8; I_BLOCK_LEN] {
        let mut root = [0; I_BLOCK_LEN];
        let made = NodeMut::init(&mut root, 0).is_ok();
        debug_assert!(made);
        root
    }

    /// The root's header.
    pub(super) fn header(&self) -> Result<Header> {
        Header::parse(&self.root).map_err(|fault| self.corrupt(None, fault))
    }

    /// Something is wrong in a node.
    pub(super) fn corrupt(&self, buffer: Option<&Buffer>, fault: Fault) -> Error {
        let block = buffer.map_or(DiskBlock(0), Buffer::block);
        Error::Corrupt(Place::new(self.owner.ino, block), fault)
    }

    /// The way to the leaf that covers `at`.
    pub(super) fn walk(&self, volume: &Volume, at: FileBlock) -> Result<Path> {
        let header = self.header()?;
        let leaf = usize::from(header.depth);
        let mut path = Path {
            at: [0; LEVELS],
            nodes: [const { None }; LEVELS],
            leaf,
            end: BlockRange::MAX_END,
        };
        for level in 0..leaf {
            let parent = path.buffer(level);
            let (position, child, expect) = {
                let bytes = self.bytes(&path, level)?;
                let node = Node::new(&bytes).map_err(|fault| self.corrupt(parent, fault))?;
                node.child_of(at)
                    .map_err(|fault| self.corrupt(parent, fault))?
            };
            self.check_run(volume, Run::one(child.child), parent)?;
            let buffer = volume.read(child.child, Kind::ExtentNode(self.owner))?;
            let expect = Expect {
                end: expect.end.or(Some(path.end)),
                ..expect
            };
            let data = buffer.data()?;
            let below = Node::new(&data).and_then(|node| fits(&node, &expect));
            below.map_err(|fault| self.corrupt(Some(&buffer), fault))?;
            path.end = expect.end.unwrap_or(path.end);
            if let (Some(at), Some(node)) = (path.at.get_mut(level), path.nodes.get_mut(level + 1))
            {
                (*at, *node) = (position, Some(buffer));
            }
        }
        Ok(path)
    }

    /// The bytes of the node at a level of a path.
    pub(super) fn bytes(&self, path: &Path, level: usize) -> Result<Bytes> {
        match path.buffer(level) {
            Some(buffer) => Ok(Bytes::Block(buffer.data()?)),
            None => Ok(Bytes::Root(self.root)),
        }
    }

    /// Looks at the leaf at the end of a path.
    pub(super) fn with_leaf<R>(
        &self,
        path: &Path,
        look: impl FnOnce(Node<'_>) -> core::result::Result<R, Fault>,
    ) -> Result<R> {
        let bytes = self.bytes(path, path.leaf)?;
        let looked = Node::new(&bytes).and_then(look);
        looked.map_err(|fault| self.corrupt(path.buffer(path.leaf), fault))
    }

    /// What the tree says of `at`: the extent it is in, or the hole, of which the end may really lie
    /// further on.
    pub(super) fn lookup(&self, volume: &Volume, at: FileBlock) -> Result<Piece> {
        let path = self.walk(volume, at)?;
        let (before, next) = self.with_leaf(&path, |leaf| {
            let position = leaf.find(at);
            let before = position.map(|position| leaf.extent(position)).transpose()?;
            let next = leaf
                .extent(position.map_or(0, |position| position.saturating_add(1)))
                .ok();
            Ok((before, next))
        })?;
        if let Some(extent) = before.filter(|extent| extent.contains(at)) {
            self.check_run(
                volume,
                Run {
                    start: extent.pblk,
                    len: u32::from(extent.len),
                },
                path.buffer(path.leaf),
            )?;
            return Ok(piece_of(&extent));
        }
        let first = if path.is_leftmost() { FileBlock(0) } else { at };
        let start = before.map_or(first, |extent| extent.end());
        let end = next.map_or(path.end, |extent| extent.lblk);
        if !(start <= at && at < end) {
            let fault = Fault::Extent(
                ExtentFault::Order,
                u64::from(end.get()),
                u64::from(at.get()),
            );
            return Err(self.corrupt(path.buffer(path.leaf), fault));
        }
        Ok(Piece::new(BlockRange::between(start, end), State::Hole))
    }

    /// The last extent that begins before `at`.
    pub(super) fn before(&self, volume: &Volume, at: FileBlock) -> Result<Option<Extent>> {
        let Some(at) = at.checked_sub(1) else {
            return Ok(None);
        };
        let path = self.walk(volume, at)?;
        self.with_leaf(&path, |leaf| {
            leaf.find(at)
                .map(|position| leaf.extent(position))
                .transpose()
        })
    }

    /// The last extent with a block inside `range`.
    pub(super) fn last_in(&self, volume: &Volume, range: BlockRange) -> Result<Option<Extent>> {
        let extent = self.before(volume, range.end)?;
        Ok(extent.filter(|extent| extent.end() > range.start))
    }

    /// Refuses blocks outside the file system, or that are its own metadata.
    pub(super) fn check_run(&self, volume: &Volume, run: Run, buffer: Option<&Buffer>) -> Result {
        if volume.allocator.is_data(run) {
            return Ok(());
        }
        let fault = Fault::Extent(ExtentFault::Physical, run.start.get(), u64::from(run.len));
        Err(self.corrupt(buffer, fault))
    }
}

/// An extent as a piece of the status.
pub(super) fn piece_of(extent: &Extent) -> Piece {
    let state = if extent.unwritten {
        State::Unwritten(extent.pblk)
    } else {
        State::Written(extent.pblk)
    };
    Piece {
        range: BlockRange::new(extent.lblk, u32::from(extent.len)),
        state,
    }
}

/// Whether a node is what its parent says: its depth, its first and, its entries being in order, its
/// last entry.
fn fits(node: &Node<'_>, expect: &Expect) -> core::result::Result<(), Fault> {
    let header = node.header();
    if let Some(want) = expect.depth.filter(|want| *want != header.depth) {
        return Err(Fault::Extent(
            ExtentFault::Depth,
            u64::from(header.depth),
            u64::from(want),
        ));
    }
    let Some(last) = header.entries.checked_sub(1) else {
        return Ok(());
    };
    let (first, bound) = (node.key(0)?, expect.end.unwrap_or(BlockRange::MAX_END));
    let outside = |at: FileBlock, bound: FileBlock| {
        Err(Fault::Extent(
            ExtentFault::OutsideParent,
            u64::from(at.get()),
            u64::from(bound.get()),
        ))
    };
    if let Some(want) = expect.first.filter(|want| *want != first) {
        return outside(first, want);
    }
    let end = if node.is_leaf() {
        node.extent(last)?.end()
    } else {
        FileBlock(node.key(last)?.get().saturating_add(1))
    };
    if end > bound {
        return outside(end, bound);
    }
    Ok(())
}
