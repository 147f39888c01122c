// SPDX-License-Identifier: GPL-2.0

//! The block that the superblock is in. The mount shares it: `tune2fs` changes what the driver has no say
//! in (label, limits of mounts and time, defaults), below the mount and by way of the device; and with
//! blocks of more than 1 KiB a boot loader is installed in the bytes around the superblock.

use super::{Buffer, BufferMut, Sealer};
use crate::core::error::{Error, Place, Result};
use crate::core::platform::{Block, Device};
use crate::format::geometry::Geometry;
use crate::format::superblock::{RawSuperblock, LEN};

/// The superblock's block as a log has it, for writing it to its place: the superblock as it was logged,
/// around it what is on the device now. When it is written, [`Device::forget_cached`] is due.
pub fn with_bytes_of_others(device: &Device, geometry: &Geometry, logged: &[u8]) -> Result<Block> {
    let mut block = read(device, geometry)?;
    let start = geometry.superblock_offset();
    let range = start..start.saturating_add(LEN);
    let bytes = block.get_mut().ok_or(Error::NoMemory)?;
    let record = bytes.get_mut(range.clone()).unwrap_or(&mut []);
    let superblock = logged.get(range).unwrap_or(&[]);
    copy(record, superblock);
    Ok(block)
}

/// The superblock's block for its place: of `committed`, which is `buffer`'s, what the driver writes, and
/// all else as it is on the device now. `buffer` takes that over too, so that the next transaction with it
/// does not log what was there before. When it is written, [`Device::forget_cached`] is due.
pub(in crate::core) fn for_its_place(
    device: &Device,
    sealer: &Sealer,
    buffer: &Buffer,
    committed: &[u8],
) -> Result<Block> {
    let geometry = sealer.geometry();
    let theirs = read(device, geometry)?;
    let mut current = BufferMut::new(buffer.block(), buffer.version())?;
    adopt(geometry, &mut current, &theirs)?;
    drop(current);
    let mut block = theirs.copy()?;
    let bytes = block.get_mut().ok_or(Error::NoMemory)?;
    copy(bytes, committed);
    adopt(geometry, bytes, &theirs)?;
    let record = bytes
        .get_mut(geometry.superblock_offset()..)
        .unwrap_or(&mut []);
    let sealed = sealer.checksums().seal_superblock(record);
    sealed.map_err(|fault| Error::Corrupt(Place::block(buffer.block()), fault))?;
    Ok(block)
}

/// Makes `ours` what is in the device's page cache, except for what the driver writes. Reads nothing.
pub(super) fn adopt_cached(device: &Device, geometry: &Geometry, ours: &mut [u8]) -> Result {
    match device.cached_block(geometry.superblock_block().get()) {
        Some(theirs) => adopt(geometry, ours, &theirs),
        None => Ok(()),
    }
}

/// Makes `ours` what `theirs` is, except for what the driver writes. The checksum is due then.
fn adopt(geometry: &Geometry, ours: &mut [u8], theirs: &[u8]) -> Result {
    let corrupt = |fault| Error::Corrupt(Place::block(geometry.superblock_block()), fault);
    let start = geometry.superblock_offset();
    let record = ours.get(start..).unwrap_or(&[]);
    let kept = *RawSuperblock::view(record).map_err(corrupt)?;
    copy(ours, theirs);
    let record = ours.get_mut(start..).unwrap_or(&mut []);
    let record = RawSuperblock::view_mut(record).map_err(corrupt)?;
    record.take_over(&kept);
    Ok(())
}

/// The block as it is on the device, with what others have written by way of its page cache.
fn read(device: &Device, geometry: &Geometry) -> Result<Block> {
    let at = geometry.superblock_block();
    let failed = |error| Error::at_block(error, at);
    device.write_cached(at.get()).map_err(failed)?;
    device.read_block(at.get()).map_err(failed)
}

fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
