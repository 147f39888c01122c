// SPDX-License-Identifier: GPL-2.0

//! Operations on inodes by name and by attribute: `struct inode_operations`.
//!
//! C header: `include/linux/fs.h`.

use super::acl::{AclKind, PosixAcl};
use super::attr::{Attr, IdMap, Stat};
use super::dentry::Dentry;
use super::inode::Inode;
use super::new_inode::NewInode;
use super::super_ops::{errno, slot};
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::iomap::fiemap::Fiemap;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::{ptr, slice};
use kernel::error::{from_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// The operations of one kind of inode. Implement it for an empty type per kind (directory,
/// regular file, link), with only what makes sense for it.
///
/// All run in task context and may sleep. Those that take `dir` hold its `i_rwsem`: exclusively
/// where they change it, at least shared in `lookup`. A name's inode that goes away or is replaced
/// is locked too.
#[vtable]
pub trait InodeOps<F: FileSystem>: 'static {
    /// Finds the inode of a name in `dir`.
    fn lookup(_dir: &Inode<F>, _name: &[u8]) -> Result<Option<ARef<Inode<F>>>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a regular file.
    fn create(_: &IdMap, _dir: &Inode<F>, _name: &Dentry<F>, _mode: u16) -> Result<Made<F>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory.
    fn mkdir(_: &IdMap, _dir: &Inode<F>, _name: &Dentry<F>, _mode: u16) -> Result<Made<F>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a device, pipe or socket.
    fn mknod(
        _: &IdMap,
        _dir: &Inode<F>,
        _name: &Dentry<F>,
        _mode: u16,
        _rdev: u32,
    ) -> Result<Made<F>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link.
    fn symlink(_: &IdMap, _dir: &Inode<F>, _name: &Dentry<F>, _target: &[u8]) -> Result<Made<F>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Gives `inode` one more name.
    fn link(_inode: &Inode<F>, _dir: &Inode<F>, _name: &Dentry<F>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes a name of `inode`, which is not a directory, away.
    fn unlink(_dir: &Inode<F>, _name: &Dentry<F>, _inode: &Inode<F>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes the name of an empty directory away.
    fn rmdir(_dir: &Inode<F>, _name: &Dentry<F>, _inode: &Inode<F>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Renames; `to.name.inode()` is replaced, if there is one. `flags` are `RENAME_*`: refuse what
    /// is not known with `EINVAL`.
    fn rename(_: &IdMap, _from: Place<'_, F>, _to: Place<'_, F>, _flags: u32) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The target of a symbolic link that is not in memory.
    fn get_link(_inode: &Inode<F>) -> Result<KVec<u8>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes. Holds the inode's `i_rwsem` exclusively.
    fn setattr(_: &IdMap, _dentry: &Dentry<F>, _inode: &Inode<F>, _attr: &mut Attr) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Completes the attributes that the VFS has filled in from the inode.
    fn getattr(_inode: &Inode<F>, _stat: &mut Stat<'_>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Lists the names of extended attributes, each with a NUL after it, into `into`; with an empty
    /// `into` only counts. Returns the bytes; `ERANGE` when they do not fit.
    fn listxattr(_dentry: &Dentry<F>, _inode: &Inode<F>, _into: &mut [u8]) -> Result<usize> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads an access control list; `None` when there is none.
    fn get_inode_acl(_inode: &Inode<F>, _kind: AclKind) -> Result<Option<PosixAcl>> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reports the mapping of the bytes `start..start + len`.
    fn fiemap(_inode: &Inode<F>, _into: Fiemap<'_>, _start: u64, _len: u64) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// One side of a rename.
pub struct Place<'a, F: FileSystem> {
    /// The directory.
    pub dir: &'a Inode<F>,
    /// The name in it.
    pub name: &'a Dentry<F>,
}

/// An inode that was made, as the VFS has it.
pub enum Made<F: FileSystem> {
    /// Nobody has seen it.
    New(NewInode<F>),
    /// Somebody has found it by its number before it had a name in memory.
    Found(ARef<Inode<F>>),
}

/// The C tables for inodes of kind `I`.
pub(super) struct InodeVTable<F, I>(PhantomData<(F, I)>);

impl<F: FileSystem, I: InodeOps<F>> InodeVTable<F, I> {
    const OPS: bindings::inode_operations = bindings::inode_operations {
        lookup: slot!(I::HAS_LOOKUP, Self::lookup),
        create: slot!(I::HAS_CREATE, Self::create),
        mkdir: slot!(I::HAS_MKDIR, Self::mkdir),
        mknod: slot!(I::HAS_MKNOD, Self::mknod),
        symlink: slot!(I::HAS_SYMLINK, Self::symlink),
        link: slot!(I::HAS_LINK, Self::link),
        unlink: slot!(I::HAS_UNLINK, Self::unlink),
        rmdir: slot!(I::HAS_RMDIR, Self::rmdir),
        rename: slot!(I::HAS_RENAME, Self::rename),
        get_link: slot!(I::HAS_GET_LINK, Self::get_link),
        setattr: slot!(I::HAS_SETATTR, Self::setattr),
        getattr: slot!(I::HAS_GETATTR, Self::getattr),
        listxattr: slot!(I::HAS_LISTXATTR, Self::listxattr),
        get_inode_acl: slot!(I::HAS_GET_INODE_ACL, Self::get_inode_acl),
        fiemap: slot!(I::HAS_FIEMAP, Self::fiemap),
        ..pin_init::zeroed()
    };

    pub(super) const TABLE: *const bindings::inode_operations = &Self::OPS;

    /// For links whose target the VFS finds in `i_link`.
    pub(super) const FAST_LINK: *const bindings::inode_operations = &bindings::inode_operations {
        get_link: Some(bindings::simple_get_link),
        ..Self::OPS
    };

    /// # Safety
    ///
    /// This and the other callbacks are called by the VFS only, as the table's C type documents,
    /// for inodes of a superblock of a type registered for `F`, with the locks that
    /// `Documentation/filesystems/locking.rst` gives.
    unsafe extern "C" fn lookup(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        _flags: ffi::c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: The VFS holds the directory's lock, and the dentry.
        let found =
            unsafe { I::lookup(Inode::from_raw(dir), Dentry::<F>::from_raw(dentry).name()) };
        let inode = match found {
            Ok(Some(inode)) => ARef::into_raw(inode).as_ptr().cast(),
            Ok(None) => ptr::null_mut(),
            Err(error) => return error.to_ptr(),
        };
        // SAFETY: The call takes over the inode's reference.
        unsafe { bindings::d_splice_alias(inode, dentry) }
    }

    /// Hands a new inode to its name. After an error nobody knows whether the name was made: it is looked up
    /// anew.
    ///
    /// # Safety
    ///
    /// `dentry` must be the negative, locked dentry the inode was made for.
    unsafe fn instantiate(dentry: *mut bindings::dentry, made: Result<Made<F>>) -> ffi::c_int {
        match made {
            // SAFETY: The inode is new; the call ends that and takes over the reference.
            Ok(Made::New(inode)) => unsafe {
                bindings::d_instantiate_new(dentry, inode.into_raw());
                0
            },
            // SAFETY: The inode is live; the call takes over the reference.
            Ok(Made::Found(inode)) => unsafe {
                bindings::d_instantiate(dentry, ARef::into_raw(inode).as_ptr().cast());
                0
            },
            // SAFETY: The dentry is live and locked.
            Err(error) => unsafe {
                bindings::d_drop(dentry);
                error.to_errno()
            },
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn create(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, and the dentry is negative and locked.
        unsafe {
            let (idmap, dir, name) = (
                IdMap::from_raw(idmap),
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
            );
            Self::instantiate(dentry, I::create(idmap, dir, name, mode))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn mkdir(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> *mut bindings::dentry {
        // SAFETY: The VFS's objects are live, and the dentry is negative and locked. A directory that
        // was found may have a dentry without a name, which has to become this one: only one that is
        // not hashed can be exchanged for it.
        unsafe {
            let (idmap, dir, name) = (
                IdMap::from_raw(idmap),
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
            );
            let made = I::mkdir(idmap, dir, name, mode | bindings::S_IFDIR as u16);
            if let Ok(Made::Found(inode)) = made {
                bindings::d_drop(dentry);
                return bindings::d_splice_alias(ARef::into_raw(inode).as_ptr().cast(), dentry);
            }
            match Self::instantiate(dentry, made) {
                0 => ptr::null_mut(),
                code => Error::from_errno(code).to_ptr(),
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn mknod(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
        rdev: bindings::dev_t,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, and the dentry is negative and locked.
        unsafe {
            let (idmap, dir, name) = (
                IdMap::from_raw(idmap),
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
            );
            Self::instantiate(dentry, I::mknod(idmap, dir, name, mode, rdev))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn symlink(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        target: *const ffi::c_char,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, the dentry is negative and locked, and the target is a
        // terminated string.
        unsafe {
            let (idmap, dir, name) = (
                IdMap::from_raw(idmap),
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
            );
            let target = CStr::from_char_ptr(target.cast()).to_bytes();
            Self::instantiate(dentry, I::symlink(idmap, dir, name, target))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn link(
        old: *mut bindings::dentry,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live; the old name has an inode, which is locked, the new
        // one has none. `d_instantiate` takes over the reference taken here.
        unsafe {
            let inode = (*old).d_inode;
            let made = I::link(
                Inode::from_raw(inode),
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
            );
            if made.is_ok() {
                bindings::ihold(inode);
                bindings::d_instantiate(dentry, inode);
            } else {
                // As in `instantiate`.
                bindings::d_drop(dentry);
            }
            errno(made)
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn unlink(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live; the name has an inode.
        unsafe {
            let inode = Inode::from_raw((*dentry).d_inode);
            errno(I::unlink(
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
                inode,
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn rmdir(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live; the name has an inode.
        unsafe {
            let inode = Inode::from_raw((*dentry).d_inode);
            errno(I::rmdir(
                Inode::from_raw(dir),
                Dentry::from_raw(dentry),
                inode,
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn rename(
        idmap: *mut bindings::mnt_idmap,
        old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: ffi::c_uint,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live and locked.
        unsafe {
            let from = Place {
                dir: Inode::from_raw(old_dir),
                name: Dentry::from_raw(old),
            };
            let to = Place {
                dir: Inode::from_raw(new_dir),
                name: Dentry::from_raw(new),
            };
            errno(I::rename(IdMap::from_raw(idmap), from, to, flags))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn get_link(
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        done: *mut bindings::delayed_call,
    ) -> *const ffi::c_char {
        if dentry.is_null() {
            // An RCU path walk: come again when sleeping is allowed.
            return ECHILD.to_ptr::<ffi::c_char>();
        }
        // SAFETY: The VFS's objects are live.
        let target = unsafe { I::get_link(Inode::from_raw(inode)) };
        let target = target.and_then(|mut target| {
            target.push(0, GFP_KERNEL)?;
            Ok(target)
        });
        match target {
            Err(error) => error.to_ptr::<ffi::c_char>(),
            Ok(target) => {
                let text = ManuallyDrop::new(target).as_mut_ptr();
                // SAFETY: The VFS calls `kfree_link` with the text, once, when it is done with it.
                unsafe {
                    bindings::set_delayed_call(done, Some(bindings::kfree_link), text.cast())
                };
                text.cast()
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, the inode is locked, `attr` is for us to use.
        unsafe {
            let inode = Inode::from_raw((*dentry).d_inode);
            errno(I::setattr(
                IdMap::from_raw(idmap),
                Dentry::from_raw(dentry),
                inode,
                Attr::from_raw(attr),
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        _flags: ffi::c_uint,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live; the path has an inode; `stat` is for us to fill.
        unsafe {
            let inode = (*(*path).dentry).d_inode;
            bindings::generic_fillattr(idmap, mask, inode, stat);
            errno(I::getattr(
                Inode::from_raw(inode),
                &mut Stat::from_raw(stat, mask),
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn listxattr(
        dentry: *mut bindings::dentry,
        into: *mut ffi::c_char,
        size: usize,
    ) -> isize {
        from_result(|| {
            // SAFETY: The VFS's objects are live; `into` has room for `size` bytes, or is NULL.
            let (dentry, inode, into) = unsafe {
                let into = if into.is_null() {
                    &mut []
                } else {
                    slice::from_raw_parts_mut(into.cast::<u8>(), size)
                };
                (
                    Dentry::from_raw(dentry),
                    Inode::from_raw((*dentry).d_inode),
                    into,
                )
            };
            isize::try_from(I::listxattr(dentry, inode, into)?).map_err(|_| ERANGE)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn get_inode_acl(
        inode: *mut bindings::inode,
        kind: ffi::c_int,
        rcu: bool,
    ) -> *mut bindings::posix_acl {
        if rcu {
            // Come again when sleeping is allowed.
            return ECHILD.to_ptr();
        }
        let Some(kind) = AclKind::from_raw(kind) else {
            return EINVAL.to_ptr();
        };
        // SAFETY: The VFS's objects are live.
        match unsafe { I::get_inode_acl(Inode::from_raw(inode), kind) } {
            Ok(None) => ptr::null_mut(),
            Ok(Some(acl)) => acl.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// As for [`Self::lookup`].
    unsafe extern "C" fn fiemap(
        inode: *mut bindings::inode,
        into: *mut bindings::fiemap_extent_info,
        start: u64,
        len: u64,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live; `into` is for us to fill.
        unsafe {
            errno(I::fiemap(
                Inode::from_raw(inode),
                Fiemap::from_raw(into),
                start,
                len,
            ))
        }
    }
}
