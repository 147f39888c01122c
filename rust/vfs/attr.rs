// SPDX-License-Identifier: GPL-2.0

//! Attributes, and the size among them: what is common to all kinds of inodes.

use super::error::OrErrno;
use super::iget::{from_vfs, refresh_contents, to_vfs};
use super::{map, InodeExt, Rext4};
use crate::core::mount::AttributeChanges;
use crate::format::inode::InodeFlags;
use crate::linux::fs::acl::{AclKind, PosixAcl};
use crate::linux::fs::attr::{valid, Attr, IdMap, Stat};
use crate::linux::fs::dentry::Dentry;
use crate::linux::fs::inode::{Inode, Time};
use crate::linux::fs::inode_ops::InodeOps;
use crate::linux::iomap;
use crate::linux::iomap::fiemap::Fiemap;
use core::sync::atomic::Ordering::Relaxed;
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// Operations on regular and special files.
pub(super) struct Plain;

#[vtable]
impl InodeOps<Rext4> for Plain {
    fn setattr(
        idmap: &IdMap,
        dentry: &Dentry<Rext4>,
        inode: &Inode<Rext4>,
        attr: &mut Attr,
    ) -> Result {
        setattr(idmap, dentry, inode, attr)
    }

    fn getattr(inode: &Inode<Rext4>, stat: &mut Stat<'_>) -> Result {
        if inode.is_regular() {
            stat.set_dio_alignment(inode);
        }
        getattr(inode, stat)
    }

    fn listxattr(_: &Dentry<Rext4>, inode: &Inode<Rext4>, into: &mut [u8]) -> Result<usize> {
        super::xattr::list(inode, into)
    }

    fn get_inode_acl(inode: &Inode<Rext4>, kind: AclKind) -> Result<Option<PosixAcl>> {
        super::xattr::acl(inode, kind)
    }

    fn fiemap(inode: &Inode<Rext4>, into: Fiemap<'_>, start: u64, len: u64) -> Result {
        if !inode.is_regular() {
            return Err(EOPNOTSUPP);
        }
        fiemap(inode, into, start, len)
    }
}

/// Reports where a file or a directory is; see [`InodeOps::fiemap`].
pub(super) fn fiemap(inode: &Inode<Rext4>, into: Fiemap<'_>, start: u64, len: u64) -> Result {
    if into.is_for_xattr() {
        return Err(EOPNOTSUPP);
    }
    into.report::<Rext4, map::Report>(inode, start, len)
}

/// Changes attributes; see [`InodeOps::setattr`].
pub(super) fn setattr(
    idmap: &IdMap,
    dentry: &Dentry<Rext4>,
    inode: &Inode<Rext4>,
    attr: &mut Attr,
) -> Result {
    attr.prepare(idmap, dentry)?;
    let Some(size) = attr.size() else {
        return set_others(idmap, inode, attr);
    };
    resize(inode, size)?;
    refresh_contents(inode)?;
    set_others(idmap, inode, attr)?;
    if inode.is_synchronous() {
        inode.fs().fsync(inode.core()?, false).errno()?;
    }
    Ok(())
}

/// Changes what is not the size.
fn set_others(idmap: &IdMap, inode: &Inode<Rext4>, attr: &mut Attr) -> Result {
    let what = attr.valid();
    let known = valid::MODE | valid::UID | valid::GID | valid::ATIME | valid::MTIME | valid::CTIME;
    if what & known == 0 {
        return Ok(());
    }
    let owner = (attr.uid(idmap, inode), attr.gid(idmap, inode));
    let before = Before::of(inode);
    attr.copy_to(idmap, inode);
    let is = |bit: u32| what & bit != 0;
    let set = inode
        .fs()
        .set_attributes(
            inode.core()?,
            &AttributeChanges {
                mode: is(valid::MODE).then(|| inode.mode()),
                uid: owner.0,
                gid: owner.1,
                atime: is(valid::ATIME).then(|| from_vfs(inode.atime())),
                mtime: is(valid::MTIME).then(|| from_vfs(inode.mtime())),
                ctime: Some(from_vfs(inode.ctime())),
            },
        )
        .errno();
    if set.is_err() {
        before.restore(inode);
    } else {
        inode.keep_times();
    }
    if is(valid::MODE) {
        // The list has followed the permissions.
        inode.forget_acl(AclKind::Access);
    }
    set
}

/// What the VFS shows of an inode, for the case that a change of it fails.
struct Before {
    mode: u16,
    owner: (u32, u32),
    times: [Time; 3],
}

impl Before {
    fn of(inode: &Inode<Rext4>) -> Self {
        Self {
            mode: inode.mode(),
            owner: (inode.uid(), inode.gid()),
            times: [inode.atime(), inode.mtime(), inode.ctime()],
        }
    }

    fn restore(self, inode: &Inode<Rext4>) {
        let [atime, mtime, ctime] = self.times;
        inode.set_mode(self.mode);
        inode.set_ids(self.owner.0, self.owner.1);
        inode.set_atime(atime);
        inode.set_mtime(mtime);
        inode.set_ctime(ctime);
    }
}

/// Sets the size of a regular file. Needs `i_rwsem` exclusively.
///
/// Data that the old size covered and the new one does not is dropped from the page cache before the
/// blocks go; what lies between the old end and the new one reads as zeroes.
fn resize(inode: &Inode<Rext4>, size: u64) -> Result {
    if !inode.is_regular() {
        return Err(EINVAL);
    }
    let core = inode.core()?;
    inode.fs().writable().errno()?;
    inode.size_allowed(size)?;
    let old = inode.size();
    inode.wait_for_direct_io();
    let locked = inode.lock_invalidate();
    let settled = inode
        .fs()
        .resize(core, old, size)
        .zero(|end| {
            let len = end.end.saturating_sub(end.start);
            iomap::zero_range::<Rext4, map::Write>(inode, end.start, len).map(drop)
        })?
        .write(|first, last| inode.write_and_wait(first, last))?;
    // Drops what is past the end, and waits for writes of it that are on their way: when one ends, it
    // moves the disk's size up.
    inode.truncate_setsize(size);
    let done = inode.fs().truncate(settled).errno();
    if done.is_err() {
        // What the disk still has belongs to the file.
        inode.set_size(core.disk_size().clamp(old.min(size), old.max(size)));
    }
    if size == 0 && old > 0 {
        inode.data().rewritten.store(true, Relaxed);
    }
    drop(locked);
    done
}

/// Completes what `stat` shows.
pub(super) fn getattr(inode: &Inode<Rext4>, stat: &mut Stat<'_>) -> Result {
    /// `STATX_ATTR_*`.
    const COMPRESSED: u64 = 0x4;
    const IMMUTABLE: u64 = 0x10;
    const APPEND: u64 = 0x20;
    const NODUMP: u64 = 0x40;
    const ENCRYPTED: u64 = 0x800;
    let core = inode.core()?;
    let attributes = core.attributes();
    if let Some(time) = attributes.crtime {
        stat.set_btime(to_vfs(time));
    }
    let flags = InodeFlags(attributes.flags);
    let bits = [
        (InodeFlags::IMMUTABLE, IMMUTABLE),
        (InodeFlags::APPEND, APPEND),
        (InodeFlags::NODUMP, NODUMP),
        (InodeFlags::COMPR, COMPRESSED),
    ];
    let set = bits
        .iter()
        .filter(|(disk, _)| flags.has(*disk))
        .fold(0, |set, (_, bit)| set | bit);
    // Encrypted ones are refused: that none is, is known too.
    let known = COMPRESSED | IMMUTABLE | APPEND | NODUMP | ENCRYPTED;
    stat.set_attributes(set, known);
    stat.set_blocks(core.space());
    Ok(())
}
