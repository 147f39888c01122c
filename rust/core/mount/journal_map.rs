// SPDX-License-Identifier: GPL-2.0

//! Where the journal's inode lies on the device. It is mapped once, before recovery, when nothing
//! else of the file system may be read through the cache yet: so this reads from the device.

use super::open::Opened;
use crate::core::error::{Error, Place, Result};
use crate::core::journal::{LogExtent, Run};
use crate::core::platform::{log, Block, Device, Level, Vec, GFP};
use crate::core::sort;
use crate::format::extent::{self, Expect, Node};
use crate::format::fault::{ExtentFault, Fault, InodeFault, JournalFault};
use crate::format::group_desc::GroupDesc;
use crate::format::inode::{InodeFields, InodeFlags, InodeKind};
use crate::format::units::{DiskBlock, Ino, LogBlock};

/// The extents of the journal inode `ino`, in order and without a hole up to its size.
pub(super) fn map(device: &Device, opened: &Opened, ino: Ino) -> Result<Vec<LogExtent>> {
    let here = Place::inode(ino);
    let corrupt = |fault| Error::Corrupt(here, fault);
    let fields = read_inode(device, opened, ino)?;
    let kind = fields.kind().map_err(corrupt)?;
    if kind != InodeKind::Regular || fields.links == 0 {
        return Err(corrupt(Fault::Inode(
            InodeFault::Mode,
            u64::from(fields.mode),
            0,
        )));
    }
    if !fields.flags.has(InodeFlags::EXTENTS) {
        log(
            Level::Error,
            device,
            format_args!("inode #{ino}: a journal without extents is not supported"),
        );
        return Err(Error::Unsupported);
    }
    let geometry = &opened.superblock.geometry;
    let mut walk = Walk {
        device,
        opened,
        ino,
        fields: &fields,
        extents: Vec::new(),
        next: 0,
    };
    walk.node(&fields.i_block, &Expect::ROOT)?;
    let len = u32::try_from(fields.size >> geometry.block_bits()).unwrap_or(0);
    if walk.next < len || len == 0 {
        return Err(corrupt(Fault::Journal(
            JournalFault::Length,
            u64::from(walk.next),
            u64::from(len),
        )));
    }
    let mut extents = walk.extents;
    // What lies behind the size is not the journal's.
    extents.retain(|extent| {
        let room = len.saturating_sub(extent.first.get());
        extent.run.len = extent.run.len.min(room);
        room > 0
    });
    if let Some(block) = first_shared(&extents)? {
        return Err(corrupt(Fault::Journal(
            JournalFault::Shared,
            block.get(),
            0,
        )));
    }
    Ok(extents)
}

/// A block that is in the journal twice: it would overwrite itself.
fn first_shared(extents: &[LogExtent]) -> Result<Option<DiskBlock>> {
    let mut runs = Vec::with_capacity(extents.len(), GFP)?;
    for extent in extents {
        runs.push(extent.run, GFP)?;
    }
    sort::by(&mut runs, |a: &Run, b| a.start < b.start);
    let pairs = runs.iter().zip(runs.iter().skip(1));
    let mut shared = pairs.filter(|(run, next)| {
        let apart = next.start.distance_from(run.start).unwrap_or(0);
        apart < u64::from(run.len)
    });
    Ok(shared.next().map(|(_, next)| next.start))
}

fn read(device: &Device, block: DiskBlock) -> Result<Block> {
    device
        .read_block(block.get())
        .map_err(|error| Error::at_block(error, block))
}

/// Reads the record of an inode straight from the device, with all checks.
fn read_inode(device: &Device, opened: &Opened, ino: Ino) -> Result<InodeFields> {
    let here = Place::inode(ino);
    let corrupt = |fault| Error::Corrupt(here, fault);
    let geometry = &opened.superblock.geometry;
    let place = geometry.inode_place(ino).map_err(corrupt)?;
    let (block, offset) = geometry.descriptor_place(place.group).map_err(corrupt)?;
    let data = read(device, block)?;
    let end = offset.saturating_add(usize::from(geometry.desc_size()));
    let raw = data.get(offset..end).unwrap_or(&[]);
    let bad_group = |fault| Error::Corrupt(Place::block(block), fault);
    opened
        .checksums
        .verify_group_desc(place.group, raw)
        .map_err(bad_group)?;
    let group = GroupDesc::parse(raw).map_err(bad_group)?;
    group.check(place.group, geometry).map_err(bad_group)?;
    let table = group
        .inode_table
        .checked_add(u64::from(place.table_block))
        .unwrap_or(DiskBlock(u64::MAX));
    let data = read(device, table)?;
    let end = place
        .offset
        .saturating_add(usize::from(geometry.inode_size()));
    let raw = data.get(place.offset..end).unwrap_or(&[]);
    opened.checksums.verify_inode(ino, raw).map_err(corrupt)?;
    InodeFields::decode(raw, geometry).map_err(corrupt)
}

/// A walk over the journal's extent tree.
struct Walk<'a> {
    device: &'a Device,
    opened: &'a Opened,
    ino: Ino,
    fields: &'a InodeFields,
    extents: Vec<LogExtent>,
    /// The logical block that comes next: the journal has no holes.
    next: u32,
}

impl Walk<'_> {
    /// Takes a node and everything below it. The depth shrinks with each level, so this ends.
    fn node(&mut self, bytes: &[u8], expect: &Expect) -> Result {
        let ino = self.ino;
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        let geometry = &self.opened.superblock.geometry;
        extent::check(bytes, expect, |block, len| geometry.has_blocks(block, len))
            .map_err(corrupt)?;
        let node = Node::new(bytes).map_err(corrupt)?;
        if node.is_leaf() {
            return self.leaf(&node);
        }
        for at in 0..node.header().entries {
            let entry = node.index(at).map_err(corrupt)?;
            let expect = node.expect_child(at).map_err(corrupt)?;
            let block = read(self.device, entry.child)?;
            let seed = self
                .opened
                .checksums
                .inode_seed(ino, self.fields.generation);
            let bad_node = |fault| {
                Error::Corrupt(
                    Place {
                        ino,
                        block: entry.child,
                    },
                    fault,
                )
            };
            self.opened
                .checksums
                .verify_extent_block(seed, &block)
                .map_err(bad_node)?;
            self.node(&block, &expect)?;
        }
        Ok(())
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result {
        if node.header().entries == 0 {
            // No journal has one; any number of entries of the parents could name the same.
            let fault = Fault::Extent(ExtentFault::EmptyIndex, 0, 0);
            return Err(Error::Corrupt(Place::inode(self.ino), fault));
        }
        for extent in node.extents() {
            if extent.lblk.get() != self.next || extent.unwritten {
                let fault = Fault::Journal(
                    JournalFault::Length,
                    u64::from(self.next),
                    u64::from(extent.lblk.get()),
                );
                return Err(Error::Corrupt(Place::inode(self.ino), fault));
            }
            let run = Run {
                start: extent.pblk,
                len: u32::from(extent.len),
            };
            self.extents.push(
                LogExtent {
                    first: LogBlock(self.next),
                    run,
                },
                GFP,
            )?;
            self.next = self.next.saturating_add(run.len);
        }
        Ok(())
    }
}
