// SPDX-License-Identifier: GPL-2.0

//! The superblock as a metadata block like any other, and what else inodes ask of a volume.

use crate::core::cache::Kind;
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::volume::Volume;
use crate::format::checksum::Checksums;
use crate::format::features::RoCompat;
use crate::format::superblock::RawSuperblock;

/// Files above this size need the feature `large_file`.
const LARGE: u64 = 1 << 31;

impl Volume {
    /// The checksums of this file system.
    pub fn checksums(&self) -> &Checksums {
        self.cache.sealer().checksums()
    }

    /// The largest size of a file, in bytes: 2^32 - 1 blocks, as extents can name them, or (without
    /// `huge_file`) 512 bytes each, as `i_blocks` counts them.
    pub fn max_file_size(&self) -> u64 {
        let geometry = &self.superblock.geometry;
        let bits = geometry.block_bits();
        let blocks = if geometry.huge_file() {
            u32::MAX
        } else {
            u32::MAX >> bits.saturating_sub(9)
        };
        u64::from(blocks) << bits
    }

    /// Changes the superblock in a transaction. Spends one credit at most.
    pub fn edit_superblock(
        &self,
        handle: &mut Handle<'_>,
        edit: impl FnOnce(&mut RawSuperblock),
    ) -> Result {
        let geometry = &self.superblock.geometry;
        let at = geometry.superblock_block();
        let buffer = self.read(at, Kind::Superblock)?;
        let mut bytes = handle.write(&buffer)?;
        let record = bytes
            .get_mut(geometry.superblock_offset()..)
            .unwrap_or(&mut []);
        edit(
            RawSuperblock::view_mut(record)
                .map_err(|fault| Error::Corrupt(Place::block(at), fault))?,
        );
        Ok(())
    }

    /// Hands the superblock as it is in memory to `look`.
    pub fn view_superblock<R>(&self, look: impl FnOnce(&RawSuperblock) -> R) -> Result<R> {
        let at = self.superblock.geometry.superblock_block();
        let data = self.read(at, Kind::Superblock)?.data()?;
        self.view_record(&data, look)
    }

    /// Hands the superblock as others have written it to `look`: what the driver has no say in is changed
    /// below the mount, by way of the device's page cache.
    pub fn view_administered<R>(&self, look: impl FnOnce(&RawSuperblock) -> R) -> Result<R> {
        let at = self.superblock.geometry.superblock_block();
        let failed = |error| Error::at_block(error, at);
        let block = match self.device.cached_block(at.get()) {
            Some(block) => block,
            None => self.device.read_block(at.get()).map_err(failed)?,
        };
        self.view_record(&block, look)
    }

    fn view_record<R>(&self, block: &[u8], look: impl FnOnce(&RawSuperblock) -> R) -> Result<R> {
        let geometry = &self.superblock.geometry;
        let record = block.get(geometry.superblock_offset()..).unwrap_or(&[]);
        let corrupt = |fault| Error::Corrupt(Place::block(geometry.superblock_block()), fault);
        Ok(look(RawSuperblock::view(record).map_err(corrupt)?))
    }

    /// Sets the feature `large_file` when a file grows to `size` and it is not set yet. Spends one
    /// credit at most.
    pub fn note_large_file(&self, handle: &mut Handle<'_>, size: u64) -> Result {
        let known = RoCompat::LARGE_FILE;
        if size < LARGE
            || self.superblock.ro_compat.has(known)
            || self.view_superblock(|raw| raw.features().2.has(known))?
        {
            return Ok(());
        }
        self.edit_superblock(handle, |raw| raw.set_ro_compat(known, true))
    }
}
