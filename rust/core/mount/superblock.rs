// SPDX-License-Identifier: GPL-2.0

//! Writing the superblock past the journal: before it runs, while it is quiet.

use super::Filesystem;
use crate::core::alloc::Statistics;
use crate::core::cache::{BufferMut, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Quiet;
use crate::core::platform::{Block, Device, WriteClass};
use crate::core::volume::Volume;
use crate::format::checksum::Checksums;
use crate::format::features::{Incompat, RoCompat};
use crate::format::geometry::Geometry;
use crate::format::superblock::{RawSuperblock, LEN};
use core::sync::atomic::Ordering;

/// Edits the superblock in the bytes of its block.
fn edit_block(
    geometry: &Geometry,
    bytes: &mut [u8],
    edit: impl FnOnce(&mut RawSuperblock),
) -> Result {
    let at = geometry.superblock_block();
    let record = bytes
        .get_mut(geometry.superblock_offset()..)
        .unwrap_or(&mut []);
    edit(RawSuperblock::view_mut(record).map_err(|fault| Error::Corrupt(Place::block(at), fault))?);
    Ok(())
}

/// Reads the superblock's block from the device, edits and seals it, writes it back; durable when it
/// returns. What is there now is returned.
pub(super) fn write_raw(
    device: &Device,
    geometry: &Geometry,
    checksums: &Checksums,
    edit: impl FnOnce(&mut RawSuperblock),
) -> Result<Block> {
    let at = geometry.superblock_block();
    let failed = |error| Error::at_block(error, at);
    device.write_cached(at.get()).map_err(failed)?;
    let mut block: Block = device.read_block(at.get()).map_err(failed)?;
    let bytes = block.get_mut().ok_or(Error::NoMemory)?;
    edit_block(geometry, bytes, edit)?;
    let start = geometry.superblock_offset();
    let record = bytes
        .get_mut(start..start.saturating_add(LEN))
        .unwrap_or(&mut []);
    checksums
        .seal_superblock(record)
        .map_err(|fault| Error::Corrupt(Place::block(at), fault))?;
    device
        .write_blocks(&[(at.get(), block.clone())], WriteClass::Journal)
        .map_err(failed)?;
    device.forget_cached(at.get());
    device.flush().map_err(failed)?;
    Ok(block)
}

/// Says that there is something to recover, in the journal and perhaps in the orphan file.
pub(super) fn mark_in_use(raw: &mut RawSuperblock, orphan_file: bool) {
    raw.set_incompat(Incompat::RECOVER, true);
    if orphan_file {
        raw.set_ro_compat(RoCompat::ORPHAN_PRESENT, true);
    }
}

/// The count of free inodes as the superblock holds it.
pub(super) fn free_inodes(counts: &Statistics) -> u32 {
    u32::try_from(counts.free_inodes).unwrap_or(u32::MAX)
}

impl Volume {
    /// Edits the superblock on the device, and takes what is there then into memory. No transaction may
    /// hold the superblock: its checkpoint would bring back what was there before.
    fn edit_superblock_directly(
        &self,
        _quiet: &Quiet<'_>,
        edit: impl FnOnce(&mut RawSuperblock),
    ) -> Result {
        let geometry = &self.superblock.geometry;
        let buffer = self.read(geometry.superblock_block(), Kind::Superblock)?;
        let written = write_raw(&self.device, geometry, self.checksums(), edit)?;
        let mut bytes = BufferMut::new(buffer.block(), buffer.version())?;
        let pairs = bytes.iter_mut().zip(written.iter());
        pairs.for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl Filesystem {
    /// Edits the superblock past the journal, and updates what every such write updates: counts of
    /// free blocks and inodes, the write time, and the bytes written.
    ///
    /// Errors that memory knows of are kept: they may be in the log only, and a tool that writes to the
    /// device may have brought an older superblock back. Below a read-only mount e2fsck may have mended them.
    pub(super) fn write_superblock(
        &self,
        quiet: &Quiet<'_>,
        edit: impl FnOnce(&mut RawSuperblock),
    ) -> Result {
        let counts = self.volume.allocator.statistics();
        let written = self.kbytes_written();
        let (seconds, _) = self.volume.device.now();
        let known = self.error_record()?;
        let resting = self.read_only.load(Ordering::Acquire) && !self.has_failed();
        self.volume.edit_superblock_directly(quiet, |raw| {
            if !resting && known.count > raw.error_record().count {
                raw.set_error_record(&known);
            }
            raw.set_free_blocks(counts.settled_free_blocks);
            raw.set_free_inodes(free_inodes(&counts));
            raw.set_write_time(u64::try_from(seconds).unwrap_or(0));
            raw.set_kbytes_written(written);
            edit(raw);
        })
    }

    /// KiB written over the file system's life.
    pub(super) fn kbytes_written(&self) -> u64 {
        let sectors = self
            .volume
            .device
            .sectors_written()
            .saturating_sub(self.sectors_at_mount);
        self.volume
            .superblock
            .kbytes_written
            .saturating_add(sectors / 2)
    }

    /// Says on the disk that there is something to recover from here on.
    pub(super) fn mark_in_use(&self, quiet: &Quiet<'_>) -> Result {
        let orphan_file = self.orphans.has_file();
        self.write_superblock(quiet, |raw| mark_in_use(raw, orphan_file))
    }

    /// Says on the disk that there is nothing to recover.
    ///
    /// A failure does not tell what the disk says then, so it is made to say the contrary again; if that
    /// fails too, the journal stops: what it would write might not be recovered.
    pub(super) fn mark_clean(&self, quiet: &Quiet<'_>) -> Result {
        let leftover = self.orphans.has_file() && !self.orphans.file_is_empty();
        let state = self.state_bits.load(Ordering::Acquire);
        let marked = self.write_superblock(quiet, |raw| {
            raw.set_incompat(Incompat::RECOVER, false);
            raw.set_ro_compat(RoCompat::ORPHAN_PRESENT, leftover);
            raw.set_state(state);
        });
        if marked.is_err() {
            if let Err(error) = self.mark_in_use(quiet) {
                self.volume.journal()?.abort(error);
            }
        }
        marked
    }
}
