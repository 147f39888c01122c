// SPDX-License-Identifier: GPL-2.0

//! Mapping files to a device for the kernel's iomap library.
//!
//! C header: `include/linux/iomap.h`. A file system has one small implementation of [`IomapOps`]
//! per purpose; the ones for writing also implement [`IomapWriteOps`].

pub mod direct;
pub mod fiemap;
mod range;

pub use range::{seek_data, seek_hole, truncate_page, zero_range};

use crate::linux::bindings;
use crate::linux::fs::inode::{offset, Inode};
use crate::linux::fs::iter::IovIter;
use crate::linux::fs::kiocb::{count, Kiocb};
use crate::linux::fs::FileSystem;
use crate::linux::mm::folio;
use core::marker::PhantomData;
use core::ptr;
use kernel::error::{from_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi;
use kernel::prelude::*;

/// What a range of a file is on the device. Addresses are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing is there; it reads as zeroes.
    Hole,
    /// Space is promised, but not chosen yet; the data is in the page cache only.
    Delayed,
    /// Data, at this address.
    Mapped(u64),
    /// Space at this address that reads as zeroes until it has been written.
    Unwritten(u64),
}

/// A range of a file and what it is (`struct iomap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where the range begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes; not 0.
    pub length: u64,
    /// What it is.
    pub extent: Extent,
    /// It was made for this request: what the request does not write of its blocks is zeroed, and a
    /// delayed one is taken back if the write comes to nothing.
    pub is_new: bool,
    /// Metadata that reading it back needs is not durable yet.
    pub is_dirty: bool,
    /// Several ranges of the file's map were put together.
    pub is_merged: bool,
    /// Changes whenever the file's map does: tells whether the mapping still holds.
    pub cookie: u64,
}

impl Mapping {
    /// A plain mapping with nothing special about it.
    pub const fn new(offset: u64, length: u64, extent: Extent, cookie: u64) -> Self {
        Self {
            offset,
            length,
            extent,
            is_new: false,
            is_dirty: false,
            is_merged: false,
            cookie,
        }
    }

    pub(super) fn from_raw(raw: &bindings::iomap) -> Self {
        let extent = match u32::from(raw.type_) {
            bindings::IOMAP_DELALLOC => Extent::Delayed,
            bindings::IOMAP_MAPPED => Extent::Mapped(raw.addr),
            bindings::IOMAP_UNWRITTEN => Extent::Unwritten(raw.addr),
            _ => Extent::Hole,
        };
        let has = |flag: u32| u32::from(raw.flags) & flag != 0;
        Self {
            offset: raw.offset.unsigned_abs(),
            length: raw.length,
            extent,
            is_new: has(bindings::IOMAP_F_NEW),
            is_dirty: has(bindings::IOMAP_F_DIRTY),
            is_merged: has(bindings::IOMAP_F_MERGED),
            cookie: raw.validity_cookie,
        }
    }

    /// Fills `raw`; `bdev` is the device that the addresses are on.
    pub(super) fn fill(&self, raw: &mut bindings::iomap, bdev: *mut bindings::block_device) {
        let (kind, addr) = match self.extent {
            Extent::Hole => (bindings::IOMAP_HOLE, u64::MAX),
            Extent::Delayed => (bindings::IOMAP_DELALLOC, u64::MAX),
            Extent::Mapped(addr) => (bindings::IOMAP_MAPPED, addr),
            Extent::Unwritten(addr) => (bindings::IOMAP_UNWRITTEN, addr),
        };
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = flag(self.is_new, bindings::IOMAP_F_NEW)
            | flag(self.is_dirty, bindings::IOMAP_F_DIRTY)
            | flag(self.is_merged, bindings::IOMAP_F_MERGED);
        raw.addr = addr;
        raw.offset = offset(self.offset);
        raw.length = self.length;
        raw.type_ = kind as u16;
        raw.flags = flags as u16;
        raw.bdev = bdev;
        raw.validity_cookie = self.cookie;
    }
}

/// What a mapping is asked for (`IOMAP_WRITE` and so on).
#[derive(Clone, Copy, Debug)]
pub struct Flags(u32);

impl Flags {
    const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// To write.
    pub const fn is_write(self) -> bool {
        self.has(bindings::IOMAP_WRITE)
    }

    /// To zero in the page cache; holes may stay holes.
    pub const fn is_zero(self) -> bool {
        self.has(bindings::IOMAP_ZERO)
    }

    /// For a write to mapped memory: a folio is locked.
    pub const fn is_fault(self) -> bool {
        self.has(bindings::IOMAP_FAULT)
    }

    /// For direct I/O.
    pub const fn is_direct(self) -> bool {
        self.has(bindings::IOMAP_DIRECT)
    }

    /// Fail with `EAGAIN` rather than wait.
    pub const fn is_nowait(self) -> bool {
        self.has(bindings::IOMAP_NOWAIT)
    }
}

/// Mapping for one purpose. Runs in task context and may sleep.
#[vtable]
pub trait IomapOps<F: FileSystem>: 'static {
    /// Maps the byte `pos`, and as much as is useful of the `length` bytes from there, or more. The
    /// mapping must include `pos`.
    fn begin(inode: &Inode<F>, pos: u64, length: u64, flags: Flags) -> Result<Mapping>;

    /// The mapping was used for the first `written` of the `length` bytes from `pos`. A new delayed
    /// mapping that was not used in full has been taken back ([`IomapWriteOps::punch`]).
    fn end(
        _: &Inode<F>,
        _pos: u64,
        _length: u64,
        _written: u64,
        _flags: Flags,
        _: &Mapping,
    ) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes the promise for the delayed blocks in a range of bytes back, and touches no others. A
    /// folio may be locked: takes no folio lock, starts no journal handle.
    fn punch(_: &Inode<F>, _start: u64, _length: u64) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Mapping for writing to the page cache.
pub trait IomapWriteOps<F: FileSystem>: IomapOps<F> {
    /// Whether a mapping that [`IomapOps::begin`] gave still holds. A folio is locked.
    fn is_valid(inode: &Inode<F>, mapping: &Mapping) -> bool;
}

/// The C table for `T`.
pub(super) struct IomapVTable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: IomapOps<F>> IomapVTable<F, T> {
    pub(super) const TABLE: *const bindings::iomap_ops = &bindings::iomap_ops {
        iomap_begin: Some(Self::begin),
        iomap_end: if T::HAS_END || T::HAS_PUNCH {
            Some(Self::end)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// This and the other callbacks are called by iomap only, as the table's C type documents, for
    /// inodes of a superblock of a type registered for `F`.
    pub(super) unsafe extern "C" fn begin(
        inode: *mut bindings::inode,
        pos: bindings::loff_t,
        length: bindings::loff_t,
        flags: ffi::c_uint,
        into: *mut bindings::iomap,
        _source: *mut bindings::iomap,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The inode is live, `into` is ours to fill.
            let (inode, into) = unsafe { (Inode::<F>::from_raw(inode), &mut *into) };
            let mapping = T::begin(
                inode,
                pos.unsigned_abs(),
                length.unsigned_abs(),
                Flags(flags),
            )?;
            // SAFETY: The device is open as long as the mount lives.
            mapping.fill(into, unsafe { (*inode.sb().as_raw()).s_bdev });
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::begin`].
    unsafe extern "C" fn end(
        inode: *mut bindings::inode,
        pos: bindings::loff_t,
        length: bindings::loff_t,
        written: isize,
        flags: ffi::c_uint,
        raw: *mut bindings::iomap,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The inode and the mapping are live.
            let (this, mapping) =
                unsafe { (Inode::<F>::from_raw(inode), Mapping::from_raw(&*raw)) };
            if T::HAS_PUNCH && mapping.is_new && mapping.extent == Extent::Delayed {
                // SAFETY: As above.
                unsafe { Self::release(this, pos, length, written, Flags(flags), raw) };
            }
            if T::HAS_END {
                let written = written.max(0).unsigned_abs() as u64;
                T::end(
                    this,
                    pos.unsigned_abs(),
                    length.unsigned_abs(),
                    written,
                    Flags(flags),
                    &mapping,
                )?;
            }
            Ok(0)
        })
    }

    /// Takes back what was promised for a write that did not happen.
    ///
    /// # Safety
    ///
    /// `raw` must be the live mapping of a write to `inode`.
    unsafe fn release(
        inode: &Inode<F>,
        pos: bindings::loff_t,
        length: bindings::loff_t,
        written: isize,
        flags: Flags,
        raw: *mut bindings::iomap,
    ) {
        // A fault's folio is locked, and its blocks are used or lie past the end.
        if flags.is_fault() {
            return;
        }
        // SAFETY: The inode is live.
        let start = unsafe { bindings::iomap_last_written_block(inode.as_raw(), pos, written) };
        let mask = i64::from(inode.sb().block_size()) - 1;
        let end = pos.saturating_add(length).saturating_add(mask) & !mask;
        if start >= end {
            return;
        }
        // The callers of zeroing hold the lock already.
        let locked = (!flags.is_zero()).then(|| inode.lock_invalidate());
        folio::might_wait();
        // SAFETY: The inode and the mapping are live, the lock is held.
        unsafe {
            bindings::iomap_write_delalloc_release(
                inode.as_raw(),
                start,
                end,
                flags.0,
                raw,
                Some(Self::punch),
            );
        }
        drop(locked);
    }

    /// # Safety
    ///
    /// As for [`Self::begin`].
    unsafe extern "C" fn punch(
        inode: *mut bindings::inode,
        start: bindings::loff_t,
        length: bindings::loff_t,
        _raw: *mut bindings::iomap,
    ) {
        // SAFETY: The inode is live.
        let inode = unsafe { Inode::from_raw(inode) };
        T::punch(inode, start.unsigned_abs(), length.unsigned_abs());
    }
}

/// The C table for writing with `T`.
pub(super) struct WriteVTable<F, T>(PhantomData<(F, T)>);

impl<F: FileSystem, T: IomapWriteOps<F>> WriteVTable<F, T> {
    pub(super) const TABLE: *const bindings::iomap_write_ops = &bindings::iomap_write_ops {
        iomap_valid: Some(Self::valid),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As for [`IomapVTable::begin`].
    unsafe extern "C" fn valid(
        inode: *mut bindings::inode,
        mapping: *const bindings::iomap,
    ) -> bool {
        // SAFETY: The inode and the mapping are live.
        unsafe { T::is_valid(Inode::from_raw(inode), &Mapping::from_raw(&*mapping)) }
    }
}

/// Writes to the page cache at [`Kiocb::pos`], and moves it on; raises the inode's size when the
/// write ends behind it. Needs the inode's lock exclusively. Returns the bytes written.
pub fn buffered_write<F: FileSystem, T: IomapWriteOps<F>>(
    iocb: &mut Kiocb<'_, F>,
    from: &mut IovIter<'_>,
) -> Result<usize> {
    folio::might_wait();
    // SAFETY: The arguments are live and ours; the tables are for this file system.
    count(unsafe {
        bindings::iomap_file_buffered_write(
            iocb.as_raw(),
            from.as_raw(),
            IomapVTable::<F, T>::TABLE,
            WriteVTable::<F, T>::TABLE,
            ptr::null_mut(),
        )
    })
}
