// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: reading those that are on the disk.
//!
//! An inode has them in its own record, behind the fields, and in one block, which several inodes
//! may share. A name is in one of the two; the record comes first.

use super::cache::{Buffer, Kind};
use super::error::{Error, Place, Result};
use super::journal::Run;
use super::platform::{Vec, GFP};
use super::volume::Volume;
use crate::format::fault::{Fault, InodeFault};
use crate::format::units::{DiskBlock, Ino};
use crate::format::xattr::Attrs;

/// The attributes of one inode. What it may have of them in a block is asked for, with [`read_block`],
/// when it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// The inode.
    pub ino: Ino,
    /// Its record, all bytes of it.
    pub record: &'a [u8],
    /// How many bytes of the record are extra fields.
    pub extra_size: u16,
}

/// Where an inode has an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In its record.
    Record,
    /// In its block, alone or with others.
    Block {
        /// It is the only one there.
        alone: bool,
    },
}

impl Attributes<'_> {
    /// The value of an attribute, by its name index and the rest of its name.
    ///
    /// [`Error::NoData`] if there is no such attribute.
    pub fn get(
        &self,
        block: impl FnOnce() -> Result<Option<Buffer>>,
        index: u8,
        name: &[u8],
    ) -> Result<Vec<u8>> {
        let mut value = None;
        self.visit(block, |attrs| {
            let Some(attr) = attrs.find(index, name) else {
                return Ok(true);
            };
            let mut copy = Vec::with_capacity(attr.value.len(), GFP)?;
            copy.extend_from_slice(attr.value, GFP)?;
            value = Some(copy);
            Ok(false)
        })?;
        value.ok_or(Error::NoData)
    }

    /// Calls `each` with the name index and the rest of the name of every attribute.
    pub fn list(
        &self,
        block: impl FnOnce() -> Result<Option<Buffer>>,
        mut each: impl FnMut(u8, &[u8]) -> Result,
    ) -> Result {
        self.visit(block, |attrs| {
            for attr in attrs.iter() {
                each(attr.index, attr.name)?;
            }
            Ok(true)
        })
    }

    fn corrupt(&self, block: DiskBlock, fault: Fault) -> Error {
        let ino = self.ino;
        Error::Corrupt(Place { ino, block }, fault)
    }

    /// Where an attribute is; [`Error::NoData`] if there is no such attribute.
    pub fn home(
        &self,
        block: impl FnOnce() -> Result<Option<Buffer>>,
        index: u8,
        name: &[u8],
    ) -> Result<Home> {
        let in_record = self.in_record()?;
        if in_record.is_some_and(|attrs| attrs.find(index, name).is_some()) {
            return Ok(Home::Record);
        }
        let alone = self.with_block(block, |attrs| {
            let alone = attrs.iter().nth(1).is_none();
            Ok(attrs.find(index, name).map(|_| alone))
        })?;
        let alone = alone.flatten().ok_or(Error::NoData)?;
        Ok(Home::Block { alone })
    }

    /// Calls `each` for the record and for the block, until it says `false`.
    fn visit(
        &self,
        block: impl FnOnce() -> Result<Option<Buffer>>,
        mut each: impl FnMut(&Attrs<'_>) -> Result<bool>,
    ) -> Result {
        if let Some(attrs) = self.in_record()? {
            if !each(&attrs)? {
                return Ok(());
            }
        }
        self.with_block(block, |attrs| each(attrs).map(drop))
            .map(drop)
    }

    fn in_record(&self) -> Result<Option<Attrs<'_>>> {
        let in_body = Attrs::in_body(self.record, self.extra_size);
        in_body.map_err(|fault| self.corrupt(DiskBlock(0), fault))
    }

    /// Calls `read` for the block, if there is one.
    fn with_block<R>(
        &self,
        block: impl FnOnce() -> Result<Option<Buffer>>,
        read: impl FnOnce(&Attrs<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        let Some(buffer) = block()? else {
            return Ok(None);
        };
        let data = buffer.data()?;
        let attrs = Attrs::in_block(&data).map_err(|fault| self.corrupt(buffer.block(), fault))?;
        read(&attrs).map(Some)
    }
}

/// An inode's block of attributes, of which nothing is believed before it was looked at: neither that a
/// file can have it, nor that it is one.
pub fn read_block(volume: &Volume, ino: Ino, block: DiskBlock) -> Result<Buffer> {
    let corrupt = |fault| Error::Corrupt(Place { ino, block }, fault);
    if !volume.allocator.is_data(Run::one(block)) {
        return Err(corrupt(Fault::Inode(
            InodeFault::XattrBlock,
            block.get(),
            0,
        )));
    }
    let buffer = volume.read(block, Kind::Xattr)?;
    Attrs::in_block(&buffer.data()?).map_err(corrupt)?;
    Ok(buffer)
}
