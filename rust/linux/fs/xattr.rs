// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.
//!
//! C header: `include/linux/xattr.h`.

use super::inode::Inode;
use super::FileSystem;
use crate::linux::bindings;
use core::marker::PhantomData;
use core::{ptr, slice};
use kernel::error::{from_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi;
use kernel::prelude::*;
use kernel::str::as_char_ptr_in_const_context;

/// The attributes whose names begin in one way.
#[vtable]
pub trait XattrOps<F: FileSystem>: 'static {
    /// How the names begin, dot included, as in `c"user."`.
    const PREFIX: &'static CStr;

    /// Reads the attribute `name` (without the prefix) into `into`; with an empty `into` only
    /// counts. Returns the bytes; `ERANGE` when they do not fit, `ENODATA` when there is none.
    fn get(_inode: &Inode<F>, _name: &[u8], _into: &mut [u8]) -> Result<usize> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the attribute, or with `None` removes it. When not implemented, setting is refused with
    /// `EOPNOTSUPP`.
    fn set(_inode: &Inode<F>, _name: &[u8], _value: Option<&[u8]>, _flags: u32) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// One handler, for [`XattrTable`].
#[repr(transparent)]
pub struct XattrHandler<F: FileSystem>(bindings::xattr_handler, PhantomData<F>);

// SAFETY: Constant data.
unsafe impl<F: FileSystem> Sync for XattrHandler<F> {}

impl<F: FileSystem> XattrHandler<F> {
    /// The handler for `X`.
    pub const fn new<X: XattrOps<F>>() -> Self {
        Self(
            bindings::xattr_handler {
                prefix: as_char_ptr_in_const_context(X::PREFIX),
                get: if X::HAS_GET { Some(get::<F, X>) } else { None },
                set: if X::HAS_SET { Some(set::<F, X>) } else { None },
                ..pin_init::zeroed()
            },
            PhantomData,
        )
    }
}

/// A table of handlers: up to seven, tried in order.
#[repr(transparent)]
pub struct XattrTable<F: FileSystem>([*const XattrHandler<F>; 8]);

// SAFETY: Constant data.
unsafe impl<F: FileSystem> Sync for XattrTable<F> {}

impl<F: FileSystem> XattrTable<F> {
    /// A table of these handlers.
    pub const fn new<const N: usize>(handlers: [&'static XattrHandler<F>; N]) -> Self {
        assert!(N < 8, "the last entry must stay NULL");
        let mut table = [ptr::null(); 8];
        let mut index = 0;
        while index < N {
            table[index] = ptr::from_ref(handlers[index]);
            index += 1;
        }
        Self(table)
    }

    pub(super) fn as_ptr(&'static self) -> *const *const bindings::xattr_handler {
        self.0.as_ptr().cast()
    }
}

/// # Safety
///
/// Called by the VFS only, for inodes of a superblock of a type registered for `F`.
unsafe extern "C" fn get<F: FileSystem, X: XattrOps<F>>(
    _handler: *const bindings::xattr_handler,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const ffi::c_char,
    buffer: *mut ffi::c_void,
    size: usize,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The inode is live, the name is terminated, and the buffer has room for `size`
        // bytes, or is NULL.
        let (inode, name, into) = unsafe {
            let into = if buffer.is_null() {
                &mut []
            } else {
                slice::from_raw_parts_mut(buffer.cast::<u8>(), size)
            };
            (
                Inode::from_raw(inode),
                CStr::from_char_ptr(name.cast()).to_bytes(),
                into,
            )
        };
        i32::try_from(X::get(inode, name, into)?).map_err(|_| ERANGE)
    })
}

/// # Safety
///
/// Called by the VFS only, for inodes of a superblock of a type registered for `F`.
unsafe extern "C" fn set<F: FileSystem, X: XattrOps<F>>(
    _handler: *const bindings::xattr_handler,
    _idmap: *mut bindings::mnt_idmap,
    _dentry: *mut bindings::dentry,
    inode: *mut bindings::inode,
    name: *const ffi::c_char,
    value: *const ffi::c_void,
    size: usize,
    flags: ffi::c_int,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The inode is live and locked, the name is terminated, and the value has `size`
        // bytes, or is NULL.
        let (inode, name, value) = unsafe {
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            (
                Inode::from_raw(inode),
                CStr::from_char_ptr(name.cast()).to_bytes(),
                value,
            )
        };
        X::set(inode, name, value, flags as u32).map(|()| 0)
    })
}
