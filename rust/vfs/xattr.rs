// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists: reading and removing those that are on the disk.

use super::error::OrErrno;
use super::iget::refresh_stamp;
use super::{InodeExt, Rext4};
use crate::format::xattr as names;
use crate::linux::caller::is_administrator;
use crate::linux::fs::acl::{AclEntry, AclKind, PosixAcl};
use crate::linux::fs::inode::Inode;
use crate::linux::fs::xattr::{XattrHandler, XattrOps, XattrTable};
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// Copies a value out, or with an empty buffer only tells its length.
fn copy_out(value: &[u8], into: &mut [u8]) -> Result<usize> {
    if !into.is_empty() {
        into.get_mut(..value.len())
            .ok_or(ERANGE)?
            .copy_from_slice(value);
    }
    Ok(value.len())
}

/// Removes an attribute. File capabilities go this way when a file is written to, cut or given away.
fn remove(inode: &Inode<Rext4>, index: u8, name: &[u8]) -> Result {
    inode
        .fs()
        .xattr_remove(inode.core()?, index, name)
        .errno()?;
    refresh_stamp(inode)?;
    if inode.is_synchronous() {
        inode.fs().fsync(inode.core()?, false).errno()?;
    }
    Ok(())
}

macro_rules! handler {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $index:expr) => {
        $(#[$doc])*
        struct $name;

        #[vtable]
        impl XattrOps<Rext4> for $name {
            const PREFIX: &'static CStr = $prefix;

            fn get(inode: &Inode<Rext4>, name: &[u8], into: &mut [u8]) -> Result<usize> {
                let value = inode.fs().xattr_get(inode.live()?, $index, name).errno()?;
                copy_out(&value, into)
            }

            fn set(inode: &Inode<Rext4>, name: &[u8], value: Option<&[u8]>, _: u32) -> Result {
                match value {
                    Some(_) => Err(EOPNOTSUPP),
                    None => remove(inode, $index, name),
                }
            }
        }
    };
}

handler!(
    /// Attributes of users.
    User, c"user.", names::USER
);
handler!(
    /// Attributes of the superuser.
    Trusted, c"trusted.", names::TRUSTED
);
handler!(
    /// Attributes of security modules.
    Security, c"security.", names::SECURITY
);

/// Finds attributes by the beginning of their name.
pub(super) static HANDLERS: XattrTable<Rext4> = XattrTable::new([
    const { &XattrHandler::new::<User>() },
    const { &XattrHandler::new::<Trusted>() },
    const { &XattrHandler::new::<Security>() },
]);

/// Whether the calling task is shown the names with this index: only those that there is a way to read.
fn is_listed(index: u8) -> bool {
    match index {
        names::USER | names::SECURITY => true,
        // The VFS reads them by `get_inode_acl`.
        names::POSIX_ACL_ACCESS | names::POSIX_ACL_DEFAULT => true,
        names::TRUSTED => is_administrator(),
        _ => false,
    }
}

/// Lists names; see [`crate::linux::fs::inode_ops::InodeOps::listxattr`].
pub(super) fn list(inode: &Inode<Rext4>, into: &mut [u8]) -> Result<usize> {
    let mut used = 0usize;
    let count_only = into.is_empty();
    let mut fits = true;
    inode
        .fs()
        .xattr_list(inode.live()?, |index, name| {
            let Some(prefix) = names::prefix(index).filter(|_| is_listed(index)) else {
                return Ok(());
            };
            for part in [prefix.as_bytes(), name, &[0]] {
                let end = used.saturating_add(part.len());
                if !count_only {
                    match into.get_mut(used..end) {
                        Some(room) => room.copy_from_slice(part),
                        None => fits = false,
                    }
                }
                used = end;
            }
            Ok(())
        })
        .errno()?;
    if fits {
        Ok(used)
    } else {
        Err(ERANGE)
    }
}

/// Reads a list; see [`crate::linux::fs::inode_ops::InodeOps::get_inode_acl`].
pub(super) fn acl(inode: &Inode<Rext4>, kind: AclKind) -> Result<Option<PosixAcl>> {
    let index = match kind {
        AclKind::Access => names::POSIX_ACL_ACCESS,
        AclKind::Default => names::POSIX_ACL_DEFAULT,
    };
    let list = inode.fs().acl(inode.live()?, index).errno()?;
    // An empty list says nothing.
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return Ok(None);
    };
    let mut entries = KVec::with_capacity(list.len(), GFP_KERNEL)?;
    for entry in &list {
        let (tag, id) = entry.tag.parts();
        entries.push(
            AclEntry {
                tag,
                perm: entry.perm,
                id: id.unwrap_or(0),
            },
            GFP_KERNEL,
        )?;
    }
    PosixAcl::new(&entries).map(Some)
}
