// SPDX-License-Identifier: GPL-2.0

//! The hash index: from a name's hash to the one block that can hold the name.

use super::{Blocks, Directory, Found, New, Patience};
use crate::core::error::{Error, Result};
use crate::format::fault::{Fault, HtreeFault};
use crate::format::hash::Hasher;
use crate::format::htree::{Index, IndexFormat, Place};
use crate::format::units::FileBlock;

/// Levels of index blocks: the root and one of nodes.
pub(super) const LEVELS: usize = 2;

/// A block of the index on the way to a leaf.
#[derive(Clone, Debug)]
pub(super) struct Step<T> {
    pub(super) buffer: T,
    pub(super) block: FileBlock,
    pub(super) place: Place,
    /// The entry that the way goes through.
    pub(super) at: u16,
    /// How many entries there are.
    pub(super) count: u16,
    /// How many there can be.
    pub(super) limit: u16,
}

/// The way from the root to a leaf.
#[derive(Clone, Debug)]
pub(super) struct Path<T> {
    pub(super) root: Step<T>,
    /// The node below the root, in an index of two levels.
    pub(super) node: Option<Step<T>>,
    leaf: FileBlock,
}

impl<T> Path<T> {
    /// The block of names that it leads to.
    pub(super) fn leaf(&self) -> FileBlock {
        self.leaf
    }

    /// The block of the index that names the leaf.
    pub(super) fn bottom(&self) -> &Step<T> {
        self.node.as_ref().unwrap_or(&self.root)
    }
}

impl<T> Step<T> {
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.limit
    }
}

impl<B: Blocks> Directory<B> {
    /// What blocks of this directory's index look like now.
    pub(super) fn index_format(&self) -> IndexFormat {
        IndexFormat {
            dir: self.rules.format,
            blocks: self.len,
        }
    }

    /// A fault of the index; `a` and `b` are its operands.
    pub(super) fn bad_index(&self, what: HtreeFault, a: u32, b: u32) -> Error {
        self.corrupt_inode(Fault::Htree(what, u64::from(a), u64::from(b)))
    }

    /// The hash function that the root names, if the whole root is good.
    pub(super) fn hasher_of_root(&self) -> Result<Hasher> {
        let buffer = self.blocks.read(FileBlock(0))?;
        let data = self.blocks.data(&buffer)?;
        let root = self.index_format().root(&data);
        root.map_err(|fault| self.corrupt(&buffer, fault))?;
        Ok(self.root(&buffer)?.0)
    }

    /// The hash function, and whether there is a level of nodes below the root.
    fn root(&self, buffer: &B::Buffer) -> Result<(Hasher, bool)> {
        let data = self.blocks.data(buffer)?;
        let info = self.index_format().info(&data);
        let info = info.map_err(|fault| self.corrupt(buffer, fault))?;
        let signedness = info.signedness.unwrap_or(self.rules.hasher.signedness);
        Ok((
            Hasher {
                version: info.version,
                signedness,
                ..self.rules.hasher
            },
            info.levels > 0,
        ))
    }

    /// The block that entry `at` of an index block names, which must not be on the way there.
    fn child(
        &self,
        buffer: &B::Buffer,
        index: &Index<'_>,
        at: u16,
        own: FileBlock,
    ) -> Result<FileBlock> {
        let entry = index
            .entry(at)
            .map_err(|fault| self.corrupt(buffer, fault))?;
        let block = entry.block;
        if block == FileBlock(0) || block == own || block.get() >= self.len {
            let fault = Fault::Htree(
                HtreeFault::Block,
                u64::from(block.get()),
                u64::from(self.len),
            );
            return Err(self.corrupt(buffer, fault));
        }
        Ok(block)
    }

    /// One step: the entry that `choose` takes, and the block it names.
    fn step(
        &self,
        buffer: B::Buffer,
        block: FileBlock,
        choose: impl FnOnce(&Index<'_>) -> u16,
    ) -> Result<(Step<B::Buffer>, FileBlock)> {
        let place = if block == FileBlock(0) {
            Place::Root
        } else {
            Place::Node
        };
        let data = self.blocks.data(&buffer)?;
        let index = self
            .index_format()
            .view(&data, place)
            .map_err(|fault| self.corrupt(&buffer, fault))?;
        let at = choose(&index);
        let child = self.child(&buffer, &index, at, block)?;
        let (count, limit) = (index.count(), index.limit());
        Ok((
            Step {
                buffer,
                block,
                place,
                at,
                count,
                limit,
            },
            child,
        ))
    }

    /// Looks at every entry of an index block: before it is changed, not at every lookup.
    pub(super) fn check_step(&self, step: &Step<B::Buffer>) -> Result {
        let data = self.blocks.data(&step.buffer)?;
        let checked = match step.place {
            Place::Root => self.index_format().root(&data).map(drop),
            Place::Node => self.index_format().node(&data).map(drop),
        };
        checked.map_err(|fault| self.corrupt(&step.buffer, fault))
    }

    /// The way to the first leaf that can hold a hash.
    pub(super) fn probe(&self, hash: u32) -> Result<Path<B::Buffer>> {
        let root = self.blocks.read(FileBlock(0))?;
        let (_, has_nodes) = self.root(&root)?;
        self.descend(root, has_nodes, hash)
    }

    fn descend(&self, root: B::Buffer, has_nodes: bool, hash: u32) -> Result<Path<B::Buffer>> {
        let (root, child) = self.step(root, FileBlock(0), |index| index.find(hash))?;
        if !has_nodes {
            return Ok(Path {
                root,
                node: None,
                leaf: child,
            });
        }
        let (node, leaf) = self.step(self.blocks.read(child)?, child, |index| index.find(hash))?;
        Ok(Path {
            root,
            node: Some(node),
            leaf,
        })
    }

    /// The way to the leaf of a name, and the name's hash.
    pub(super) fn probe_name(&self, name: &[u8]) -> Result<(Path<B::Buffer>, Hasher, u32)> {
        let root = self.blocks.read(FileBlock(0))?;
        let (hasher, has_nodes) = self.root(&root)?;
        let hash = hasher.hash(name).major;
        Ok((self.descend(root, has_nodes, hash)?, hasher, hash))
    }

    /// The hash from which the leaf after this one holds names; `None` after the last.
    fn next_hash(&self, path: &Path<B::Buffer>) -> Result<Option<u32>> {
        for step in path.node.iter().chain([&path.root]) {
            let next = step.at.saturating_add(1);
            if next < step.count {
                let data = self.blocks.data(&step.buffer)?;
                let index = self.index_format().view(&data, step.place);
                let entry = index.and_then(|index| index.entry(next));
                let entry = entry.map_err(|fault| self.corrupt(&step.buffer, fault))?;
                return Ok(Some(entry.hash));
            }
        }
        Ok(None)
    }

    /// Moves on to the next leaf if there is one and `wanted` likes its first hash, which is
    /// returned.
    pub(super) fn next_leaf(
        &self,
        path: &mut Path<B::Buffer>,
        wanted: impl FnOnce(u32) -> bool,
    ) -> Result<Option<u32>> {
        let Some(hash) = self.next_hash(path)?.filter(|hash| wanted(*hash)) else {
            return Ok(None);
        };
        if let Some(node) = &mut path.node {
            if node.at.saturating_add(1) < node.count {
                node.at = node.at.saturating_add(1);
                path.leaf = self.leaf_of(node)?;
                return Ok(Some(hash));
            }
        }
        path.root.at = path.root.at.saturating_add(1);
        let child = self.leaf_of(&path.root)?;
        path.leaf = match &mut path.node {
            None => child,
            Some(node) => {
                let (step, leaf) = self.step(self.blocks.read(child)?, child, |_| 0)?;
                *node = step;
                leaf
            }
        };
        Ok(Some(hash))
    }

    /// What the entry of a step names.
    fn leaf_of(&self, step: &Step<B::Buffer>) -> Result<FileBlock> {
        let data = self.blocks.data(&step.buffer)?;
        let index = self.index_format().view(&data, step.place);
        let index = index.map_err(|fault| self.corrupt(&step.buffer, fault))?;
        self.child(&step.buffer, &index, step.at, step.block)
    }

    /// Searches the leaf of the name's hash, and those that continue it.
    pub(super) fn lookup_indexed(&self, name: &[u8], patience: Patience) -> Result<Option<Found>> {
        let (mut path, _, hash) = self.probe_name(name)?;
        for _ in 0..self.len {
            patience.go_on()?;
            let block = path.leaf();
            let buffer = self.blocks.read(block)?;
            let found = self.search(block, &buffer, name)?;
            if found.is_some()
                || self
                    .next_leaf(&mut path, |next| next & !1 == hash)?
                    .is_none()
            {
                return Ok(found);
            }
        }
        Err(self.bad_index(HtreeFault::Block, path.leaf().get(), self.len))
    }

    /// Adds a name to its leaf; makes room first if need be.
    ///
    /// Every change of the tree is complete in itself: if a later one fails, the directory is a good
    /// one without the name.
    pub(super) fn insert_indexed(&mut self, handle: &mut B::Handle<'_>, new: &New<'_>) -> Result {
        // Once to make the index deeper, once to split a node, once to insert.
        for _ in 0..=LEVELS {
            let (path, hasher, hash) = self.probe_name(new.name)?;
            let leaf = self.blocks.read(path.leaf())?;
            if let Some(at) = self.find_room(&leaf, new.name)? {
                return self.put_at(handle, &leaf, at, new);
            }
            if !path.bottom().is_full() {
                return self.split_leaf(handle, &path, leaf, &hasher, hash, new);
            }
            match &path.node {
                None => self.grow_index(handle, &path.root)?,
                // The index cannot become larger.
                Some(_) if path.root.is_full() => return Err(Error::NoSpace),
                Some(node) => self.split_node(handle, &path.root, node)?,
            }
        }
        Err(self.bad_index(HtreeFault::NoRoom, self.len, self.len))
    }
}
