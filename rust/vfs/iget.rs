// SPDX-License-Identifier: GPL-2.0

//! From the file system's inodes to the VFS's, and keeping the two the same.

use super::error::OrErrno;
use super::{attr, file, map, namei, readdir, InodeExt, Rext4};
use crate::core::error::Result as CoreResult;
use crate::core::mount::{Attributes, Filesystem, Inode as CoreInode, InodeKind, Timestamp};
use crate::core::platform::Arc;
use crate::format::inode::InodeFlags;
use crate::format::units::Ino;
use crate::linux::fs::inode::{flag, Inode, Time};
use crate::linux::fs::new_inode::{Iget, NewInode};
use crate::linux::fs::sb::SuperBlock;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// A time as the VFS has it.
pub(super) fn to_vfs(time: Timestamp) -> Time {
    Time {
        sec: time.sec,
        nsec: time.nsec,
    }
}

/// A time as the file system has it.
pub(super) fn from_vfs(time: Time) -> Timestamp {
    Timestamp {
        sec: time.sec,
        nsec: time.nsec,
    }
}

/// The inode with this number, from memory or from the disk.
pub(super) fn iget(sb: &SuperBlock<Rext4>, ino: Ino) -> Result<ARef<Inode<Rext4>>> {
    iget_by(sb, ino, |fs| fs.inode(ino))
}

/// The inode with this number, from memory or as `read` finds it.
pub(super) fn iget_by(
    sb: &SuperBlock<Rext4>,
    ino: Ino,
    read: impl FnOnce(&Filesystem) -> CoreResult<Arc<CoreInode>>,
) -> Result<ARef<Inode<Rext4>>> {
    match sb.iget(u64::from(ino.get()))? {
        Iget::Cached(inode) if inode.is_bad() => Err(EIO),
        Iget::Cached(inode) => Ok(inode),
        Iget::New(new) => {
            let core = read(&sb.data().fs).errno()?;
            Ok(fill(new, core)?.finish())
        }
    }
}

/// Completes a new VFS inode from the file system's: fields and operations.
pub(super) fn fill(mut new: NewInode<Rext4>, core: Arc<CoreInode>) -> Result<NewInode<Rext4>> {
    let attributes = core.attributes();
    let Attributes {
        atime,
        mtime,
        ctime,
        ..
    } = attributes;
    new.init_mode(attributes.mode)
        .init_ids(attributes.uid, attributes.gid)
        .init_times(to_vfs(atime), to_vfs(mtime), to_vfs(ctime))
        .init_size(attributes.size)
        .init_generation(attributes.generation)
        .init_flags(vfs_flags(InodeFlags(attributes.flags)));
    if !core.may_have_xattrs() {
        new.init_no_acl();
    }
    match core.kind() {
        InodeKind::Directory => {
            new.set_ops::<namei::Names, readdir::Directory>();
        }
        InodeKind::Regular => {
            new.set_ops::<attr::Plain, file::Regular>();
            new.set_mapping_ops::<map::Cached>(true);
        }
        InodeKind::Symlink => set_link(&mut new, &core)?,
        InodeKind::CharDevice | InodeKind::BlockDevice | InodeKind::Fifo | InodeKind::Socket => {
            let (major, minor) = attributes.rdev;
            // As MKDEV(): 20 bits of minor number.
            new.set_special::<attr::Plain>(major << 20 | minor & 0xf_ffff);
        }
    }
    if !new.data().core.populate(core) {
        return Err(EIO);
    }
    refresh_shape(&new, &attributes);
    Ok(new)
}

/// Short targets are kept with the inode, so that path walks need not ask.
fn set_link(new: &mut NewInode<Rext4>, core: &CoreInode) -> Result {
    if core.attributes().blocks == 0 {
        let target = new.fs().read_link(core).errno()?;
        return new.set_fast_link::<namei::Link>(&target);
    }
    new.set_slow_link::<namei::Link>();
    Ok(())
}

/// The flags of the disk that the VFS enforces.
fn vfs_flags(flags: InodeFlags) -> u32 {
    let pairs = [
        (InodeFlags::SYNC, flag::SYNC),
        (InodeFlags::APPEND, flag::APPEND),
        (InodeFlags::IMMUTABLE, flag::IMMUTABLE),
        (InodeFlags::NOATIME, flag::NOATIME),
        (InodeFlags::DIRSYNC, flag::DIRSYNC),
    ];
    pairs
        .iter()
        .filter(|(disk, _)| flags.has(*disk))
        .fold(0, |bits, (_, bit)| bits | bit)
}

/// Links and space, as the file system has them.
fn refresh_shape(inode: &Inode<Rext4>, attributes: &Attributes) {
    if inode.nlink() != attributes.links {
        inode.set_nlink(attributes.links);
    }
    inode.set_blocks(attributes.blocks);
}

/// Tells the VFS that the file system has stamped a change of the inode, and nothing else: the other times
/// may be newer in the VFS (`lazytime`). The inode need not be locked.
pub(super) fn refresh_stamp(inode: &Inode<Rext4>) -> Result {
    inode.set_ctime(to_vfs(inode.core()?.attributes().ctime));
    inode.keep_times();
    Ok(())
}

/// Tells the VFS that an inode, which is locked, has got or lost a name.
pub(super) fn refresh_names(inode: &Inode<Rext4>) -> Result {
    refresh_shape(inode, &inode.core()?.attributes());
    refresh_stamp(inode)
}

/// Tells the VFS that what is in an inode, which is locked, has changed: a file's size, a directory's names.
pub(super) fn refresh_contents(inode: &Inode<Rext4>) -> Result {
    inode.set_mtime(to_vfs(inode.core()?.attributes().mtime));
    refresh_names(inode)
}
