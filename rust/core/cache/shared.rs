// SPDX-License-Identifier: GPL-2.0

//! The block that the superblock is in. With blocks of more than 1 KiB the bytes around it are not the
//! file system's: a boot loader is installed there while it is mounted.

use crate::core::error::{Error, Result};
use crate::core::platform::{Block, Device};
use crate::format::geometry::Geometry;
use crate::format::superblock::LEN;

/// The superblock's block for writing it to its place: the superblock out of `ours`, around it what is on
/// the device now. When it is written, [`Device::forget_cached`] is due.
pub fn with_bytes_of_others(device: &Device, geometry: &Geometry, ours: &[u8]) -> Result<Block> {
    let at = geometry.superblock_block();
    let failed = |error| Error::at_block(error, at);
    device.write_cached(at.get()).map_err(failed)?;
    let mut block = device.read_block(at.get()).map_err(failed)?;
    let start = geometry.superblock_offset();
    let range = start..start.saturating_add(LEN);
    let bytes = block.get_mut().ok_or(Error::NoMemory)?;
    let record = bytes.get_mut(range.clone()).unwrap_or(&mut []);
    let superblock = ours.get(range).unwrap_or(&[]);
    record
        .iter_mut()
        .zip(superblock)
        .for_each(|(to, from)| *to = *from);
    Ok(block)
}
