// SPDX-License-Identifier: GPL-2.0

//! Writing dirty folios back, from the mapping to the bookkeeping after the device has answered.
//!
//! C headers: `include/linux/writeback.h`, `include/linux/iomap.h` (`struct iomap_ioend`).
//!
//! iomap gathers neighbouring folios into a bio. The bio is submitted here, and when it ends whose
//! file system wants to follow, it is put on a list of the mount, from the interrupt. A worker of the
//! mount takes all that have ended meanwhile, in the order of inode and offset, shows them to
//! [`SuperOps::finish_writeback`], and only then ends the folios' writeback.

use super::inode::Inode;
use super::sb::SuperBlock;
use super::super_ops::SuperOps;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::block::{bios_are_traced, note_end, note_submit};
use crate::linux::iomap::Mapping;
use crate::linux::mm::folio;
use crate::linux::nofs::NofsScope;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;
use kernel::error::to_result;
use kernel::ffi;
use kernel::prelude::*;
use kernel::types::Opaque;

/// How one kind of inode is written back.
pub trait WritebackOps<F: FileSystem>: 'static {
    /// Maps the dirty byte `pos` of a locked folio, and as much behind it as is useful. What is
    /// [`Extent::Delayed`](crate::linux::iomap::Extent::Delayed) must become real; a hole means that
    /// there is nothing to write any more. Allocation must not come back into the file system.
    fn map(inode: &Inode<F>, pos: u64, len: u32) -> Result<Mapping>;

    /// Whether a mapping that [`Self::map`] gave for an earlier folio still holds.
    fn is_valid(inode: &Inode<F>, mapping: &Mapping) -> bool;

    /// Writing the bytes `start..end` has failed before anything was sent: their data is lost. Takes
    /// back what was promised for them. A folio is locked.
    fn discard(inode: &Inode<F>, start: u64, end: u64);

    /// A gathered write is about to be sent, or, if not `sent`, ends with an error at once. Whether
    /// [`SuperOps::finish_writeback`] is to see it when it has ended.
    fn submit(inode: &Inode<F>, write: &Write<'_, F>, sent: bool) -> bool;
}

/// One gathered write (`struct iomap_ioend`).
///
/// # Invariants
///
/// The structure is live for `'a`.
pub struct Write<'a, F: FileSystem>(*mut bindings::iomap_ioend, PhantomData<&'a F>);

impl<F: FileSystem> Write<'_, F> {
    /// The inode.
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: The type invariant; folios under writeback keep the inode.
        unsafe { Inode::from_raw((*self.0).io_inode) }
    }

    /// Where it begins in the file, in bytes.
    pub fn pos(&self) -> u64 {
        // SAFETY: The type invariant.
        unsafe { (*self.0).io_offset }.unsigned_abs()
    }

    /// Its bytes up to the end of the file as it was when they were gathered.
    pub fn len(&self) -> u64 {
        // SAFETY: The type invariant.
        unsafe { (*self.0).io_size as u64 }
    }

    /// Whether there is nothing of the file in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it goes on the device, in units of 512 bytes.
    pub fn sector(&self) -> u64 {
        // SAFETY: The type invariant.
        unsafe { (*self.0).io_sector }
    }

    /// Whether its mapping was unwritten.
    pub fn is_unwritten(&self) -> bool {
        // SAFETY: The type invariant.
        unsafe { u32::from((*self.0).io_flags) & bindings::IOMAP_IOEND_UNWRITTEN != 0 }
    }

    /// Why it failed, once it has ended.
    pub fn error(&self) -> Option<Error> {
        // SAFETY: The type invariant.
        let error = unsafe { (*self.0).io_error };
        (error != 0).then(|| Error::from_errno(error))
    }

    /// The bookkeeping has failed: readers and `fsync` are told.
    pub fn fail(&self, error: Error) {
        // SAFETY: The type invariant; only the worker that shows it has it.
        unsafe { (*self.0).io_error = error.to_errno() };
    }
}

/// Writes that have ended, neighbours put together, in the order of inode and offset.
pub struct Finished<'a, F: FileSystem>(*mut bindings::iomap_ioend, PhantomData<&'a F>);

impl<F: FileSystem> Finished<'_, F> {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Write<'_, F>> {
        let next = Cell::new(self.0);
        core::iter::from_fn(move || {
            let write = next.get();
            if write.is_null() {
                return None;
            }
            // SAFETY: The chain was made in `Completions::run`, and lives as long as `self`.
            next.set(unsafe { (*write).io_private.cast() });
            Some(Write(write, PhantomData))
        })
    }
}

/// A pass of writing back (`struct writeback_control`).
pub struct Control<'a, F: FileSystem, W> {
    inode: &'a Inode<F>,
    wbc: *mut bindings::writeback_control,
    table: *const bindings::iomap_writeback_ops,
    _ops: PhantomData<W>,
}

impl<'a, F: FileSystem, W: WritebackOps<F>> Control<'a, F, W> {
    /// # Safety
    ///
    /// `wbc` must be live and ours, and `table` be of a [`WritebackVTable`] for `W`.
    pub(super) unsafe fn from_raw(
        inode: &'a Inode<F>,
        wbc: *mut bindings::writeback_control,
        table: *const bindings::iomap_writeback_ops,
    ) -> Self {
        Self {
            inode,
            wbc,
            table,
            _ops: PhantomData,
        }
    }

    /// Whether somebody waits for it.
    pub fn is_sync(&self) -> bool {
        // SAFETY: The control is live.
        unsafe { (*self.wbc).sync_mode == bindings::writeback_sync_modes_WB_SYNC_ALL }
    }

    /// How many pages are still to be written, in `WB_SYNC_NONE` mode.
    pub fn pages_left(&self) -> i64 {
        // SAFETY: The control is live.
        unsafe { (*self.wbc).nr_to_write as i64 }
    }

    /// How many pages were passed over.
    pub fn pages_skipped(&self) -> i64 {
        // SAFETY: The control is live.
        unsafe { (*self.wbc).pages_skipped as i64 }
    }

    /// The range of bytes, the end included.
    pub fn range(&self) -> (u64, u64) {
        // SAFETY: The control is live.
        unsafe {
            (
                (*self.wbc).range_start.unsigned_abs(),
                (*self.wbc).range_end.unsigned_abs(),
            )
        }
    }

    /// Where the next pass would go on, in pages.
    pub fn next_page(&self) -> u64 {
        // SAFETY: The mapping lives with the inode.
        unsafe { (*self.inode.mapping()).writeback_index as u64 }
    }

    /// Whether the range begins where the last pass has stopped.
    pub fn is_cyclic(&self) -> bool {
        // SAFETY: The control is live.
        unsafe { (*self.wbc).range_cyclic() != 0 }
    }

    /// Whether it is the periodic one.
    pub fn is_periodic(&self) -> bool {
        // SAFETY: The control is live.
        unsafe { (*self.wbc).for_kupdate() != 0 }
    }

    /// Writes dirty folios back with `W`, within a plug.
    pub fn write_pages(&mut self) -> Result {
        let mut pass = bindings::iomap_writepage_ctx {
            inode: self.inode.as_raw(),
            wbc: self.wbc,
            ops: self.table,
            ..pin_init::zeroed()
        };
        folio::might_wait();
        // SAFETY: The context is complete; iomap uses it until it returns.
        to_result(unsafe { bindings::iomap_writepages_plugged(&mut pass) })
    }
}

/// The C table for `W`.
pub(super) struct WritebackVTable<F, W>(PhantomData<(F, W)>);

impl<F: FileSystem + SuperOps, W: WritebackOps<F>> WritebackVTable<F, W> {
    pub(super) const TABLE: *const bindings::iomap_writeback_ops = &bindings::iomap_writeback_ops {
        writeback_range: Some(Self::range),
        writeback_submit: Some(Self::submit),
    };

    /// # Safety
    ///
    /// Called by iomap only, within [`Control::write_pages`], with `folio` locked.
    unsafe extern "C" fn range(
        pass: *mut bindings::iomap_writepage_ctx,
        folio: *mut bindings::folio,
        pos: u64,
        len: ffi::c_uint,
        end: u64,
    ) -> isize {
        let _locked = folio::LOCKED.hold();
        // SAFETY: The pass is live and ours; its inode is of this file system.
        let (inode, mapping) = unsafe { (Inode::<F>::from_raw((*pass).inode), &mut (*pass).iomap) };
        let cached = Mapping::from_raw(mapping);
        let covers = cached.offset <= pos && pos - cached.offset < cached.length;
        let mut result = 0;
        if !covers || !W::is_valid(inode, &cached) {
            match W::map(inode, pos, len) {
                // SAFETY: The device is open as long as the mount lives.
                Ok(found) => found.fill(mapping, unsafe { (*inode.sb().as_raw()).s_bdev }),
                Err(error) => result = error.to_errno() as isize,
            }
        }
        if result == 0 {
            // SAFETY: iomap's own arguments.
            result = unsafe {
                bindings::iomap_add_to_ioend(
                    pass,
                    folio,
                    pos as bindings::loff_t,
                    end as bindings::loff_t,
                    len,
                )
            };
        }
        if result < 0 {
            // SAFETY: The folio is live.
            let folio_end = unsafe { bindings::folio_next_pos(folio) };
            W::discard(inode, pos, folio_end.unsigned_abs());
        }
        result
    }

    /// # Safety
    ///
    /// Called by iomap only, within [`Control::write_pages`], with a gathered write in `wb_ctx`.
    unsafe extern "C" fn submit(
        pass: *mut bindings::iomap_writepage_ctx,
        error: ffi::c_int,
    ) -> ffi::c_int {
        // SAFETY: The pass and its write are live.
        unsafe {
            let write: *mut bindings::iomap_ioend = (*pass).wb_ctx.cast();
            let inode = Inode::<F>::from_raw((*pass).inode);
            // iomap's own handler would not tell of the end.
            let follows = W::submit(inode, &Write(write, PhantomData), error == 0);
            if follows || bios_are_traced() {
                let bio = ptr::addr_of_mut!((*write).io_bio);
                (*bio).bi_end_io = Some(Completions::<F>::end_io);
                // The worker of the mount is the task that it completes in.
                bindings::bio_clear_complete_in_task(bio);
            }
            if error != 0 {
                return bindings::iomap_ioend_writeback_submit(pass, error);
            }
            note_submit(ptr::addr_of_mut!((*write).io_bio));
            if (*write).io_bio.bi_end_io.is_none() {
                return bindings::iomap_ioend_writeback_submit(pass, 0);
            }
            bindings::submit_bio(ptr::addr_of_mut!((*write).io_bio));
            0
        }
    }
}

/// The writes of a mount that have ended, and the worker that follows them.
#[pin_data(PinnedDrop)]
pub(super) struct Completions<F: FileSystem> {
    /// Writes as the interrupts found them end, the last first.
    #[pin]
    ended: Opaque<bindings::llist_head>,
    #[pin]
    work: Opaque<bindings::work_struct>,
    queue: *mut bindings::workqueue_struct,
    sb: *mut bindings::super_block,
    _fs: PhantomData<F>,
}

// SAFETY: The list is lock-free, work items may be queued by anybody.
unsafe impl<F: FileSystem> Send for Completions<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for Completions<F> {}

impl<F: FileSystem + SuperOps> Completions<F> {
    /// A worker for the mount `sb`, which must outlive it; `id` names it.
    pub(super) fn new(
        sb: *mut bindings::super_block,
        id: &CStr,
    ) -> impl PinInit<Self, Error> + use<'_, F> {
        // SAFETY: The name is copied.
        let queue = unsafe { bindings::alloc_writeback_workqueue(id.as_char_ptr().cast()) };
        try_pin_init!(Self {
            ended <- Opaque::ffi_init(|ended: *mut bindings::llist_head| {
                // SAFETY: The memory is ours to initialise.
                unsafe { (*ended).first = ptr::null_mut() }
            }),
            work <- Opaque::ffi_init(|work| {
                // SAFETY: The memory is ours to initialise, and pinned.
                unsafe { bindings::init_work(work, Some(Self::run)) }
            }),
            queue: if queue.is_null() { return Err(ENOMEM) } else { queue },
            sb,
            _fs: PhantomData,
        }? Error)
    }

    /// # Safety
    ///
    /// Called by the block layer only, in any context, for bios that [`WritebackVTable::submit`] sent.
    unsafe extern "C" fn end_io(bio: *mut bindings::bio) {
        // SAFETY: The bio is part of a write of an inode whose folios are under writeback, so the mount
        // and its data are there. After the write is on the list, the worker may free it.
        unsafe {
            // Keeps the mount's data until the work is queued: see `drop`.
            bindings::rcu_read_lock();
            let write = bindings::iomap_ioend_from_bio(bio);
            (*write).io_error = bindings::blk_status_to_errno((*bio).bi_status);
            let block = 1usize << (*(*write).io_inode).i_blkbits;
            let bytes = (*write).io_size.next_multiple_of(block);
            note_end(bio, (*write).io_sector, bytes as u32);
            let this = &SuperBlock::<F>::from_raw((*(*write).io_inode).i_sb)
                .info()
                .completions;
            let node = ptr::addr_of_mut!((*write).io_list).cast::<bindings::llist_node>();
            if bindings::llist_add(node, this.ended.get()) {
                bindings::queue_work(this.queue, this.work.get());
            }
            bindings::rcu_read_unlock();
        }
    }

    /// # Safety
    ///
    /// Called by the work queue only, with the work item of a live mount.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: The item is a field of a pinned `Completions`, which flushes it before it goes.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: The list's nodes are writes that have ended and are nobody else's any more.
        unsafe {
            let first = bindings::llist_del_all(this.ended.get());
            if first.is_null() {
                return;
            }
            let nofs = NofsScope::enter();
            let writeback = folio::WRITEBACK.hold();
            let chain = merge(sort(first));
            if F::HAS_FINISH_WRITEBACK {
                F::finish_writeback(SuperBlock::from_raw(this.sb), &Finished(chain, PhantomData));
            }
            drop((writeback, nofs));
            let mut write = chain;
            while !write.is_null() {
                let next = (*write).io_private.cast();
                bindings::iomap_finish_ioends(write, (*write).io_error);
                write = next;
            }
        }
    }
}

impl<F: FileSystem> Completions<F> {
    /// Waits until the bookkeeping of all writes that have ended so far is done.
    pub(super) fn flush(&self) {
        // SAFETY: The item was initialised and stays.
        unsafe { bindings::flush_work(self.work.get()) };
    }
}

#[pinned_drop]
impl<F: FileSystem> PinnedDrop for Completions<F> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: No inode is left, so no write will end. An `end_io` whose write another one's work has
        // already finished may still be queueing: it is waited for. The queue's work is done before
        // it goes.
        unsafe {
            bindings::synchronize_rcu();
            bindings::destroy_workqueue(self.queue);
        }
    }
}

/// Makes a list head that contains only itself.
///
/// # Safety
///
/// `head` must be valid for writing.
unsafe fn init_list(head: *mut bindings::list_head) {
    // SAFETY: The caller says so.
    unsafe {
        (*head).next = head;
        (*head).prev = head;
    }
}

/// Puts `node` before `head`, that is, at the end of its list.
///
/// # Safety
///
/// `head` must be a valid list, and `node` valid for writing and on none.
unsafe fn add_tail(node: *mut bindings::list_head, head: *mut bindings::list_head) {
    // SAFETY: The caller says so.
    unsafe {
        let last = (*head).prev;
        (*node).next = head;
        (*node).prev = last;
        (*last).next = node;
        (*head).prev = node;
    }
}

/// Takes `node` off its list.
///
/// # Safety
///
/// `node` must be on a valid list.
unsafe fn remove(node: *mut bindings::list_head) {
    // SAFETY: The caller says so.
    unsafe {
        (*(*node).prev).next = (*node).next;
        (*(*node).next).prev = (*node).prev;
        init_list(node);
    }
}

/// Takes the first write off a list.
///
/// # Safety
///
/// `head` must be a valid list of writes.
unsafe fn pop(head: *mut bindings::list_head) -> Option<*mut bindings::iomap_ioend> {
    // SAFETY: The caller says so.
    unsafe {
        let node = (*head).next;
        if node == head {
            return None;
        }
        remove(node);
        Some(write_of(node))
    }
}

/// The write that a list node is part of.
fn write_of(node: *mut bindings::list_head) -> *mut bindings::iomap_ioend {
    // The offset is 0 today; the compiler computes it.
    node.wrapping_byte_sub(core::mem::offset_of!(bindings::iomap_ioend, io_list))
        .cast()
}

/// Sorts ended writes by inode and offset, and chains them by `io_private`.
///
/// # Safety
///
/// `first` must begin a list of writes that have ended and that nobody else uses.
unsafe fn sort(first: *mut bindings::llist_node) -> *mut bindings::iomap_ioend {
    let mut list = bindings::list_head::default();
    let head = ptr::addr_of_mut!(list);
    // SAFETY: Each node is moved from one list to the other before the next is looked at; the
    // comparison reads live writes.
    unsafe {
        init_list(head);
        let mut node = first;
        while !node.is_null() {
            let next = (*node).next;
            add_tail(node.cast(), head);
            node = next;
        }
        bindings::list_sort(ptr::null_mut(), head, Some(compare));
        let mut chain: *mut bindings::iomap_ioend = ptr::null_mut();
        let mut last = (*head).prev;
        while last != head {
            let previous = (*last).prev;
            let write = write_of(last);
            (*write).io_private = chain.cast();
            chain = write;
            last = previous;
        }
        chain
    }
}

/// # Safety
///
/// Called by `list_sort` only, with nodes of live writes.
unsafe extern "C" fn compare(
    _private: *mut ffi::c_void,
    a: *const bindings::list_head,
    b: *const bindings::list_head,
) -> ffi::c_int {
    // SAFETY: The caller says so.
    unsafe {
        let (a, b) = (write_of(a.cast_mut()), write_of(b.cast_mut()));
        let key =
            |write: *mut bindings::iomap_ioend| ((*write).io_inode.addr(), (*write).io_offset);
        key(a).cmp(&key(b)) as ffi::c_int
    }
}

/// Joins neighbours of one inode, in the file and on the device, so that each is one for what follows.
/// What was joined is on the list of its first write, which `iomap_finish_ioends` walks.
///
/// # Safety
///
/// `chain` must come from [`sort`].
unsafe fn merge(chain: *mut bindings::iomap_ioend) -> *mut bindings::iomap_ioend {
    let mut group = bindings::list_head::default();
    let group = ptr::addr_of_mut!(group);
    let mut rest = chain;
    let mut last: *mut bindings::iomap_ioend = ptr::null_mut();
    // SAFETY: The writes are live and ours; the first of the chain stays the first. `io_private` is
    // NULL while iomap compares writes, and set again for those that are done with.
    unsafe {
        init_list(group);
        while !rest.is_null() {
            let inode = (*rest).io_inode;
            while !rest.is_null() && (*rest).io_inode == inode {
                let next = (*rest).io_private.cast();
                (*rest).io_private = ptr::null_mut();
                add_tail(ptr::addr_of_mut!((*rest).io_list), group);
                rest = next;
            }
            while let Some(write) = pop(group) {
                bindings::iomap_ioend_try_merge(write, group);
                if !last.is_null() {
                    (*last).io_private = write.cast();
                }
                last = write;
            }
        }
    }
    chain
}
