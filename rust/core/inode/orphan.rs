// SPDX-License-Identifier: GPL-2.0

//! Orphans: inodes that a mount after a crash must finish, because they have no name any more or
//! because their truncation was under way.
//!
//! They stand in the slots of the orphan file, if there is one with room, else in a chain: the
//! superblock names the newest, `i_dtime` of each names the next older one.
//!
//! Lock: [`Orphans`]' own, inside a handle, before any metadata block's.

use super::{Inode, Purpose};
use crate::core::cache::{Kind, Owner};
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Handle;
use crate::core::locks;
use crate::core::map::State;
use crate::core::patience::patiently;
use crate::core::platform::{caller, memory_size, Mutex, RBTree, Vec, GFP};
use crate::core::volume::Volume;
use crate::format::bytes::index;
use crate::format::fault::{Fault, InodeFault, OrphanFault};
use crate::format::orphan_file;
use crate::format::units::{DiskBlock, FileBlock, Ino};

/// Blocks that adding or removing an orphan may change beside its own record: the superblock or a
/// block of the orphan file, and the record of a neighbour in the chain.
pub const ORPHAN_CREDITS: u32 = 3;
/// An orphan file of more blocks is not believed (C ext4 has the same limit).
const MAX_FILE_BLOCKS: u64 = 512;
/// A chain that would take more than this part of memory is not believed: no machine had so many files open.
const CHAIN_PART: usize = 16;
/// About how much memory an inode of the chain takes, in bytes.
const CHAIN_ENTRY: usize = 80;
/// After so many inodes of a chain the blocks of the inode table that it led to are dropped.
const RECLAIM_AFTER: usize = 4096;
/// Bits in a word of the slots' bitmap.
const WORD: u32 = u64::BITS;

/// Where an orphan is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// In the chain.
    Chain,
    /// In this slot of the orphan file.
    File(u32),
}

/// The orphan file: its blocks, found once at mount.
#[derive(Debug)]
struct OrphanFile {
    owner: Owner,
    blocks: Vec<DiskBlock>,
    slots_per_block: u32,
}

#[derive(Debug)]
struct Known {
    /// The chain, oldest first.
    chain: Vec<Ino>,
    /// All orphans.
    by_ino: RBTree<u32, Slot>,
    /// Used slots of the orphan file, a bit each.
    used: Vec<u64>,
    /// Where the search for a free slot begins.
    hint: u32,
}

/// The orphans of a mounted file system.
#[derive(Debug)]
pub struct Orphans {
    file: Option<OrphanFile>,
    known: Mutex<Known>,
}

/// What was wrong first in the orphan file, and what the chain ended at. What is behind it is not known.
pub type OrphanFaults = [Option<Error>; 2];

impl Orphans {
    /// Finds the orphan file and all orphans there are, and what is wrong with them.
    pub fn open(volume: &Volume) -> Result<(Self, OrphanFaults)> {
        let mut known = Known {
            chain: Vec::new(),
            by_ino: RBTree::new(),
            used: Vec::new(),
            hint: 0,
        };
        let file = match volume.superblock.orphan_file {
            Some(ino) => Some(OrphanFile::open(volume, ino)?),
            None => None,
        };
        let in_file = match &file {
            Some(file) => file.collect(volume, &mut known)?,
            None => None,
        };
        let in_chain = collect_chain(volume, &mut known)?;
        let orphans = Self {
            file,
            known: Mutex::new(known, locks::ORPHANS)?,
        };
        Ok((orphans, [in_file, in_chain]))
    }

    /// Whether there is an orphan file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether the orphan file has no entry.
    pub fn file_is_empty(&self) -> bool {
        self.known.lock().used.iter().all(|&word| word == 0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.lock().by_ino.first().is_none()
    }

    /// All orphans: those of the chain, the newest first, and the others.
    ///
    /// One of the chain that cannot be finished keeps those behind it: to take one of them out would be a
    /// change of its record.
    pub fn all(&self) -> Result<(Vec<Ino>, Vec<Ino>)> {
        let known = self.known.lock();
        let (mut chain, mut others) = (Vec::new(), Vec::new());
        for ino in known.chain.iter().rev() {
            chain.push(*ino, GFP)?;
        }
        for (&ino, slot) in known.by_ino.iter() {
            if matches!(slot, Slot::File(_)) {
                others.push(Ino(ino), GFP)?;
            }
        }
        Ok((chain, others))
    }

    /// Whether this inode is one.
    pub fn contains(&self, ino: Ino) -> bool {
        self.known.lock().by_ino.get(&ino.get()).is_some()
    }

    /// Makes sure that the inode is finished after a crash from this transaction on.
    pub fn add(&self, volume: &Volume, handle: &mut Handle<'_>, ino: Ino) -> Result {
        let mut known = self.known.lock();
        if known.by_ino.get(&ino.get()).is_some() {
            return Ok(());
        }
        events::orphan_add(&volume.device, ino);
        if let Some(file) = &self.file {
            if let Some(slot) = known.free_slot(file.slots()) {
                patiently(|| Ok(known.by_ino.insert(ino.get(), Slot::File(slot))?))?;
                let written = file.write(volume, handle, slot, Some(ino));
                match written {
                    Ok(()) => known.mark(slot, true),
                    Err(_) => drop(known.by_ino.remove(&ino.get())),
                }
                return written;
            }
        }
        patiently(|| Ok(known.chain.reserve(1, GFP)?))?;
        patiently(|| Ok(known.by_ino.insert(ino.get(), Slot::Chain)?))?;
        let before = known.chain.last().copied();
        let linked = Inode::set_next_orphan(volume, handle, ino, before)
            .and_then(|()| volume.edit_superblock(handle, |raw| raw.set_last_orphan(Some(ino))));
        match linked {
            Ok(()) => known.chain.push(ino, GFP)?,
            Err(_) => drop(known.by_ino.remove(&ino.get())),
        }
        linked
    }

    /// The inode needs no finishing any more. Its link in the chain becomes 0.
    pub fn remove(&self, volume: &Volume, handle: &mut Handle<'_>, ino: Ino) -> Result {
        let mut known = self.known.lock();
        match known.by_ino.get(&ino.get()).copied() {
            None => return Ok(()),
            Some(Slot::File(slot)) => {
                if let Some(file) = &self.file {
                    file.write(volume, handle, slot, None)?;
                }
                known.mark(slot, false);
            }
            Some(Slot::Chain) => {
                let Some(at) = known.chain.iter().rposition(|&other| other == ino) else {
                    return Ok(());
                };
                let older = at
                    .checked_sub(1)
                    .and_then(|at| known.chain.get(at))
                    .copied();
                match known.chain.get(at.saturating_add(1)).copied() {
                    Some(newer) => Inode::set_next_orphan(volume, handle, newer, older)?,
                    None => volume.edit_superblock(handle, |raw| raw.set_last_orphan(older))?,
                }
                Inode::set_next_orphan(volume, handle, ino, None)?;
                // The place was just found, so this cannot fail.
                let _ = known.chain.remove(at);
            }
        }
        known.by_ino.remove(&ino.get());
        events::orphan_del(&volume.device, ino);
        Ok(())
    }
}

impl Known {
    /// Takes an orphan of the chain in; the one that it names.
    fn follow(&mut self, volume: &Volume, ino: Ino) -> Result<Option<Ino>> {
        let geometry = &volume.superblock.geometry;
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        if self.by_ino.get(&ino.get()).is_some() {
            return Err(corrupt(twice(ino)));
        }
        if ino < geometry.first_ino() {
            return Err(corrupt(super::load::number(volume, ino)));
        }
        geometry.check_ino(ino).map_err(corrupt)?;
        let limit = memory_size() / (CHAIN_PART * CHAIN_ENTRY);
        if self.chain.len() >= limit {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            let fault = Fault::Inode(InodeFault::OrphanMany, u64::from(ino.get()), limit);
            return Err(corrupt(fault));
        }
        let next = Inode::next_orphan(volume, ino)?;
        if let Some(next) = next {
            geometry.check_ino(next).map_err(corrupt)?;
        }
        self.chain.reserve(1, GFP)?;
        self.by_ino.insert(ino.get(), Slot::Chain)?;
        self.chain.push(ino, GFP)?;
        Ok(next)
    }

    /// A slot of the orphan file that nobody uses, below `slots`.
    fn free_slot(&mut self, slots: u32) -> Option<u32> {
        let words = slots.div_ceil(WORD);
        let first = self.hint.checked_div(WORD)?;
        for step in 0..words {
            let word = first.checked_add(step)?.checked_rem(words)?;
            let used = *self.used.get(usize::try_from(word).ok()?)?;
            if used != u64::MAX {
                let slot = word.checked_mul(WORD)?.checked_add(used.trailing_ones())?;
                if slot < slots {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// Notes whether a slot is in use.
    fn mark(&mut self, slot: u32, used: bool) {
        let (word, bit) = (slot / WORD, slot % WORD);
        self.hint = slot;
        if let Some(word) = usize::try_from(word)
            .ok()
            .and_then(|word| self.used.get_mut(word))
        {
            if used {
                *word |= 1 << bit;
            } else {
                *word &= !(1 << bit);
            }
        }
    }
}

impl OrphanFile {
    fn open(volume: &Volume, ino: Ino) -> Result<Self> {
        let inode = Inode::load(volume, ino, Purpose::Internal)?;
        let geometry = &volume.superblock.geometry;
        let block_size = u64::from(geometry.block_size());
        let size = inode.disk_size();
        let count = size.checked_div(block_size).unwrap_or(0);
        if count > MAX_FILE_BLOCKS || size % block_size != 0 {
            return Err(Error::Corrupt(
                inode.here(),
                Fault::Inode(InodeFault::Size, size, 0),
            ));
        }
        let owner = Owner {
            ino,
            seed: inode.seed(),
        };
        let mut blocks = Vec::new();
        for n in 0..u32::try_from(count).unwrap_or(0) {
            match inode.map()?.lookup(volume, FileBlock(n), 1)?.state {
                State::Written(block) => {
                    let data = volume.read(block, Kind::OrphanFile(owner))?.data()?;
                    let place = Place { ino, block };
                    orphan_file::check(&data).map_err(|fault| Error::Corrupt(place, fault))?;
                    blocks.push(block, GFP)?;
                }
                // A hole in it: as if it ended here. Nobody makes such a file.
                _ => {
                    return Err(Error::Corrupt(
                        inode.here(),
                        Fault::Orphan(OrphanFault::Slot, u64::from(n), count),
                    ))
                }
            }
        }
        let slots_per_block = orphan_file::slots(index(geometry.block_size()));
        Ok(Self {
            owner,
            blocks,
            slots_per_block,
        })
    }

    /// How many slots there are.
    fn slots(&self) -> u32 {
        u32::try_from(self.blocks.len())
            .unwrap_or(0)
            .saturating_mul(self.slots_per_block)
    }

    /// Notes all entries. One that no orphan can have, or an inode's second, is a fault; the first is returned.
    fn collect(&self, volume: &Volume, known: &mut Known) -> Result<Option<Error>> {
        let geometry = &volume.superblock.geometry;
        let words = usize::try_from(self.slots().div_ceil(WORD)).unwrap_or(0);
        known.used = Vec::from_elem(0u64, words, GFP)?;
        let (mut first, mut fault) = (0u32, None);
        for &block in &self.blocks {
            let data = volume.read(block, Kind::OrphanFile(self.owner))?.data()?;
            for (n, ino) in orphan_file::orphans(&data) {
                let slot = first.saturating_add(n);
                known.mark(slot, true);
                let checked =
                    orphan_file::check_slot(n, ino, geometry.first_ino(), geometry.inode_count());
                if let Err(bad) = checked {
                    let place = Place::new(self.owner.ino, block);
                    fault.get_or_insert(Error::Corrupt(place, bad));
                } else if known.by_ino.get(&ino.get()).is_some() {
                    let place = Place::new(ino, block);
                    fault.get_or_insert(Error::Corrupt(place, twice(ino)));
                } else {
                    known.by_ino.insert(ino.get(), Slot::File(slot))?;
                }
            }
            first = first.saturating_add(self.slots_per_block);
        }
        known.hint = 0;
        Ok(fault)
    }

    /// Sets a slot. Spends one credit at most.
    fn write(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        slot: u32,
        ino: Option<Ino>,
    ) -> Result {
        let place = Place::inode(self.owner.ino);
        let fault = Fault::Orphan(OrphanFault::Slot, u64::from(slot), u64::from(self.slots()));
        let bad = Error::Corrupt(place, fault);
        let n = slot
            .checked_div(self.slots_per_block)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(bad)?;
        let at = slot.checked_rem(self.slots_per_block).ok_or(bad)?;
        let block = *self.blocks.get(n).ok_or(bad)?;
        let buffer = volume.read(block, Kind::OrphanFile(self.owner))?;
        let mut bytes = handle.write(&buffer)?;
        orphan_file::set_slot(&mut bytes, at, ino)
            .map_err(|fault| Error::Corrupt(Place::new(place.ino, block), fault))
    }
}

fn twice(ino: Ino) -> Fault {
    Fault::Inode(InodeFault::OrphanTwice, u64::from(ino.get()), 0)
}

/// Follows the chain from the superblock. Where it cannot go on it ends, with a fault.
fn collect_chain(volume: &Volume, known: &mut Known) -> Result<Option<Error>> {
    let (mut next, mut fault) = (volume.superblock.last_orphan, None);
    while let Some(ino) = next {
        if known.chain.len() % RECLAIM_AFTER == RECLAIM_AFTER - 1 {
            // Nobody is there yet who would when memory runs short.
            volume.cache.reclaim(DiskBlock(0), usize::MAX);
            if caller::is_dying() {
                return Err(Error::Interrupted);
            }
        }
        next = match known.follow(volume, ino) {
            Err(error @ (Error::Corrupt(..) | Error::Io(_))) => {
                fault = Some(error);
                None
            }
            followed => followed?,
        };
    }
    // Found newest first.
    known.chain.reverse();
    Ok(fault)
}
