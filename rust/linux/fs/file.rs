// SPDX-License-Identifier: GPL-2.0

//! Open files: `struct file` and `struct file_operations`.
//!
//! C header: `include/linux/fs.h`.

use super::inode::{offset, Inode};
use super::iter::{DirContext, IovIter};
use super::kiocb::{raw_count, Kiocb};
use super::mmap::{Fault, Faulted};
use super::super_ops::{errno, slot};
use super::FileSystem;
use crate::linux::bindings;
use core::marker::PhantomData;
use kernel::error::{from_result, to_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi;
use kernel::prelude::*;
use kernel::transmute::{AsBytes, FromBytes};
use kernel::types::Opaque;
use kernel::uaccess::{UserPtr, UserSlice};

/// Wraps `struct file`.
///
/// # Invariants
///
/// The file is open, and its inode is of a superblock of a type registered for `F`.
#[repr(transparent)]
pub struct File<F: FileSystem>(Opaque<bindings::file>, PhantomData<F>);

impl<F: FileSystem> File<F> {
    /// # Safety
    ///
    /// `file` must satisfy the type's invariants for `'a`.
    pub(in crate::linux) unsafe fn from_raw<'a>(file: *mut bindings::file) -> &'a Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &*file.cast() }
    }

    pub(in crate::linux) fn as_raw(&self) -> *mut bindings::file {
        self.0.get()
    }

    /// The inode.
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: The type invariant; the file holds its inode.
        unsafe { Inode::from_raw((*self.as_raw()).f_inode) }
    }

    fn mode(&self) -> u32 {
        // SAFETY: The type invariant.
        unsafe { (*self.as_raw()).f_mode }
    }

    /// Whether it is open for writing.
    pub fn is_writable(&self) -> bool {
        self.mode() & bindings::FMODE_WRITE != 0
    }

    /// Whether its reader keeps positions in a directory in 32 bits.
    pub fn has_narrow_positions(&self) -> bool {
        let mode = self.mode();
        // SAFETY: It looks at the current task only.
        let narrow_task = || unsafe { bindings::in_compat_syscall() };
        mode & bindings::FMODE_32BITHASH != 0
            || (mode & bindings::FMODE_64BITHASH == 0 && narrow_task())
    }

    /// Writes back the dirty folios of the bytes `start..=end`, waits for them, and reports, once
    /// for each open file, an error of writing back since it was last asked.
    pub fn write_and_wait(&self, start: u64, end: u64) -> Result {
        // SAFETY: The type invariant.
        to_result(unsafe {
            bindings::file_write_and_wait_range(self.as_raw(), offset(start), offset(end))
        })
    }

    /// Sets the position as `lseek` asks for it, for files of at most `max` bytes that end at `end`.
    pub fn seek(&self, to: Seek, max: u64, end: u64) -> Result<u64> {
        // SAFETY: The type invariant.
        position(unsafe {
            bindings::generic_file_llseek_size(
                self.as_raw(),
                to.offset,
                to.whence,
                offset(max),
                offset(end),
            )
        })
    }

    /// Sets the position to `pos`, which must not be above `max`.
    pub fn set_pos(&self, pos: u64, max: u64) -> Result<u64> {
        // SAFETY: The type invariant.
        position(unsafe { bindings::vfs_setpos(self.as_raw(), offset(pos), offset(max)) })
    }

    /// Whether the caller may administer the system.
    pub fn caller_is_admin() -> bool {
        // SAFETY: Asks about the calling task.
        unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as ffi::c_int) }
    }
}

pub(in crate::linux) fn position(returned: bindings::loff_t) -> Result<u64> {
    match u64::try_from(returned) {
        Ok(pos) => Ok(pos),
        Err(_) => Err(Error::from_errno(i32::try_from(returned).unwrap_or(-22))),
    }
}

/// What `lseek` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Seek {
    pub(in crate::linux) offset: bindings::loff_t,
    pub(in crate::linux) whence: ffi::c_int,
}

/// What a [`Seek`] looks for in the mapping of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekKind {
    /// A plain position.
    Position,
    /// Data at or after an offset.
    Data,
    /// A hole at or after an offset.
    Hole,
}

impl Seek {
    /// The offset that was given.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Which kind of search it is.
    pub fn kind(&self) -> SeekKind {
        match self.whence as u32 {
            bindings::SEEK_DATA => SeekKind::Data,
            bindings::SEEK_HOLE => SeekKind::Hole,
            _ => SeekKind::Position,
        }
    }
}

/// What a command of `ioctl` is given: a number, or where a value is.
#[derive(Clone, Copy, Debug)]
pub struct Argument(usize);

impl Argument {
    /// The number.
    pub fn number(self) -> usize {
        self.0
    }

    /// The value in the caller's memory that it points to.
    pub fn read<T: FromBytes>(self) -> Result<T> {
        let there = UserSlice::new(UserPtr::from_addr(self.0), size_of::<T>());
        there.reader().read()
    }

    /// Puts a value into the caller's memory, `offset` bytes behind where it points to.
    pub fn write<T: AsBytes>(self, offset: usize, value: &T) -> Result {
        let at = self.0.checked_add(offset).ok_or(EFAULT)?;
        let there = UserSlice::new(UserPtr::from_addr(at), size_of::<T>());
        there.writer().write(value)
    }
}

/// A file that is being opened.
pub struct Opening<'a, F: FileSystem>(&'a File<F>);

impl<F: FileSystem> core::ops::Deref for Opening<'_, F> {
    type Target = File<F>;

    fn deref(&self) -> &File<F> {
        self.0
    }
}

impl<F: FileSystem> Opening<'_, F> {
    fn add_mode(&self, mode: u32) {
        // SAFETY: Nobody else has the file before `open` has returned.
        unsafe { (*self.0.as_raw()).f_mode |= mode };
    }

    /// Direct I/O is possible.
    pub fn allow_direct(&self) {
        self.add_mode(bindings::FMODE_CAN_ODIRECT);
    }

    /// Hands the path of the mount that it is opened through, as the caller sees it, to `take`; not if it
    /// has 64 bytes or more.
    pub fn with_mount_path(&self, take: impl FnOnce(&[u8])) {
        const LONGEST: usize = 64;
        let mut buffer = [0u8; LONGEST];
        let into = buffer.as_mut_ptr().cast::<ffi::c_char>();
        // SAFETY: The file is live, and its mount with it. The buffer's size is passed along.
        let path =
            unsafe { bindings::file_mount_path(self.0.as_raw(), into, LONGEST as ffi::c_int) };
        if !path.is_null() {
            // SAFETY: Where it is not null it points into the buffer, and is terminated there.
            take(unsafe { CStr::from_char_ptr(path) }.to_bytes());
        }
    }

    /// Reading and writing can be told not to wait.
    pub fn allow_nowait(&self) {
        self.add_mode(bindings::FMODE_NOWAIT);
    }
}

/// The operations on open files of one kind of inode. All run in task context and may sleep.
#[vtable]
pub trait FileOps<F: FileSystem>: 'static {
    /// Whether direct reads and writes may be polled for, and mapped memory be large pages: set it
    /// for files with data on a device.
    const BLOCK_BASED: bool = false;

    /// Opens the file.
    fn open(_inode: &Inode<F>, _file: &Opening<'_, F>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The last user has closed the file.
    fn release(_inode: &Inode<F>, _file: &File<F>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the position.
    fn llseek(_file: &File<F>, _to: Seek) -> Result<u64> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads at [`Kiocb::pos`], and moves it on. Returns the bytes read.
    fn read_iter(_iocb: Kiocb<'_, F>, _to: &mut IovIter<'_>) -> Result<usize> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes at [`Kiocb::pos`], and moves it on. Returns the bytes written.
    fn write_iter(_iocb: Kiocb<'_, F>, _from: &mut IovIter<'_>) -> Result<usize> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Hands out the entries of a directory from [`DirContext::pos`] on. The directory is locked
    /// shared.
    fn iterate_shared(_file: &File<F>, _into: &mut DirContext<'_>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes the bytes `start..=end` durable; with `datasync`, without what reading them back does
    /// not need.
    fn fsync(_file: &File<F>, _start: u64, _end: u64, _datasync: bool) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A mapped folio is about to be written to. Implementing it lets the file be mapped writably;
    /// a file that can be read can be mapped anyway.
    fn page_mkwrite(_inode: &Inode<F>, _fault: Fault<'_, F>) -> Faulted {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Asked before the file is mapped (`to_map`), or its folios are lent to a pipe: an error refuses it.
    fn lend(_file: &File<F>, _to_map: bool) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A command of `ioctl`; `ENOTTY` for what is not known.
    fn ioctl(_file: &File<F>, _command: u32, _argument: Argument) -> Result<isize> {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates, frees or moves space; `mode` is of `FALLOC_FL_*`.
    fn fallocate(_file: &File<F>, _mode: u32, _start: u64, _len: u64) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Asks [`FileOps::lend`].
///
/// # Safety
///
/// `file` must be open, and its inode of a superblock of a type registered for `F`.
pub(super) unsafe fn may_lend<F: FileSystem, O: FileOps<F>>(
    file: *mut bindings::file,
    to_map: bool,
) -> Result {
    if O::HAS_LEND {
        // SAFETY: The caller says so.
        return O::lend(unsafe { File::from_raw(file) }, to_map);
    }
    Ok(())
}

/// The C table for files of kind `O`.
pub(super) struct FileVTable<F, O>(PhantomData<(F, O)>);

impl<F: FileSystem, O: FileOps<F>> FileVTable<F, O> {
    pub(super) const TABLE: *const bindings::file_operations = &bindings::file_operations {
        open: slot!(O::HAS_OPEN, Self::open),
        release: slot!(O::HAS_RELEASE, Self::release),
        llseek: slot!(O::HAS_LLSEEK, Self::llseek),
        read: slot!(O::HAS_ITERATE_SHARED, bindings::generic_read_dir),
        read_iter: slot!(O::HAS_READ_ITER, Self::read_iter),
        write_iter: slot!(O::HAS_WRITE_ITER, Self::write_iter),
        splice_read: slot!(O::HAS_READ_ITER, Self::SPLICE_READ),
        splice_write: slot!(O::HAS_WRITE_ITER, bindings::iter_file_splice_write),
        iterate_shared: slot!(O::HAS_ITERATE_SHARED, Self::iterate_shared),
        fsync: slot!(O::HAS_FSYNC, Self::fsync),
        mmap_prepare: slot!(O::BLOCK_BASED, super::mmap::mmap_prepare::<F, O>),
        unlocked_ioctl: slot!(O::HAS_IOCTL, Self::ioctl),
        compat_ioctl: slot!(O::HAS_IOCTL, Self::ioctl),
        fallocate: slot!(O::HAS_FALLOCATE, Self::fallocate),
        iopoll: slot!(O::BLOCK_BASED, bindings::iocb_bio_iopoll),
        get_unmapped_area: slot!(O::BLOCK_BASED, bindings::thp_get_unmapped_area),
        setlease: slot!(
            O::HAS_READ_ITER || O::HAS_ITERATE_SHARED,
            bindings::generic_setlease
        ),
        fop_flags: if O::BLOCK_BASED {
            bindings::FOP_BUFFER_RASYNC | bindings::FOP_DIO_PARALLEL_WRITE | bindings::FOP_DONTCACHE
        } else {
            0
        },
        ..pin_init::zeroed()
    };

    /// With a page cache, folios can be lent to pipes; without one, data is copied.
    const SPLICE_READ: unsafe extern "C" fn(
        *mut bindings::file,
        *mut bindings::loff_t,
        *mut bindings::pipe_inode_info,
        usize,
        ffi::c_uint,
    ) -> isize = if O::BLOCK_BASED {
        Self::splice_read
    } else {
        bindings::copy_splice_read
    };

    /// # Safety
    ///
    /// This and the other callbacks are called by the VFS only, as the table's C type documents,
    /// for files whose inode is of a superblock of a type registered for `F`.
    unsafe extern "C" fn open(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live.
        unsafe {
            // Who did not ask for large files gets none.
            match bindings::generic_file_open(inode, file) {
                0 => errno(O::open(
                    Inode::from_raw(inode),
                    &Opening(File::from_raw(file)),
                )),
                error => error,
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn release(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live.
        unsafe { O::release(Inode::from_raw(inode), File::from_raw(file)) };
        0
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: ffi::c_int,
    ) -> bindings::loff_t {
        // SAFETY: The VFS's objects are live.
        let pos = unsafe { O::llseek(File::from_raw(file), Seek { offset, whence }) };
        match pos {
            Ok(pos) => super::inode::offset(pos),
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn read_iter(
        iocb: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The file and the iterator are live and ours during the call, the control block until
        // its I/O has ended.
        unsafe {
            raw_count(O::read_iter(
                Kiocb::from_raw(iocb),
                &mut IovIter::from_raw(to),
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn write_iter(
        iocb: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: As for `read_iter`.
        unsafe {
            raw_count(O::write_iter(
                Kiocb::from_raw(iocb),
                &mut IovIter::from_raw(from),
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: ffi::c_uint,
    ) -> isize {
        // SAFETY: The VFS's objects are live; what it gives is passed on.
        unsafe {
            match may_lend::<F, O>(file, false) {
                Ok(()) => bindings::filemap_splice_read(file, pos, pipe, len, flags),
                Err(error) => error.to_errno() as isize,
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn iterate_shared(
        file: *mut bindings::file,
        context: *mut bindings::dir_context,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, the context is ours during the call.
        unsafe {
            errno(O::iterate_shared(
                File::from_raw(file),
                &mut DirContext::from_raw(context),
            ))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        datasync: ffi::c_int,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live.
        let file = unsafe { File::from_raw(file) };
        errno(O::fsync(
            file,
            start.unsigned_abs(),
            end.unsigned_abs(),
            datasync != 0,
        ))
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: ffi::c_uint,
        argument: ffi::c_ulong,
    ) -> ffi::c_long {
        from_result(|| {
            // SAFETY: The VFS's objects are live.
            O::ioctl(unsafe { File::from_raw(file) }, command, Argument(argument))
        })
    }

    /// # Safety
    ///
    /// As for [`Self::open`].
    unsafe extern "C" fn fallocate(
        file: *mut bindings::file,
        mode: ffi::c_int,
        start: bindings::loff_t,
        len: bindings::loff_t,
    ) -> ffi::c_long {
        from_result(|| {
            // SAFETY: The VFS's objects are live; it has checked start and length.
            let file = unsafe { File::from_raw(file) };
            O::fallocate(file, mode as u32, start.unsigned_abs(), len.unsigned_abs()).map(|()| 0)
        })
    }
}
