// SPDX-License-Identifier: GPL-2.0

//! Inodes found by a file handle. What a handle says is anybody's: an inode that is not in use is
//! stale, never damage of the disk.

use super::error::OrErrno;
use super::iget::{iget, iget_by};
use super::{InodeExt, Rext4};
use crate::format::units::Ino;
use crate::linux::fs::export::ExportOps;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::sb::SuperBlock;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

impl ExportOps for Rext4 {
    fn inode_of_handle(sb: &SuperBlock<Self>, ino: u64) -> Result<ARef<Inode<Self>>> {
        let ino = Ino(u32::try_from(ino).map_err(|_| ESTALE)?);
        iget_by(sb, ino, |fs| fs.inode_of_handle(ino))
    }

    fn parent(dir: &Inode<Self>) -> Result<ARef<Inode<Self>>> {
        let parent = dir.fs().parent(dir.core()?).errno()?;
        iget(dir.sb(), parent)
    }

    fn commit_metadata(inode: &Inode<Self>) -> Result {
        inode.fs().fsync(inode.core()?, false).errno()
    }
}
