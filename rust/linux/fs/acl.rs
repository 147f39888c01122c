// SPDX-License-Identifier: GPL-2.0

//! Access control lists.
//!
//! C header: `include/linux/posix_acl.h`.

use crate::linux::bindings;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;

/// Which list of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclKind {
    /// The one that governs access.
    Access,
    /// The one of a directory that what is made in it begins with.
    Default,
}

impl AclKind {
    pub(super) fn from_raw(kind: ffi::c_int) -> Option<Self> {
        match kind as u32 {
            bindings::ACL_TYPE_ACCESS => Some(Self::Access),
            bindings::ACL_TYPE_DEFAULT => Some(Self::Default),
            _ => None,
        }
    }

    pub(super) fn as_raw(self) -> ffi::c_int {
        let kind = match self {
            Self::Access => bindings::ACL_TYPE_ACCESS,
            Self::Default => bindings::ACL_TYPE_DEFAULT,
        };
        kind as ffi::c_int
    }
}

/// One entry: who, and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// `ACL_USER_OBJ` (1), `ACL_USER` (2), `ACL_GROUP_OBJ` (4), `ACL_GROUP` (8), `ACL_MASK` (16) or
    /// `ACL_OTHER` (32).
    pub tag: u16,
    /// Read 4, write 2, execute 1.
    pub perm: u16,
    /// The user or group, for `ACL_USER` and `ACL_GROUP`, as on the disk.
    pub id: u32,
}

/// A list in the kernel's form (`struct posix_acl`).
///
/// # Invariants
///
/// The reference is ours.
pub struct PosixAcl(NonNull<bindings::posix_acl>);

impl PosixAcl {
    /// Makes a list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` when an entry's tag is unknown or the list as a whole makes no sense.
    pub fn new(entries: &[AclEntry]) -> Result<Self> {
        let count = u32::try_from(entries.len()).map_err(|_| EINVAL)?;
        // SAFETY: The call makes a list of `count` entries, or NULL.
        let acl = unsafe { bindings::posix_acl_alloc(count, bindings::GFP_NOFS) };
        let this = Self(NonNull::new(acl).ok_or(ENOMEM)?);
        for (index, entry) in entries.iter().enumerate() {
            // SAFETY: The list has that many entries and is ours alone.
            let ok = unsafe {
                bindings::posix_acl_set(
                    acl,
                    index as ffi::c_uint,
                    entry.tag.into(),
                    entry.perm.into(),
                    entry.id,
                )
            };
            if !ok {
                return Err(EINVAL);
            }
        }
        // SAFETY: The list is complete.
        kernel::error::to_result(unsafe { bindings::posix_acl_check(acl) })?;
        Ok(this)
    }

    pub(super) fn into_raw(self) -> *mut bindings::posix_acl {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for PosixAcl {
    fn drop(&mut self) {
        // SAFETY: The type invariant.
        unsafe { bindings::posix_acl_release(self.0.as_ptr()) }
    }
}
