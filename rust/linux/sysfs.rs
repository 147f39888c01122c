// SPDX-License-Identifier: GPL-2.0

//! Folders of values in sysfs.
//!
//! C headers: `include/linux/kobject.h`, `include/linux/sysfs.h`.

use super::bindings;
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use kernel::error::{from_result, to_result};
use kernel::ffi::{c_char, c_int};
use kernel::prelude::*;
use kernel::types::Opaque;

/// Bytes that a file can show.
const PAGE: usize = 4096;

/// Prints a value.
type Show<T> = fn(&T, &mut Text<'_>) -> fmt::Result;
/// Takes what was written.
type Store<T> = fn(&T, &[u8]) -> Result;

/// One file of a folder.
#[repr(C)]
pub struct File<T> {
    /// First, so that a pointer to it is one to all of it.
    raw: bindings::attribute,
    show: Option<Show<T>>,
    store: Option<Store<T>>,
}

// SAFETY: The name is constant, and the C part has no other state of ours.
unsafe impl<T> Sync for File<T> {}

impl<T> File<T> {
    const fn new(
        name: &'static CStr,
        mode: u16,
        show: Option<Show<T>>,
        store: Option<Store<T>>,
    ) -> Self {
        // SAFETY: All zeroes is a value of the C structure: an attribute without a name.
        let mut raw: bindings::attribute = unsafe { core::mem::zeroed() };
        raw.name = name.to_bytes_with_nul().as_ptr().cast();
        raw.mode = mode;
        Self { raw, show, store }
    }

    /// A file that everybody can read.
    pub const fn readable(name: &'static CStr, show: Show<T>) -> Self {
        Self::new(name, 0o444, Some(show), None)
    }

    /// A file that who may administer the system (`CAP_SYS_ADMIN`) can write to.
    pub const fn writable(name: &'static CStr, store: Store<T>) -> Self {
        Self::new(name, 0o200, None, Some(store))
    }
}

/// Room for what a file shows.
pub struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Text<'_> {
    /// Adds bytes as they are; what does not fit is an error.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self.len.checked_add(bytes.len()).ok_or(fmt::Error)?;
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes())
    }
}

/// What the files of a folder show. They are read and written by any task, which may sleep.
pub trait Values: Send + Sync + Sized + 'static {
    /// The files.
    const FILES: &'static [File<Self>];
}

/// A folder without files, for other folders.
///
/// # Invariants
///
/// The object is registered, and this owns a reference to it.
pub struct Root(NonNull<bindings::kobject>);

// SAFETY: A kobject may be used by any task.
unsafe impl Send for Root {}
// SAFETY: As above.
unsafe impl Sync for Root {}

impl Root {
    /// Makes `/sys/fs/NAME`.
    pub fn new(name: &CStr) -> Result<Self> {
        // SAFETY: The name is copied; the parent is there from the boot on.
        let made =
            unsafe { bindings::kobject_create_and_add(name.as_char_ptr(), bindings::fs_kobj) };
        // INVARIANT: Just made, with one reference, for us.
        NonNull::new(made).map(Self).ok_or(ENOMEM)
    }

    /// What it is called.
    pub(in crate::linux) fn name(&self) -> &CStr {
        // SAFETY: The type invariant; the name of a registered object that nobody renames.
        unsafe { CStr::from_char_ptr((*self.0.as_ptr()).name.cast()) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: The type invariant. The object is freed by code of the kernel's own.
        unsafe { bindings::kobject_put(self.0.as_ptr()) };
    }
}

/// The C object, and what its files show.
#[repr(C)]
struct Shown<T> {
    /// First, so that a pointer to it is one to all of it.
    object: Opaque<bindings::kobject>,
    /// Signalled when nobody uses the object any more.
    released: Opaque<bindings::completion>,
    values: T,
}

/// A folder of files; it goes when this is dropped.
///
/// # Invariants
///
/// The object is registered. `released` has not been signalled.
pub struct Folder<T: Values>(NonNull<Shown<T>>);

// SAFETY: A kobject may be used by any task, the values are `Send + Sync`.
unsafe impl<T: Values> Send for Folder<T> {}
// SAFETY: As above.
unsafe impl<T: Values> Sync for Folder<T> {}

impl<T: Values> Folder<T> {
    /// Makes the folder `name` in `root`, with its files.
    pub fn new(root: &Root, name: &CStr, values: T) -> Result<Self> {
        let shown = KBox::new(
            Shown {
                object: Opaque::zeroed(),
                released: Opaque::uninit(),
                values,
            },
            GFP_KERNEL,
        )?;
        // INVARIANT: Registered below; if that fails, the drop ends what was begun.
        let folder = Self(NonNull::from(KBox::leak(shown)));
        // SAFETY: The object is zeroed and stays where it is until it is released; the format asks
        // for one string, which is copied.
        unsafe {
            let shown = folder.0.as_ptr();
            bindings::init_completion((*shown).released.get());
            to_result(bindings::kobject_init_and_add(
                (*shown).object.get(),
                Table::<T>::TYPE,
                root.0.as_ptr(),
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            ))?;
        }
        for file in T::FILES {
            // SAFETY: The object is registered; the file's description is constant.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(folder.object(), &file.raw, ptr::null())
            })?;
        }
        Ok(folder)
    }

    fn object(&self) -> *mut bindings::kobject {
        // SAFETY: The type invariant.
        unsafe { (*self.0.as_ptr()).object.get() }
    }

    /// Wakes who polls the file `name`. Sleeps.
    pub fn notify(&self, name: &CStr) {
        // SAFETY: The type invariant.
        unsafe { bindings::sysfs_notify(self.object(), ptr::null(), name.as_char_ptr()) };
    }
}

impl<T: Values> Drop for Folder<T> {
    fn drop(&mut self) {
        // SAFETY: The type invariant. `kobject_del` waits for who is in a file; the last reference may
        // be somebody else's, whose end is waited for before the memory goes.
        unsafe {
            let shown = self.0.as_ptr();
            bindings::kobject_del((*shown).object.get());
            bindings::kobject_put((*shown).object.get());
            bindings::wait_for_completion((*shown).released.get());
            drop(KBox::from_raw(shown));
        }
    }
}

/// The C tables for `T`.
struct Table<T>(PhantomData<T>);

impl<T: Values> Table<T> {
    const OPS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: Some(Self::store),
    };

    const TYPE: *const bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: Self::OPS,
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the C side only, once, for the object of a [`Shown<T>`].
    unsafe extern "C" fn release(object: *mut bindings::kobject) {
        // SAFETY: The object is the first field. Whoever waits frees it only afterwards.
        unsafe { bindings::complete((*object.cast::<Shown<T>>()).released.get()) };
    }

    /// # Safety
    ///
    /// Called by the C side only, for a registered object of a [`Shown<T>`] and a file of `T::FILES`,
    /// with room for a page.
    unsafe extern "C" fn show(
        object: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        into: *mut c_char,
    ) -> isize {
        from_result(|| {
            // SAFETY: As the contract says; each is the first field of ours.
            let (shown, file, bytes) = unsafe {
                (
                    &*object.cast::<Shown<T>>(),
                    &*attribute.cast::<File<T>>(),
                    core::slice::from_raw_parts_mut(into.cast::<u8>(), PAGE),
                )
            };
            let mut text = Text { bytes, len: 0 };
            let show = file.show.ok_or(EIO)?;
            show(&shown.values, &mut text).map_err(|_| EIO)?;
            Ok(text.len as isize)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::show`], with `len` bytes to read.
    unsafe extern "C" fn store(
        object: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        from: *const c_char,
        len: usize,
    ) -> isize {
        from_result(|| {
            // SAFETY: As the contract says; each is the first field of ours.
            let (shown, file, bytes) = unsafe {
                (
                    &*object.cast::<Shown<T>>(),
                    &*attribute.cast::<File<T>>(),
                    core::slice::from_raw_parts(from.cast::<u8>(), len),
                )
            };
            let store = file.store.ok_or(EIO)?;
            // SAFETY: Asks about the calling task.
            if !unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) } {
                return Err(EPERM);
            }
            store(&shown.values, bytes)?;
            Ok(len as isize)
        })
    }
}
