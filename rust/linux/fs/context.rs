// SPDX-License-Identifier: GPL-2.0

//! Registering a file system, and mounting: from the options to a superblock with a root.
//!
//! C header: `include/linux/fs_context.h`.

use super::params::{Param, ParamTable};
use super::sb::{flag, NewSuper, Rooted, SuperBlock};
use super::super_ops::{kill_sb, InodeCache, SuperOps};
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::sysfs::Root;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;
use kernel::error::{from_result, to_result};
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::ForeignOwnable;

/// How a file system is mounted and remounted. All run in task context and may sleep.
pub trait ContextOps: FileSystem + SuperOps {
    /// The mount options.
    const PARAMS: &'static ParamTable;

    /// Whether it goes by `mnt_idmap` where owners matter.
    const ID_MAPPED: bool = true;

    /// Takes in one option.
    fn parse_param(options: &mut Self::Options, param: &Param<'_>, cx: &Context<'_>) -> Result;

    /// Reads the file system and fills the superblock. What fails is reported with
    /// [`Context::error`], and undone by dropping.
    fn fill_super(
        sb: NewSuper<'_, Self>,
        options: &mut Self::Options,
        cx: &Context<'_>,
    ) -> Result<Rooted>;

    /// Changes a mount. [`Context::is_read_only`] tells whether it is to be read-only; the VFS sets
    /// the flag when this returns.
    ///
    /// The VFS writes nothing back: a file system that becomes read-only calls
    /// [`SuperBlock::sync_filesystem`] itself, or all that is dirty is lost. Nobody has a file open for
    /// writing then, unless the remount is forced (`SB_FORCE`, sysrq-u): writers go on meanwhile.
    fn reconfigure(sb: &SuperBlock<Self>, options: &mut Self::Options, cx: &Context<'_>) -> Result;
}

/// Wraps `struct fs_context` in a callback.
pub struct Context<'a>(&'a bindings::fs_context);

impl Context<'_> {
    /// Whether the mount is to be read-only. A change of a mount that does not say stays with what is.
    pub fn is_read_only(&self) -> bool {
        let said = self.0.sb_flags_mask as usize & flag::RDONLY != 0;
        let root = self.0.root;
        if root.is_null() || said {
            return self.0.sb_flags as usize & flag::RDONLY != 0;
        }
        // SAFETY: A context for reconfiguring has the root of a mounted superblock; the flags are a
        // word that is read and written whole.
        let flags = unsafe { ptr::addr_of!((*(*root).d_sb).s_flags).read_volatile() };
        flags & flag::RDONLY != 0
    }

    /// Tells the one who mounts why it fails.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.log(b'e', message);
    }

    /// Tells the one who mounts what is odd.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.log(b'w', message);
    }

    fn log(&self, level: u8, message: fmt::Arguments<'_>) {
        // SAFETY: The context is live; the callee prints the arguments with `%pA` before it returns.
        unsafe {
            bindings::logfc_arguments(
                ptr::from_ref(self.0).cast_mut(),
                level as ffi::c_char,
                ptr::from_ref(&message).cast(),
            );
        }
    }
}

/// A registered type, at an address that does not change.
#[repr(C)]
pub(super) struct TypeBox<F: FileSystem> {
    /// First, so that `s_type` points to all of it.
    raw: bindings::file_system_type,
    cache: Arc<InodeCache<F>>,
    root: Option<Arc<Root>>,
}

impl<F: FileSystem> TypeBox<F> {
    pub(super) fn cache(&self) -> &InodeCache<F> {
        &self.cache
    }

    /// The folder of the type in sysfs.
    pub(super) fn root(&self) -> Option<&Root> {
        self.root.as_deref()
    }
}

/// The registered type that a C pointer belongs to.
///
/// # Safety
///
/// `raw` must be a type registered for `F`.
pub(super) unsafe fn type_of<F: FileSystem>(
    raw: *mut bindings::file_system_type,
) -> *const TypeBox<F> {
    raw.cast()
}

/// The names under which `F` can be mounted; they go when it is dropped.
pub struct Registration<F: FileSystem> {
    types: KVec<*mut TypeBox<F>>,
    cache: Arc<InodeCache<F>>,
    root: Option<Arc<Root>>,
    module: &'static ThisModule,
}

// SAFETY: The pointers are owned; registering and unregistering may be done by any task.
unsafe impl<F: FileSystem> Send for Registration<F> {}
// SAFETY: A shared reference gives access to nothing.
unsafe impl<F: FileSystem> Sync for Registration<F> {}

impl<F: ContextOps> Registration<F> {
    /// Prepares; `name` is for the inodes' slab cache.
    pub fn new(name: &CStr, module: &'static ThisModule) -> Result<Self> {
        let cache = Arc::new(InodeCache::new(name)?, GFP_KERNEL)?;
        Ok(Self {
            types: KVec::new(),
            cache,
            root: None,
            module,
        })
    }

    /// Makes `/sys/fs/NAME`, in which each mount of a name registered from now on may have a folder.
    pub fn make_sysfs_root(&mut self, name: &CStr) -> Result {
        self.root = Some(Arc::new(Root::new(name)?, GFP_KERNEL)?);
        Ok(())
    }

    /// Makes `F` known under one more name; `EBUSY` when the name is taken.
    pub fn register(&mut self, name: &'static CStr) -> Result {
        let mut fs_flags = 0;
        if F::ON_DEVICE {
            fs_flags |= bindings::FS_REQUIRES_DEV;
        }
        if F::ID_MAPPED {
            fs_flags |= bindings::FS_ALLOW_IDMAP;
        }
        self.types.reserve(1, GFP_KERNEL)?;
        let made = KBox::new(
            TypeBox {
                raw: bindings::file_system_type {
                    name: name.as_char_ptr(),
                    fs_flags: fs_flags as ffi::c_int,
                    init_fs_context: Some(init_fs_context::<F>),
                    parameters: F::PARAMS.as_ptr(),
                    kill_sb: Some(if F::ON_DEVICE {
                        kill_sb::<F>
                    } else {
                        kill_anon::<F>
                    }),
                    owner: self.module.as_ptr().cast(),
                    ..pin_init::zeroed()
                },
                cache: self.cache.clone(),
                root: self.root.clone(),
            },
            GFP_KERNEL,
        )?;
        let made = KBox::into_raw(made);
        // SAFETY: The type is complete and stays where it is until it is unregistered.
        let registered = unsafe {
            bindings::register_filesystem_keys(made.cast());
            to_result(bindings::register_filesystem(made.cast()))
        };
        if let Err(error) = registered {
            // SAFETY: Nobody knows the type.
            unsafe { free_type(made) };
            return Err(error);
        }
        self.types.push(made, GFP_KERNEL)?;
        Ok(())
    }
}

/// # Safety
///
/// `made` must have come from `register`, and not be registered.
unsafe fn free_type<F: FileSystem>(made: *mut TypeBox<F>) {
    // SAFETY: The caller says so.
    unsafe {
        bindings::unregister_filesystem_keys(made.cast());
        drop(KBox::from_raw(made));
    }
}

impl<F: FileSystem> Drop for Registration<F> {
    fn drop(&mut self) {
        for made in self.types.iter() {
            // SAFETY: Registered in `register`. No superblock of it is left, as each holds the
            // module, whose exit or failed start is what drops this.
            unsafe {
                bindings::unregister_filesystem(made.cast());
                free_type(*made);
            }
        }
    }
}

/// What `fs_private` points to.
struct Private<F: FileSystem>(F::Options);

struct ContextVTable<F>(PhantomData<F>);

impl<F: ContextOps> ContextVTable<F> {
    const TABLE: *const bindings::fs_context_operations = &bindings::fs_context_operations {
        free: Some(Self::free),
        parse_param: Some(Self::parse_param),
        get_tree: Some(Self::get_tree),
        reconfigure: Some(Self::reconfigure),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `fc` must have been set up by [`init_fs_context`], and `fs_private` not be in use otherwise.
    unsafe fn options<'a>(fc: *mut bindings::fs_context) -> &'a mut F::Options {
        // SAFETY: The caller says so; the VFS serialises calls for one context.
        unsafe { &mut (*(*fc).fs_private.cast::<Private<F>>()).0 }
    }

    /// # Safety
    ///
    /// This and the other callbacks are called by the VFS only, for contexts that
    /// [`init_fs_context`] has set up.
    unsafe extern "C" fn free(fc: *mut bindings::fs_context) {
        // SAFETY: The context is ours to end.
        let private = unsafe { ptr::replace(ptr::addr_of_mut!((*fc).fs_private), ptr::null_mut()) };
        if !private.is_null() {
            // SAFETY: It came from `into_foreign`.
            drop(unsafe { KBox::<Private<F>>::from_foreign(private.cast()) });
        }
    }

    /// # Safety
    ///
    /// As for [`Self::free`].
    unsafe extern "C" fn parse_param(
        fc: *mut bindings::fs_context,
        raw: *mut bindings::fs_parameter,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The VFS's objects are live.
            unsafe {
                let param = Param::parse(F::PARAMS, fc, raw)?;
                F::parse_param(Self::options(fc), &param, &Context(&*fc))?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::free`].
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> ffi::c_int {
        // SAFETY: The VFS's objects are live.
        unsafe {
            if F::ON_DEVICE {
                bindings::get_tree_bdev(fc, Some(Self::fill_super))
            } else {
                bindings::get_tree_nodev(fc, Some(Self::fill_super))
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::free`].
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The superblock is new and of our type.
            let Rooted { .. } = unsafe {
                F::fill_super(NewSuper::from_raw(sb), Self::options(fc), &Context(&*fc))?
            };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::free`].
    unsafe extern "C" fn reconfigure(fc: *mut bindings::fs_context) -> ffi::c_int {
        from_result(|| {
            // SAFETY: A context for reconfiguring has the root of a mounted superblock.
            unsafe {
                let sb = SuperBlock::from_raw((*(*fc).root).d_sb);
                F::reconfigure(sb, Self::options(fc), &Context(&*fc))?;
            }
            Ok(0)
        })
    }
}

/// # Safety
///
/// Called by the VFS only, for a new context of a type registered for `F`.
unsafe extern "C" fn init_fs_context<F: ContextOps>(fc: *mut bindings::fs_context) -> ffi::c_int {
    from_result(|| {
        let private = KBox::new(Private::<F>(F::Options::default()), GFP_KERNEL)?;
        // SAFETY: The context is ours to set up; `free` takes the options back.
        unsafe {
            (*fc).fs_private = private.into_foreign().cast();
            (*fc).ops = ContextVTable::<F>::TABLE;
            // Nobody here counts changes: who asks for it goes by the change time.
            (*fc).sb_flags &= !(bindings::SB_I_VERSION as ffi::c_uint);
        }
        Ok(0)
    })
}

/// `kill_sb` of a type without a device.
///
/// # Safety
///
/// As for [`kill_sb`].
unsafe extern "C" fn kill_anon<F: FileSystem>(sb: *mut bindings::super_block) {
    // SAFETY: As in `kill_sb`.
    unsafe {
        if (*sb).s_root.is_null() {
            super::sb::detach::<F>(sb);
        }
        bindings::kill_anon_super(sb);
    }
}
