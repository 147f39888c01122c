// SPDX-License-Identifier: GPL-2.0

//! The group table: what every group's descriptor says, and what is known of it in memory.
//!
//! Lock: a group's `state` ("rext4_group") comes after a handle's start and before the buffers'
//! locks. The atomics are hints for the search outside of the lock; only its holder changes them.

use super::runs::Lowest;
use super::sizes::Sizes;
use super::zones::Zones;
use crate::core::cache::{Buffer, Cache};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::locks;
use crate::core::platform::{Device, Mutex, Vec, GFP};
use crate::format::checksum::Mode;
use crate::format::fault::{Fault, GroupFault};
use crate::format::geometry::Geometry;
use crate::format::group_desc::{GroupDesc, GroupFlags};
use crate::format::units::{DiskBlock, Group};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What a group's lock protects.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Blocks nobody may take: used on disk, in flight, or freed by a transaction that is not
    /// durable. Empty until the group is loaded.
    pub(super) busy: Vec<u8>,
    /// How many of them the disk does not have in use.
    pub(super) ahead: u32,
    /// The busy blocks and those in some inode's window; empty while no inode has one.
    pub(super) claimed: Vec<u8>,
    /// How many windows there are.
    pub(super) windows: u32,
    /// Where to look for free runs.
    pub(super) lowest: Lowest,
    /// The block bitmap on disk was never written.
    pub(super) blocks_uninit: bool,
    /// The inode bitmap on disk was never written.
    pub(super) inodes_uninit: bool,
    /// No free inode's bit lies below this one.
    pub(super) first_free_inode: u32,
}

impl State {
    /// The bitmap that a search goes by.
    pub(super) fn bits(&self) -> &[u8] {
        if self.claimed.is_empty() {
            &self.busy
        } else {
            &self.claimed
        }
    }
}

/// One block group.
#[derive(Debug)]
pub(super) struct GroupInfo {
    pub(super) block_bitmap: DiskBlock,
    pub(super) inode_bitmap: DiskBlock,
    pub(super) inode_table: DiskBlock,
    /// Blocks that are not busy.
    pub(super) free: AtomicU32,
    /// No free run is longer.
    pub(super) longest: AtomicU32,
    pub(super) free_inodes: AtomicU32,
    pub(super) directories: AtomicU32,
    /// Its busy blocks are in memory.
    pub(super) loaded: AtomicBool,
    /// Its block bitmap is corrupt: nothing is taken from it, nothing freed.
    pub(super) blocks_bad: AtomicBool,
    /// Its inode bitmap is corrupt.
    pub(super) inodes_bad: AtomicBool,
    pub(super) state: Mutex<State>,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<GroupInfo>,
    /// The blocks with the descriptors.
    descriptors: Vec<Buffer>,
    pub(super) sizes: Sizes,
}

/// The sums over all descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    pub(super) directories: u64,
}

/// The error for a group number that does not exist.
pub(super) fn no_group(group: Group, geometry: &Geometry) -> Error {
    let (group, count) = (
        u64::from(group.get()),
        u64::from(geometry.group_count().get()),
    );
    Error::Corrupt(
        Place::default(),
        Fault::Group(GroupFault::NoGroup, group, count),
    )
}

impl Groups {
    /// Reads and checks all descriptors; also finds where the fixed metadata lies.
    ///
    /// Memory is taken for what was read and checked, not for what the superblock claims.
    pub(super) fn open(device: &Device, cache: &Cache) -> Result<(Self, Zones, Totals)> {
        let geometry = cache.sealer().geometry();
        let count = geometry.group_count().get();
        let mut opened = Self {
            groups: Vec::new(),
            descriptors: Vec::new(),
            sizes: Sizes::new(),
        };
        let mut zones = Vec::new();
        let mut totals = Totals::default();
        for first in geometry
            .groups()
            .step_by(usize::try_from(geometry.descs_per_block().get()).unwrap_or(1))
        {
            let (block, kind, _) = cache.sealer().descriptor(first)?;
            let buffer = cache.read(device, block, kind)?;
            let data = buffer.data()?;
            let last = first
                .get()
                .saturating_add(geometry.descs_per_block().get())
                .min(count);
            for group in (first.get()..last).map(Group) {
                let (_, _, range) = cache.sealer().descriptor(group)?;
                let corrupt = |fault| Error::Corrupt(Place::block(block), fault);
                let desc = GroupDesc::parse(data.get(range).unwrap_or(&[])).map_err(corrupt)?;
                desc.check(group, geometry).map_err(corrupt)?;
                totals.add(&desc);
                add_zones(&mut zones, group, &desc, geometry)?;
                opened.add(group, &desc, cache)?;
            }
            opened.descriptors.push(buffer, GFP)?;
        }
        Ok((opened, Zones::new(zones)?, totals))
    }

    fn add(&mut self, group: Group, desc: &GroupDesc, cache: &Cache) -> Result {
        // Without checksums nobody can trust a flag that says "never written".
        let has_flags = !matches!(cache.sealer().checksums().mode(), Mode::None);
        let blocks_uninit = has_flags && desc.flags.has(GroupFlags::BLOCK_UNINIT);
        let inodes_uninit = has_flags && desc.flags.has(GroupFlags::INODE_UNINIT);
        if group == Group(0) && (blocks_uninit || inodes_uninit) {
            // It has the root directory and the inodes of the file system's own.
            let fault = Fault::Group(GroupFault::Uninit, u64::from(desc.flags.0), 0);
            let (block, ..) = cache.sealer().descriptor(group)?;
            return Err(Error::Corrupt(Place::block(block), fault));
        }
        let state = State {
            blocks_uninit,
            inodes_uninit,
            ..State::default()
        };
        let info = GroupInfo {
            block_bitmap: desc.block_bitmap,
            inode_bitmap: desc.inode_bitmap,
            inode_table: desc.inode_table,
            free: AtomicU32::new(desc.free_blocks),
            longest: AtomicU32::new(desc.free_blocks),
            free_inodes: AtomicU32::new(desc.free_inodes),
            directories: AtomicU32::new(desc.used_dirs),
            loaded: AtomicBool::new(false),
            blocks_bad: AtomicBool::new(false),
            inodes_bad: AtomicBool::new(false),
            state: Mutex::new(state, locks::GROUP)?,
        };
        self.sizes.push(desc.free_blocks)?;
        Ok(self.groups.push(info, GFP)?)
    }

    /// A group that exists.
    pub(super) fn get(&self, group: Group) -> Option<&GroupInfo> {
        self.groups.get(usize::try_from(group.get()).ok()?)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.groups.len()).unwrap_or(u32::MAX)
    }

    /// Changes a group's descriptor under a handle, and then what it counts; both or neither. The
    /// group's lock must be held.
    ///
    /// The descriptor comes first: a transaction with a bitmap must have its descriptor, where the
    /// bitmap's checksum goes, even when the bitmap turns out to be wrong.
    pub(super) fn change(
        &self,
        handle: &mut Handle<'_>,
        cache: &Cache,
        group: Group,
        count: impl FnOnce(&mut GroupDesc) -> core::result::Result<(), Fault>,
        bits: impl FnOnce(&mut Handle<'_>) -> Result,
    ) -> Result {
        let before = self.update(handle, cache, group, count)?;
        let changed = bits(handle);
        if changed.is_err() {
            self.update(handle, cache, group, |desc| {
                *desc = before;
                Ok(())
            })?;
        }
        changed
    }

    /// The block with a group's descriptor, and the descriptor's bytes in it.
    fn descriptor_in(&self, cache: &Cache, group: Group) -> Result<(&Buffer, Range<usize>)> {
        let (_, _, range) = cache.sealer().descriptor(group)?;
        let geometry = cache.sealer().geometry();
        let at = usize::try_from(group.get() / geometry.descs_per_block()).ok();
        let buffer = at.and_then(|at| self.descriptors.get(at));
        Ok((buffer.ok_or(no_group(group, geometry))?, range))
    }

    /// Changes a group's descriptor under a handle and returns what it was. If `change` fails,
    /// nothing is changed.
    fn update(
        &self,
        handle: &mut Handle<'_>,
        cache: &Cache,
        group: Group,
        change: impl FnOnce(&mut GroupDesc) -> core::result::Result<(), Fault>,
    ) -> Result<GroupDesc> {
        let (buffer, range) = self.descriptor_in(cache, group)?;
        let corrupt = |fault| Error::Corrupt(Place::block(buffer.block()), fault);
        let mut bytes = handle.write(buffer)?;
        let record = bytes.get_mut(range).unwrap_or(&mut []);
        let before = GroupDesc::parse(record).map_err(corrupt)?;
        let mut desc = before;
        change(&mut desc).map_err(corrupt)?;
        desc.store(record).map_err(corrupt)?;
        Ok(before)
    }

    /// The descriptor of a group as it is now.
    pub(super) fn descriptor(&self, cache: &Cache, group: Group) -> Result<GroupDesc> {
        let (buffer, range) = self.descriptor_in(cache, group)?;
        let desc = GroupDesc::parse(buffer.data()?.get(range).unwrap_or(&[]));
        desc.map_err(|fault| Error::Corrupt(Place::block(buffer.block()), fault))
    }

    /// The holder of the group's lock found that no free run is longer than `longest`.
    pub(super) fn set_longest(&self, group: Group, info: &GroupInfo, longest: u32) {
        let before = info.longest.swap(longest, Relaxed);
        self.sizes.change(group, before, longest);
    }
}

impl Totals {
    fn add(&mut self, desc: &GroupDesc) {
        self.free_blocks = self.free_blocks.saturating_add(u64::from(desc.free_blocks));
        self.free_inodes = self.free_inodes.saturating_add(u64::from(desc.free_inodes));
        self.directories = self.directories.saturating_add(u64::from(desc.used_dirs));
    }
}

/// Notes where a group's fixed metadata lies.
fn add_zones(
    zones: &mut Vec<Range<u64>>,
    group: Group,
    desc: &GroupDesc,
    geometry: &Geometry,
) -> Result {
    let start = geometry
        .group_start(group)
        .ok_or(no_group(group, geometry))?;
    let own = [
        (start, geometry.base_meta_blocks(group)),
        (desc.block_bitmap, 1),
        (desc.inode_bitmap, 1),
        (desc.inode_table, geometry.inode_table_blocks()),
    ];
    for (first, len) in own {
        let end = first.get().saturating_add(u64::from(len));
        match zones.last_mut() {
            // Packed groups have theirs side by side: keep the list short.
            Some(last) if last.end == first.get() => last.end = end,
            _ => zones.push(first.get()..end, GFP)?,
        }
    }
    Ok(())
}
