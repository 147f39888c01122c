// SPDX-License-Identifier: GPL-2.0

//! Mounting: what is on the disk is read, judged, recovered, opened, finished and marked, in this
//! order. Nothing is written before the disk was judged.
//!
//! The steps are not inlined: what one of them keeps on the stack, which is small in a kernel, is gone in the next.

use super::errors::NO_INODE;
use super::features::{refuses_reading, refuses_writing, Obstacle};
use super::messages::advise;
use super::options::{wants_data_journal, NO_DATA_JOURNAL};
use super::options::{Effective, ErrorPolicy, Ignored, MountOptions};
use super::superblock::{self, mark_in_use};
use super::{journal_map, Filesystem};
use crate::core::alloc::Allocator;
use crate::core::cache::{Cache, Sealer, FUNCTIONS};
use crate::core::dir::Rules;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::inode::{Inode, InodeKind, OrphanFaults, Orphans, Purpose};
use crate::core::journal::{Journal, Run, Settings, Start};
use crate::core::locks;
use crate::core::platform::{lock_class, log, Arc, Device, Level, Mutex, Vec, GFP};
use crate::core::volume::Volume;
use crate::format::checksum::Checksums;
use crate::format::fault::{Fault, InodeFault, SuperblockFault};
use crate::format::features::{Incompat, RoCompat};
use crate::format::geometry::special;
use crate::format::hash::Signedness;
use crate::format::superblock::{
    state, Checking, JournalPlace, RawSuperblock, Superblock, LEN, OFFSET,
};
use crate::format::units::{DiskBlock, Ino};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

/// Block sizes above this are not done.
const MAX_BLOCK_SIZE: u32 = 4096;
/// After so many orphans, metadata that was read for them is dropped.
const RECLAIM_AFTER: usize = 1024;
/// Where a fault of the superblock is: no block number, as the block size may be in doubt.
const SUPERBLOCK_PLACE: Place = Place {
    ino: Ino(0),
    block: DiskBlock(0),
};

/// The superblock of a device, read and believed.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) superblock: Superblock,
    pub(super) checksums: Checksums,
    /// Not in the structure: a kernel's stack is small.
    bytes: Vec<u8>,
}

/// How far the journal is when the cache may be used.
struct Recovered {
    start: Option<Start>,
    zone: Vec<Run>,
}

fn say(device: &Device, level: Level, message: core::fmt::Arguments<'_>) {
    log(level, device, message);
}

impl Opened {
    /// Reads the superblock. Its block size must be one that is done.
    #[inline(never)]
    fn read(device: &Device) -> Result<Self> {
        let mut bytes = Vec::from_elem(0u8, LEN, GFP)?;
        device.read_bytes(OFFSET, &mut bytes)?;
        let blocks = |block_size: u32| {
            device
                .size_bytes()
                .checked_div(u64::from(block_size))
                .unwrap_or(0)
        };
        let parsed = Superblock::parse(&bytes, &FUNCTIONS, Some(&blocks)).and_then(|superblock| {
            let checksums = Superblock::checksums(&bytes, FUNCTIONS)?;
            Ok(Self {
                superblock,
                checksums,
                bytes,
            })
        });
        parsed.map_err(|fault| {
            say(device, Level::Error, format_args!("{fault}"));
            match fault {
                Fault::Superblock(SuperblockFault::Magic, ..) => Error::Invalid,
                fault => Error::Corrupt(SUPERBLOCK_PLACE, fault),
            }
        })
    }

    /// Whether this disk can be mounted this way.
    fn judge(&self, device: &Device, options: &MountOptions) -> Result {
        let superblock = &self.superblock;
        let block_size = superblock.geometry.block_size();
        if block_size > MAX_BLOCK_SIZE {
            say(
                device,
                Level::Error,
                format_args!("blocks of {block_size} bytes are not supported"),
            );
            return Err(Error::Invalid);
        }
        if let Some(obstacle) = refuses_reading(superblock) {
            say(
                device,
                Level::Error,
                format_args!("cannot mount: {obstacle}"),
            );
            return Err(Error::Invalid);
        }
        if options.no_recovery && !options.read_only {
            say(
                device,
                Level::Error,
                format_args!("noload is only possible with ro"),
            );
            return Err(Error::Invalid);
        }
        if options.read_only {
            return Ok(());
        }
        if let Some(obstacle) = refuses_writing(superblock) {
            say(
                device,
                Level::Error,
                format_args!("cannot mount for writing: {obstacle}"),
            );
            return Err(obstacle.error());
        }
        if wants_data_journal(options, superblock) {
            say(device, Level::Error, format_args!("{NO_DATA_JOURNAL}"));
            return Err(Error::Invalid);
        }
        if device.is_read_only() {
            say(
                device,
                Level::Error,
                format_args!("the device is read-only"),
            );
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    /// Whether all is where it is in `other`; there may be more of it, as a file system can grow while it
    /// is mounted.
    fn is_laid_out_as(&self, other: &Superblock) -> bool {
        let layout = |superblock: &Superblock| {
            let geometry = &superblock.geometry;
            (
                geometry.block_size(),
                geometry.first_data_block(),
                (geometry.blocks_per_group(), geometry.inodes_per_group()),
                (geometry.inode_size(), geometry.desc_size()),
                (superblock.journal, superblock.orphan_file),
            )
        };
        layout(&self.superblock) == layout(other)
    }

    fn needs_recovery(&self) -> bool {
        self.superblock.incompat.has(Incompat::RECOVER)
    }

    /// Maps and reads the journal, replays it if need be, and reads the superblock again then.
    #[inline(never)]
    fn recover(&mut self, device: &Device, options: &MountOptions) -> Result<Recovered> {
        let nothing = Recovered {
            start: None,
            zone: Vec::new(),
        };
        let JournalPlace::Inode(ino) = self.superblock.journal else {
            if self.needs_recovery() && !options.no_recovery {
                say(
                    device,
                    Level::Error,
                    format_args!("the journal that must be replayed is not in the file system"),
                );
                return Err(Error::Unsupported);
            }
            return Ok(nothing);
        };
        if options.no_recovery {
            return Ok(nothing);
        }
        let extents = journal_map::map(device, self, ino)?;
        let mut zone = Vec::with_capacity(extents.len(), GFP)?;
        for extent in &extents {
            zone.push(extent.run, GFP)?;
        }
        let wide = self.superblock.incompat.has(Incompat::BITS64);
        let mut start = Start::read(device, extents, wide, self.checksums.enabled())?;
        if device.is_read_only() {
            if start.dirty && self.needs_recovery() {
                say(
                    device,
                    Level::Error,
                    format_args!(
                        "the journal must be replayed but the device is read-only (try noload)"
                    ),
                );
                return Err(Error::ReadOnly);
            }
            return Ok(Recovered { start: None, zone });
        }
        if start.dirty && !self.needs_recovery() {
            // Somebody else has cleaned up since: what the log says is out of date.
            start.wipe(device)?;
        }
        if start.dirty {
            self.replay(device, &mut start, options)?;
        }
        if start.errno != 0 {
            say(
                device,
                Level::Warning,
                format_args!("an earlier mount left error {} in the journal", start.errno),
            );
            let marked = |raw: &mut RawSuperblock| raw.set_state(raw.state.get() | state::ERROR);
            superblock::write_raw(device, &self.superblock.geometry, &self.checksums, marked)?;
            self.superblock.state |= state::ERROR;
            start.clear_error(device)?;
        }
        Ok(Recovered {
            start: Some(start),
            zone,
        })
    }

    /// Replays the log. The error fields of the superblock survive it; the superblock that it brings is
    /// judged as the one before was.
    #[inline(never)]
    fn replay(&mut self, device: &Device, start: &mut Start, options: &MountOptions) -> Result {
        let before = core::mem::replace(&mut self.bytes, Vec::new());
        let done = start.recover(device, &self.superblock.geometry)?;
        events::recover(device, done.transactions, done.blocks);
        say(
            device,
            Level::Info,
            format_args!(
                "recovery complete: {} transactions, {} blocks",
                done.transactions, done.blocks
            ),
        );
        let replayed = Self::read(device)?;
        if !replayed.is_laid_out_as(&self.superblock) {
            say(
                device,
                Level::Error,
                format_args!("the log has brought a superblock of another layout"),
            );
            return Err(Error::Invalid);
        }
        *self = replayed;
        self.judge(device, options)?;
        let corrupt = |fault| Error::Corrupt(SUPERBLOCK_PLACE, fault);
        let old = RawSuperblock::view(&before).map_err(corrupt)?;
        let new = RawSuperblock::view(&self.bytes).map_err(corrupt)?;
        // What is noted in a transaction is newer than what is on the disk.
        let lost = old.error_count.get() > new.error_count.get()
            || old.state.get() & state::ERROR & !new.state.get() != 0;
        if lost && old.error_count.get() != 0 {
            superblock::write_raw(device, &self.superblock.geometry, &self.checksums, |raw| {
                raw.set_error_record(&old.error_record());
                raw.set_state(raw.state.get() | old.state.get() & state::ERROR);
            })?;
            *self = Self::read(device)?;
        }
        Ok(())
    }
}

impl Filesystem {
    /// Mounts the file system on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is no ext4 file system or has features that are not done, be it only for
    /// writing; [`Error::ReadOnly`] when the device is read-only or the disk wants to be. The log says why.
    pub fn mount(device: Device, options: &MountOptions) -> Result<Arc<Self>> {
        locks::teach();
        let device = Arc::new(device, GFP)?;
        let mounted = Self::open(&device, options);
        if let Err(error) = &mounted {
            say(&device, Level::Error, format_args!("mount failed: {error}"));
        }
        mounted
    }

    fn open(device: &Arc<Device>, options: &MountOptions) -> Result<Arc<Self>> {
        let mut opened = Opened::read(device)?;
        opened.judge(device, options)?;
        let block_size = opened.superblock.geometry.block_size();
        device.set_block_size(block_size).map_err(|_| {
            say(
                device,
                Level::Error,
                format_args!("the device cannot transfer blocks of {block_size} bytes"),
            );
            Error::Invalid
        })?;
        let sectors_at_mount = device.sectors_written();
        let recovered = opened.recover(device, options)?;
        let (filesystem, faults) =
            Self::assemble(device, opened, recovered, options, sectors_at_mount)?;
        let prepared = filesystem.prepare(options, faults);
        if let Err(error) = prepared {
            if let Some(journal) = &filesystem.volume.journal {
                // The error at hand is the one to tell.
                let _ = journal.close();
            }
            return Err(error);
        }
        if let Some(ignored) = Ignored::of(&filesystem.volume.superblock) {
            say(
                device,
                Level::Warning,
                format_args!("options of the superblock are ignored: {ignored}"),
            );
        }
        events::mount(device, filesystem.is_read_only());
        filesystem.say_mounted();
        Ok(filesystem)
    }

    /// Puts the parts together that hold the disk: cache, allocator, journal.
    #[inline(never)]
    fn assemble_volume(
        device: &Arc<Device>,
        opened: Opened,
        recovered: Recovered,
        settings: Settings,
    ) -> Result<Volume> {
        let Opened {
            mut superblock,
            checksums,
            ..
        } = opened;
        let signedness = superblock.hash_signedness.unwrap_or(Signedness::Signed);
        superblock.hash_signedness = Some(signedness);
        let cache = Arc::new(
            Cache::new(Sealer::new(checksums, superblock.geometry.clone()))?,
            GFP,
        )?;
        let mut allocator = Allocator::open(device, &cache, &superblock)?;
        allocator.add_system_zones(recovered.zone.iter().copied())?;
        let writable = refuses_writing(&superblock).is_none();
        let journal = match recovered.start {
            Some(start) if writable => Some(Journal::open(
                device.clone(),
                cache.clone(),
                start,
                settings,
            )?),
            _ => None,
        };
        Ok(Volume {
            journal,
            allocator,
            cache,
            superblock,
            device: device.clone(),
        })
    }

    /// Puts the parts together: volume, orphans, options.
    #[inline(never)]
    fn assemble(
        device: &Arc<Device>,
        opened: Opened,
        recovered: Recovered,
        options: &MountOptions,
        sectors_at_mount: u64,
    ) -> Result<(Arc<Self>, OrphanFaults)> {
        let effective = Effective::new(options, &opened.superblock);
        let settings = Settings {
            interval: u64::from(effective.commit_milliseconds),
            barrier: effective.barrier,
            lenient: effective.errors == ErrorPolicy::Continue,
            verify: options.verify,
        };
        let checked = opened.checksums.enabled();
        let volume = Self::assemble_volume(device, opened, recovered, settings)?;
        let (orphans, faults) = Orphans::open(&volume)?;
        let filesystem = Self {
            rules: Rules::new(&volume.superblock, checked),
            state_bits: AtomicU16::new(volume.superblock.state),
            volume,
            orphans,
            options: Mutex::new((*options, effective), lock_class!("rext4_options"))?,
            read_only: AtomicBool::new(true),
            failed: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            sectors_at_mount,
            path_recorded: AtomicBool::new(false),
            reclaim_from: AtomicU64::new(0),
        };
        Ok((Arc::new(filesystem, GFP)?, faults))
    }

    /// What is left to do before anybody may use it.
    #[inline(never)]
    fn prepare(&self, options: &MountOptions, faults: OrphanFaults) -> Result {
        let root = Inode::load(&self.volume, special::ROOT, Purpose::Name)?;
        if root.kind() != InodeKind::Directory {
            let mode = u64::from(root.attributes().mode);
            let fault = Fault::Inode(InodeFault::Mode, mode, 0);
            return Err(Error::Corrupt(root.here(), fault));
        }
        let left = !self.orphans.is_empty() || faults.iter().any(Option::is_some);
        let finish = left && self.volume.journal.is_some();
        if !options.read_only {
            self.go_writable()?;
        }
        if finish {
            self.finish_orphans(options.read_only, faults)?;
            self.read_only.store(options.read_only, Ordering::Release);
        }
        if self.has_failed() {
            return Ok(());
        }
        let dirty = self.volume.superblock.incompat.has(Incompat::RECOVER)
            || self
                .volume
                .superblock
                .ro_compat
                .has(RoCompat::ORPHAN_PRESENT);
        if let (true, Some(journal)) = (options.read_only, &self.volume.journal) {
            let quiet = journal.quiesce()?;
            if finish || dirty {
                self.mark_clean(&quiet)?;
            }
            quiet.bar();
        }
        Ok(())
    }

    /// What speaks against writing by now: a read-only mount leaves the disk to other programs.
    #[inline(never)]
    pub(super) fn obstacle_to_writing(&self) -> Result<Option<Obstacle>> {
        let device = &self.volume.device;
        let at = self.volume.superblock.geometry.superblock_block();
        device
            .write_cached(at.get())
            .map_err(|error| Error::at_block(error, at))?;
        let now = Opened::read(device)?;
        if let Some(obstacle) = refuses_writing(&now.superblock) {
            return Ok(Some(obstacle));
        }
        let same = now.is_laid_out_as(&self.volume.superblock);
        Ok((!same).then_some(Obstacle::Changed))
    }

    /// Begins to write: the superblock says so first.
    pub(super) fn go_writable(&self) -> Result {
        let quiet = self.volume.journal()?.quiesce()?;
        let device = &self.volume.device;
        let (seconds, _) = device.now();
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let signedness = self
            .volume
            .superblock
            .hash_signedness
            .unwrap_or(Signedness::Signed);
        let orphan_file = self.orphans.has_file();
        let mut found = Checking::default();
        self.write_superblock(&quiet, |raw| {
            found = raw.checking();
            raw.note_mount(seconds);
            raw.set_hash_signedness(signedness);
            mark_in_use(raw, orphan_file);
        })?;
        // e2fsck may have mended errors below a read-only mount.
        self.state_bits.store(found.state, Ordering::Release);
        advise(device, &found, seconds);
        self.read_only.store(false, Ordering::Release);
        quiet.admit();
        Ok(())
    }

    /// Finishes what a crash has left: deletes and truncates the orphans. Nobody has one in use.
    /// Reports what was wrong when they were looked for.
    #[inline(never)]
    pub(super) fn finish_orphans(&self, read_only: bool, faults: OrphanFaults) -> Result {
        let device = &self.volume.device;
        if self.state_bits.load(Ordering::Acquire) & state::ERROR != 0 {
            say(
                device,
                Level::Warning,
                format_args!("errors on the file system: orphans are left to e2fsck"),
            );
            return Ok(());
        }
        if read_only {
            // Even so: it is as much a part of recovery as the replay. What is wrong is noted, too.
            self.mark_in_use(&self.volume.journal()?.quiesce()?)?;
            self.read_only.store(false, Ordering::Release);
        }
        let (chain, others) = self.orphans.all()?;
        let (mut deleted, mut truncated) = (0u32, 0u32);
        let mut done = 0usize;
        let mut finish = |ino| {
            done = done.wrapping_add(1);
            if done % RECLAIM_AFTER == 0 {
                // Nobody is there yet who would when memory runs short.
                self.reclaim(usize::MAX);
            }
            match self.report("finish_orphans", ino, self.finish_orphan(ino)) {
                Ok(true) => deleted = deleted.saturating_add(1),
                Ok(false) => truncated = truncated.saturating_add(1),
                Err(error) => {
                    // The disk keeps the entry, for e2fsck.
                    say(
                        device,
                        Level::Warning,
                        format_args!("orphan inode {ino} cannot be finished: {error}"),
                    );
                    return false;
                }
            }
            true
        };
        let _ = chain.iter().all(|ino| finish(*ino));
        for fault in faults.into_iter().flatten() {
            // It is for the log and the record; the mount goes on.
            let _ = self.report("finish_orphans", NO_INODE, Err::<(), _>(fault));
        }
        for ino in others.iter().take_while(|_| !self.has_failed()) {
            finish(*ino);
        }
        if deleted > 0 {
            say(
                device,
                Level::Info,
                format_args!("{deleted} orphan inodes deleted"),
            );
        }
        if truncated > 0 {
            say(
                device,
                Level::Info,
                format_args!("{truncated} truncates cleaned up"),
            );
        }
        Ok(())
    }

    /// Deletes (`true`) or truncates (`false`) one orphan.
    fn finish_orphan(&self, ino: Ino) -> Result<bool> {
        let bad = |what, links| {
            let fault = Fault::Inode(what, u64::from(ino.get()), links);
            Error::Corrupt(Place::inode(ino), fault)
        };
        if !self.volume.allocator.is_inode_used(ino)? {
            return Err(bad(InodeFault::OrphanFree, 0));
        }
        let inode = match Inode::load(&self.volume, ino, Purpose::Orphan) {
            Err(Error::Stale) => return Err(bad(InodeFault::OrphanFree, 0)),
            loaded => loaded?,
        };
        let links = inode.fields().links;
        if links == 0 {
            inode.delete(&self.volume, &self.orphans)?;
            return Ok(true);
        }
        if !inode.can_truncate() {
            return Err(bad(InodeFault::OrphanWhole, u64::from(links)));
        }
        self.volume.change(inode.truncate_credits(), |handle| {
            inode.remove_from(&self.volume, &self.orphans, handle, inode.disk_size())
        })?;
        Ok(false)
    }
}
