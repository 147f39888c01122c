// SPDX-License-Identifier: GPL-2.0

//! Names: lookup, making, linking, removing, renaming; and symbolic links.

use super::error::OrErrno;
use super::iget::{fill, iget, iget_by, refresh_contents, refresh_names, refresh_stamp};
use super::{attr, InodeExt, Rext4};
use crate::core::mount::{Filesystem, Inode as CoreInode, NewInode as NewCore, Rename};
use crate::core::platform::Arc;
use crate::linux::fs::acl::{AclKind, PosixAcl};
use crate::linux::fs::attr::{Attr, IdMap, Stat};
use crate::linux::fs::dentry::Dentry;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::inode_ops::{InodeOps, Made, Place};
use crate::linux::iomap::fiemap::Fiemap;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

type Result<T = ()> = kernel::error::Result<T>;

/// The longest name in bytes.
const NAME_MAX: usize = 255;
/// `renameat2`: fail if the new name exists. The VFS checks it.
const RENAME_NOREPLACE: u32 = 1;

const S_IFDIR: u16 = 0o040_000;
const S_IFLNK: u16 = 0o120_000;

/// Operations on directories.
pub(super) struct Names;

/// Makes something in `dir` with `make`, which gets the owner and the mode.
fn make(
    idmap: &IdMap,
    dir: &Inode<Rext4>,
    mode: u16,
    rdev: (u32, u32),
    make: impl FnOnce(&Filesystem, &CoreInode, &NewCore) -> crate::core::error::Result<Arc<CoreInode>>,
) -> Result<Made<Rext4>> {
    let mut draft = dir.sb().new_inode()?;
    draft.init_owner(idmap, dir, mode)?;
    let new = NewCore {
        mode: draft.mode(),
        uid: draft.uid(),
        gid: draft.gid(),
        rdev,
    };
    let core = make(dir.fs(), dir.core()?, &new).errno()?;
    let (ino, generation) = (core.ino(), core.attributes().generation);
    let made = match draft.number(u64::from(ino.get())) {
        Ok(numbered) => fill(numbered, core).map(Made::New),
        // A file handle was faster: its inode is the one in use.
        Err(error) if error == EBUSY => iget(dir.sb(), ino).map(Made::Found),
        Err(error) => Err(error),
    };
    // The name is there, whatever the VFS has of its inode.
    changed(dir)?;
    let made = made?;
    if matches!(&made, Made::Found(inode) if inode.generation() != generation) {
        // One that was in use already: the bitmap lied.
        return Err(dir.fs().taken_twice(ino)).errno();
    }
    Ok(made)
}

/// A directory has changed: the VFS sees its new times and links; with `dirsync` it is durable.
///
/// When it fails the names have changed, which the VFS does not expect of an operation that failed.
fn changed(dir: &Inode<Rext4>) -> Result {
    refresh_contents(dir)?;
    dir.set_size(dir.core()?.disk_size());
    if dir.is_dir_synchronous() {
        dir.fs().fsync(dir.core()?, false).errno()?;
    }
    Ok(())
}

#[vtable]
impl InodeOps<Rext4> for Names {
    fn lookup(dir: &Inode<Rext4>, name: &[u8]) -> Result<Option<ARef<Inode<Rext4>>>> {
        if name.len() > NAME_MAX {
            return Err(ENAMETOOLONG);
        }
        match dir.fs().lookup(dir.live()?, name).errno()? {
            None => Ok(None),
            Some(ino) => {
                let core = dir.core()?;
                Ok(Some(iget_by(dir.sb(), ino, |fs| {
                    fs.inode_of_name(core, ino)
                })?))
            }
        }
    }

    fn create(
        idmap: &IdMap,
        dir: &Inode<Rext4>,
        name: &Dentry<Rext4>,
        mode: u16,
    ) -> Result<Made<Rext4>> {
        make(idmap, dir, mode, (0, 0), |fs, dir, new| {
            fs.create(dir, name.name(), new)
        })
    }

    fn mkdir(
        idmap: &IdMap,
        dir: &Inode<Rext4>,
        name: &Dentry<Rext4>,
        mode: u16,
    ) -> Result<Made<Rext4>> {
        make(idmap, dir, mode | S_IFDIR, (0, 0), |fs, dir, new| {
            fs.mkdir(dir, name.name(), new)
        })
    }

    fn mknod(
        idmap: &IdMap,
        dir: &Inode<Rext4>,
        name: &Dentry<Rext4>,
        mode: u16,
        rdev: u32,
    ) -> Result<Made<Rext4>> {
        let rdev = (rdev >> 20, rdev & 0xf_ffff);
        make(idmap, dir, mode, rdev, |fs, dir, new| {
            fs.create(dir, name.name(), new)
        })
    }

    fn symlink(
        idmap: &IdMap,
        dir: &Inode<Rext4>,
        name: &Dentry<Rext4>,
        target: &[u8],
    ) -> Result<Made<Rext4>> {
        make(idmap, dir, S_IFLNK | 0o777, (0, 0), |fs, dir, new| {
            fs.symlink(dir, name.name(), target, new)
        })
    }

    fn link(inode: &Inode<Rext4>, dir: &Inode<Rext4>, name: &Dentry<Rext4>) -> Result {
        dir.fs()
            .link(dir.core()?, name.name(), inode.core()?)
            .errno()?;
        refresh_names(inode)?;
        changed(dir)
    }

    fn unlink(dir: &Inode<Rext4>, name: &Dentry<Rext4>, inode: &Inode<Rext4>) -> Result {
        dir.fs()
            .unlink(dir.core()?, name.name(), inode.core()?)
            .errno()?;
        refresh_names(inode)?;
        changed(dir).inspect_err(|_| name.unhash())
    }

    fn rmdir(dir: &Inode<Rext4>, name: &Dentry<Rext4>, inode: &Inode<Rext4>) -> Result {
        dir.fs()
            .rmdir(dir.core()?, name.name(), inode.core()?)
            .errno()?;
        inode.set_size(0);
        refresh_names(inode)?;
        changed(dir).inspect_err(|_| name.unhash())
    }

    fn rename(_: &IdMap, from: Place<'_, Rext4>, to: Place<'_, Rext4>, flags: u32) -> Result {
        if flags & !RENAME_NOREPLACE != 0 {
            return Err(EINVAL);
        }
        let inode = from.name.inode().ok_or(ENOENT)?;
        let target = to.name.inode();
        if target.is_some() && inode.is_regular() {
            // The new name must never show an empty file after a crash: data first.
            inode.write_and_wait(0, u64::MAX)?;
        }
        from.dir
            .fs()
            .rename(&Rename {
                old_dir: from.dir.core()?,
                old_name: from.name.name(),
                inode: inode.core()?,
                new_dir: to.dir.core()?,
                new_name: to.name.name(),
                target: target.map(|target| target.core()).transpose()?,
            })
            .errno()?;
        // A directory that stays in its directory is not locked.
        refresh_stamp(inode)?;
        if let Some(target) = target {
            refresh_names(target)?;
        }
        changed(from.dir)
            .and_then(|()| changed(to.dir))
            .inspect_err(|_| {
                from.name.unhash();
                to.name.unhash();
            })
    }

    fn setattr(
        idmap: &IdMap,
        dentry: &Dentry<Rext4>,
        inode: &Inode<Rext4>,
        attr: &mut Attr,
    ) -> Result {
        attr::setattr(idmap, dentry, inode, attr)
    }

    fn getattr(inode: &Inode<Rext4>, stat: &mut Stat<'_>) -> Result {
        attr::getattr(inode, stat)
    }

    fn listxattr(_: &Dentry<Rext4>, inode: &Inode<Rext4>, into: &mut [u8]) -> Result<usize> {
        super::xattr::list(inode, into)
    }

    fn get_inode_acl(inode: &Inode<Rext4>, kind: AclKind) -> Result<Option<PosixAcl>> {
        super::xattr::acl(inode, kind)
    }

    fn fiemap(inode: &Inode<Rext4>, into: Fiemap<'_>, start: u64, len: u64) -> Result {
        attr::fiemap(inode, into, start, len)
    }
}

/// Operations on symbolic links.
pub(super) struct Link;

#[vtable]
impl InodeOps<Rext4> for Link {
    fn get_link(inode: &Inode<Rext4>) -> Result<KVec<u8>> {
        let target = inode.fs().read_link(inode.live()?).errno()?;
        let mut copy = KVec::with_capacity(target.len(), GFP_KERNEL)?;
        copy.extend_from_slice(&target, GFP_KERNEL)?;
        Ok(copy)
    }

    fn setattr(
        idmap: &IdMap,
        dentry: &Dentry<Rext4>,
        inode: &Inode<Rext4>,
        attr: &mut Attr,
    ) -> Result {
        attr::setattr(idmap, dentry, inode, attr)
    }

    fn getattr(inode: &Inode<Rext4>, stat: &mut Stat<'_>) -> Result {
        attr::getattr(inode, stat)
    }

    fn listxattr(_: &Dentry<Rext4>, inode: &Inode<Rext4>, into: &mut [u8]) -> Result<usize> {
        super::xattr::list(inode, into)
    }
}
