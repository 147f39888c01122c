// SPDX-License-Identifier: GPL-2.0

//! The extent tree: changing it.
//!
//! A change is first decided ([`Tree::plan`]): that makes room in the leaf, splitting nodes where
//! needed, and leaves the tree's meaning alone. Then it is applied ([`Tree::apply`]), which changes one
//! leaf and, when its first entry changed, the keys above it. What fails in the middle of a step that
//! must be whole stops the journal: the half change never reaches the disk.

use super::edit::{decide, Change, Edit};
use super::tree::{Path, Tree};
use crate::core::alloc::Reservation;
use crate::core::cache::{Buffer, Kind};
use crate::core::error::{Error, Result};
use crate::core::journal::{Handle, Run};
use crate::core::patience::patiently;
use crate::core::volume::Volume;
use crate::format::extent::{Header, Index, Node, NodeMut, MAX_DEPTH};
use crate::format::fault::{ExtentFault, Fault};
use crate::format::units::{DiskBlock, FileBlock};

/// What a change of the tree needs besides the tree.
pub(super) struct Context<'a, 'h, 'j> {
    pub(super) volume: &'a Volume,
    pub(super) handle: &'h mut Handle<'j>,
    /// Space set aside for nodes; when it is used up, nodes take free space.
    pub(super) reserved: &'h mut Reservation,
}

impl Context<'_, '_, '_> {
    /// Stops the journal if a step failed that must not be left half done.
    pub(super) fn whole<T>(&self, step: Result<T>) -> Result<T> {
        if let (Err(error), Ok(journal)) = (&step, self.volume.journal()) {
            journal.abort(*error);
        }
        step
    }
}

/// A change that was decided, and the leaf it is for.
#[derive(Debug)]
pub(super) struct Plan {
    path: Path,
    edit: Edit,
}

/// Blocks a change of a tree of this depth may touch, the bitmaps and descriptors of new nodes
/// included: at each level below the root, a node is changed and may be split; the root may grow.
pub(super) const fn change_credits(depth: u16) -> u32 {
    // A split changes the new node, a bitmap and a descriptor, besides the node itself.
    4 * depth as u32 + 3
}

/// Blocks that taking out one extent may touch besides what frees the extent's own blocks: the nodes
/// on the path; each may go, and the root take over the entries of its last child.
pub(super) const fn remove_credits(depth: u16) -> u32 {
    3 * depth as u32
}

impl Tree {
    /// Decides a change and makes room for it. Nothing it means has changed when this fails.
    pub(super) fn plan(&mut self, cx: &mut Context<'_, '_, '_>, change: &Change) -> Result<Plan> {
        // Each round makes room at one level, the root's growth being one as well.
        for _ in 0..=2 * MAX_DEPTH {
            let path = self.walk(cx.volume, change.range().start)?;
            let (edit, header) =
                self.with_leaf(&path, |leaf| Ok((decide(&leaf, change)?, leaf.header())))?;
            if u32::from(header.entries) + u32::from(edit.growth()) <= u32::from(header.max) {
                return Ok(Plan { path, edit });
            }
            let at_end = edit.at.saturating_add(edit.old) >= header.entries;
            self.make_room(cx, &path, at_end, edit.growth())?;
        }
        Err(self.corrupt(
            None,
            Fault::Extent(ExtentFault::Depth, u64::from(MAX_DEPTH), 0),
        ))
    }

    /// Carries out what was decided; the tree must not have changed since.
    pub(super) fn apply(&mut self, cx: &mut Context<'_, '_, '_>, plan: &Plan) -> Result {
        let Plan { path, edit } = plan;
        let done = self.apply_edit(cx, path, edit);
        cx.whole(done)
    }

    /// Lets the root take over the entries of its only child when they fit.
    pub(super) fn shrink(&mut self, cx: &mut Context<'_, '_, '_>) -> Result {
        loop {
            let root = self.header()?;
            if root.depth == 0 || root.entries != 1 {
                return Ok(());
            }
            let path = self.walk(cx.volume, FileBlock(0))?;
            let Some(child) = path.buffer(1) else {
                return Ok(());
            };
            let entries = Node::new(&child.data()?)
                .map_err(|fault| self.corrupt(Some(child), fault))?
                .header()
                .entries;
            if entries > root.max {
                return Ok(());
            }
            let taken = self.take_over(cx, child);
            cx.whole(taken)?;
        }
    }

    fn take_over(&mut self, cx: &mut Context<'_, '_, '_>, child: &Buffer) -> Result {
        let mut contents = patiently(|| Ok(child.data()?.copy()?))?;
        let bytes = contents.get_mut().ok_or(Error::NoMemory)?;
        let shrunk = NodeMut::new(&mut self.root).and_then(|mut root| root.shrink(bytes));
        shrunk.map_err(|fault| self.corrupt(Some(child), fault))?;
        self.free_node(cx, child.block())
    }

    fn apply_edit(&mut self, cx: &mut Context<'_, '_, '_>, path: &Path, edit: &Edit) -> Result {
        let new = edit.new.as_slice();
        let (first, header) = self.change(cx.handle, path, path.leaf, |leaf| {
            let first = leaf.view().key(0).ok();
            let kept = new.len().min(usize::from(edit.old));
            for (at, extent) in (edit.at..).zip(new.iter().take(kept)) {
                leaf.set_extent(at, extent)?;
            }
            let end = edit
                .at
                .saturating_add(u16::try_from(kept).unwrap_or(u16::MAX));
            leaf.remove(end, edit.old.saturating_sub(end.saturating_sub(edit.at)))?;
            for (at, extent) in (end..).zip(new.iter().skip(kept)) {
                leaf.insert_extent(at, extent)?;
            }
            let now = leaf.view().key(0).ok();
            Ok((now.filter(|_| now != first), leaf.view().header()))
        })?;
        if header.entries == 0 {
            return self.drop_empty(cx, path);
        }
        match first {
            Some(first) => self.fix_keys(cx.handle, path, path.leaf, first),
            None => Ok(()),
        }
    }

    /// Changes the node at a level of a path.
    fn change<R>(
        &mut self,
        handle: &mut Handle<'_>,
        path: &Path,
        level: usize,
        change: impl FnOnce(&mut NodeMut<'_>) -> core::result::Result<R, Fault>,
    ) -> Result<R> {
        let Some(buffer) = path.buffer(level) else {
            let changed = NodeMut::new(&mut self.root).and_then(|mut node| change(&mut node));
            return changed.map_err(|fault| self.corrupt(None, fault));
        };
        let mut bytes = handle.write(buffer)?;
        let changed = NodeMut::new(&mut bytes).and_then(|mut node| change(&mut node));
        drop(bytes);
        changed.map_err(|fault| self.corrupt(Some(buffer), fault))
    }

    /// The first logical block of the node at `level` is now `key`: tells the nodes above.
    fn fix_keys(
        &mut self,
        handle: &mut Handle<'_>,
        path: &Path,
        level: usize,
        key: FileBlock,
    ) -> Result {
        for above in (0..level).rev() {
            let at = path.child_at(above);
            self.change(handle, path, above, |node| node.set_key(at, key))?;
            if at != 0 {
                break;
            }
        }
        Ok(())
    }

    /// The leaf has no entries any more: frees it and every node above that it leaves empty.
    fn drop_empty(&mut self, cx: &mut Context<'_, '_, '_>, path: &Path) -> Result {
        for level in (1..=path.leaf).rev() {
            if let Some(block) = path.buffer(level).map(Buffer::block) {
                self.free_node(cx, block)?;
            }
            let at = path.child_at(level - 1);
            let first = self.change(cx.handle, path, level - 1, |node| {
                node.remove(at, 1)?;
                let first = node.view().key(0).ok();
                // The root stays, as a leaf without entries.
                if first.is_none() && level == 1 {
                    node.make_empty_leaf()?;
                }
                Ok(first)
            })?;
            if let Some(first) = first {
                return if at == 0 {
                    self.fix_keys(cx.handle, path, level - 1, first)
                } else {
                    Ok(())
                };
            }
        }
        Ok(())
    }

    fn free_node(&mut self, cx: &mut Context<'_, '_, '_>, block: DiskBlock) -> Result {
        cx.handle.forget(block)?;
        cx.volume.allocator.free(cx.handle, Run::one(block))?;
        self.blocks = self.blocks.saturating_sub(1);
        Ok(())
    }

    /// Splits the lowest node of the path whose parent has room, or grows the tree at its root.
    fn make_room(
        &mut self,
        cx: &mut Context<'_, '_, '_>,
        path: &Path,
        at_end: bool,
        growth: u16,
    ) -> Result {
        // The leaf is full, for what is to come; a node above is when it takes no more entry.
        let (mut full, mut append) = (path.leaf, at_end);
        while let Some(parent) = full.checked_sub(1) {
            let header = self.header_at(path, parent)?;
            if header.entries < header.max {
                return self.split(cx, path, full, append, growth);
            }
            append &= path.child_at(parent).saturating_add(1) == header.entries;
            full = parent;
        }
        self.grow(cx)
    }

    fn header_at(&self, path: &Path, level: usize) -> Result<Header> {
        let bytes = self.bytes(path, level)?;
        Header::parse(&bytes).map_err(|fault| self.corrupt(path.buffer(level), fault))
    }

    /// A block for a node, near another, and its buffer.
    fn new_node(&mut self, cx: &mut Context<'_, '_, '_>, goal: DiskBlock) -> Result<Buffer> {
        let block =
            cx.volume
                .allocator
                .allocate_metadata(cx.handle, self.owner.ino, goal, cx.reserved)?;
        let buffer = cx.volume.fresh(block, Kind::ExtentNode(self.owner));
        let buffer = cx.whole(buffer)?;
        self.blocks = self.blocks.saturating_add(1);
        Ok(buffer)
    }

    /// Splits the node at a level, whose parent has room. In a node that is full because the file
    /// grows at its end, only the last entry moves: nodes of such a file stay full.
    fn split(
        &mut self,
        cx: &mut Context<'_, '_, '_>,
        path: &Path,
        level: usize,
        append: bool,
        growth: u16,
    ) -> Result {
        let Some(node) = path.buffer(level) else {
            return Err(Error::Invalid);
        };
        let entries = self.header_at(path, level)?.entries;
        let middle = if append {
            entries.saturating_sub(growth.max(1))
        } else {
            entries / 2
        };
        let new = self.new_node(cx, node.block())?;
        let done = self.split_to(cx, path, level, &new, middle.max(1));
        cx.whole(done)
    }

    /// Moves the entries from `middle` on to `new` and enters that in the parent.
    fn split_to(
        &mut self,
        cx: &mut Context<'_, '_, '_>,
        path: &Path,
        level: usize,
        new: &Buffer,
        middle: u16,
    ) -> Result {
        let corrupt = |fault| self.corrupt(path.buffer(level), fault);
        let first = {
            let old = self.bytes(path, level)?;
            let mut contents = cx.handle.write(new)?;
            contents.copy_from_slice(&old);
            let mut node = NodeMut::new(&mut contents).map_err(corrupt)?;
            node.remove(0, middle).map_err(corrupt)?;
            node.view().key(0).map_err(corrupt)?
        };
        self.change(cx.handle, path, level, |node| {
            let count = node.view().header().entries.saturating_sub(middle);
            node.remove(middle, count)
        })?;
        let entry = Index {
            lblk: first,
            child: new.block(),
        };
        let at = path.child_at(level - 1).saturating_add(1);
        self.change(cx.handle, path, level - 1, |parent| {
            parent.insert_index(at, &entry)
        })
    }

    /// Makes the tree one level deeper.
    fn grow(&mut self, cx: &mut Context<'_, '_, '_>) -> Result {
        let root = self.header()?;
        if root.depth >= MAX_DEPTH {
            return Err(Error::FileTooBig);
        }
        let goal = self.first_block()?;
        let node = self.new_node(cx, goal)?;
        let grown = self.grow_to(cx, &node);
        cx.whole(grown)
    }

    fn grow_to(&mut self, cx: &mut Context<'_, '_, '_>, node: &Buffer) -> Result {
        let mut contents = cx.handle.write(node)?;
        let grown = NodeMut::new(&mut self.root)
            .and_then(|mut root| root.grow(&mut contents, node.block()));
        drop(contents);
        grown.map_err(|fault| self.corrupt(None, fault))
    }

    /// The first block the root names; 0 if it names none.
    fn first_block(&self) -> Result<DiskBlock> {
        let root = Node::new(&self.root).map_err(|fault| self.corrupt(None, fault))?;
        let extent = root.extent(0).map(|extent| extent.pblk);
        Ok(extent
            .or_else(|_| root.index(0).map(|index| index.child))
            .unwrap_or_default())
    }
}
