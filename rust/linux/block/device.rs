// SPDX-License-Identifier: GPL-2.0

//! The block device of a mount, for metadata: synchronous requests in file system blocks, past the
//! page cache.
//!
//! C headers: `include/linux/blkdev.h`, `include/linux/bio.h`.

use super::buffer::Block;
use super::note_submit;
use crate::linux::alloc::AllocError;
use crate::linux::log::Said;
use crate::linux::{bindings, trace};
use core::ffi::CStr;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::ffi::{c_int, c_uint, c_void};

/// The unit of the block layer, in bytes.
const SECTOR: u64 = 512;

/// Bytes for a device's name and its end.
const NAME: usize = 40;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The device reported an error, or the request lay past its end.
    Io,
    /// There was no memory for the request.
    NoMemory,
}

impl From<AllocError> for DeviceError {
    fn from(_: AllocError) -> Self {
        Self::NoMemory
    }
}

/// What a write is for: the request's flags follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteClass {
    /// Somebody waits for it (a commit).
    Journal,
    /// Nobody waits for it (a checkpoint).
    Background,
}

impl WriteClass {
    fn flags(self) -> c_uint {
        let metadata = bindings::req_op_REQ_OP_WRITE | bindings::REQ_META | bindings::REQ_PRIO;
        match self {
            // Both together keep writeback throttling away from a write that many wait for.
            Self::Journal => metadata | bindings::REQ_SYNC | bindings::REQ_IDLE,
            Self::Background => metadata,
        }
    }
}

/// The device a file system lives on.
///
/// # Invariants
///
/// `bdev` is open while the value exists; `mount` is null or the live superblock that it is of.
pub struct Device {
    bdev: NonNull<bindings::block_device>,
    mount: *mut bindings::super_block,
    block_size: AtomicU32,
    said: Said,
    /// Terminated.
    name: [u8; NAME],
}

// SAFETY: A block device may be used from any task.
unsafe impl Send for Device {}
// SAFETY: As above; a superblock too may be used from any task. The rest is atomic or constant.
unsafe impl Sync for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().to_str().unwrap_or("?"))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One bio that is being put together: it ends where the next of `blocks` does not follow on.
struct Run<'a> {
    blocks: &'a [(u64, Block)],
}

impl<'a> Iterator for Run<'a> {
    type Item = &'a [(u64, Block)];

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.blocks.first()?.0;
        let most = self.blocks.iter().take(bindings::BIO_MAX_VECS as usize);
        let len = most
            .zip(first..)
            .take_while(|((block, _), expected)| block == expected)
            .count();
        let (run, rest) = self.blocks.split_at_checked(len)?;
        self.blocks = rest;
        Some(run)
    }
}

impl Device {
    /// The device behind `bdev`.
    ///
    /// # Safety
    ///
    /// `bdev` is open (`s_bdev` is, from before `fill_super` until after `put_super`) and stays so
    /// until the value is dropped.
    pub unsafe fn from_raw(bdev: *mut bindings::block_device) -> Self {
        let mut name = [0u8; NAME];
        // SAFETY: The buffer's size is passed along; the device is there.
        unsafe { bindings::bdev_format_name(name.as_mut_ptr().cast(), NAME, bdev) };
        // INVARIANT: The caller's promise.
        // SAFETY: An open device is not null.
        let bdev = unsafe { NonNull::new_unchecked(bdev) };
        Self {
            bdev,
            mount: ptr::null_mut(),
            block_size: AtomicU32::new(1024),
            said: Said::default(),
            name,
        }
    }

    /// The device of a mount.
    ///
    /// # Safety
    ///
    /// As for [`Self::from_raw`], with `sb->s_bdev` for the device.
    pub unsafe fn of_mount(sb: *mut bindings::super_block) -> Self {
        // SAFETY: The caller's promise.
        let device = unsafe { Self::from_raw((*sb).s_bdev) };
        // INVARIANT: The superblock outlives `put_super`, and so the value.
        Self {
            mount: sb,
            ..device
        }
    }

    fn raw(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }

    /// The kernel's short name of the device.
    pub fn name(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.name).unwrap_or(c"?")
    }

    /// What the log was told of it.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Tells who watches the mount (`fanotify`'s `FAN_FS_ERROR`) of an error of its metadata, in the
    /// inode `ino` if not 0. Does not sleep.
    pub fn tell_watchers(&self, errno: i32, ino: u64) {
        if errno > 0 && !self.mount.is_null() {
            // SAFETY: The type invariant; the error is negative, as the call asks for.
            unsafe { bindings::fserror_report_ino(self.mount, ino, -errno) };
        }
    }

    /// The size of the blocks that the other calls speak of, in bytes.
    pub fn block_size(&self) -> u32 {
        self.block_size.load(Ordering::Relaxed)
    }

    /// Sets the block size, once, while mounting; of the device's page cache too, which is written and
    /// emptied if it had another one. The device must be able to transfer such blocks.
    pub fn set_block_size(&self, bytes: u32) -> Result<(), DeviceError> {
        // SAFETY: Open: the type invariant.
        let smallest = unsafe { bindings::bdev_logical_block_size(self.raw()) };
        if !bytes.is_power_of_two() || bytes < smallest {
            return Err(DeviceError::Io);
        }
        if !self.mount.is_null() {
            let size = c_int::try_from(bytes).map_err(|_| DeviceError::Io)?;
            // SAFETY: The type invariant: the superblock is live and has the device open. Nobody else
            // changes these fields of one that is being mounted.
            if unsafe { bindings::sb_set_blocksize(self.mount, size) } == 0 {
                return Err(DeviceError::Io);
            }
        }
        self.block_size.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The size of the device, in bytes.
    pub fn size_bytes(&self) -> u64 {
        // SAFETY: Open: the type invariant.
        u64::try_from(unsafe { bindings::bdev_nr_bytes(self.raw()) }).unwrap_or(0)
    }

    /// Units of 512 bytes written since the device exists, by anybody.
    pub fn sectors_written(&self) -> u64 {
        // SAFETY: Open: the type invariant.
        unsafe { bindings::bdev_sectors_written(self.raw()) }
    }

    /// Whether writing is impossible.
    pub fn is_read_only(&self) -> bool {
        // SAFETY: Open: the type invariant.
        unsafe { bindings::bdev_read_only(self.raw()) }
    }

    /// The device number (`dev_t`), for trace events.
    pub fn dev(&self) -> u32 {
        // SAFETY: Open; the field is constant.
        unsafe { (*self.raw()).bd_dev }
    }

    /// Reads bytes at a byte offset; for the superblock, before the block size is known.
    pub fn read_bytes(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        // SAFETY: Open: the type invariant.
        let unit = u64::from(unsafe { bindings::bdev_logical_block_size(self.raw()) });
        let mut whole = Block::zeroed(unit as usize)?;
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let skip = at.checked_rem(unit).ok_or(DeviceError::Io)?;
            let sector = (at - skip) / SECTOR;
            self.transfer(sector, &mut whole)?;
            let from = whole.get(skip as usize..).unwrap_or(&[]);
            let len = from.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            at = at.checked_add(len as u64).ok_or(DeviceError::Io)?;
            rest = later;
        }
        Ok(())
    }

    /// Waits until what others have changed of a block by way of the device's page cache is on the device.
    pub fn write_cached(&self, block: u64) -> Result<(), DeviceError> {
        let start = self.sector(block)?.saturating_mul(SECTOR) as bindings::loff_t;
        let end = start.saturating_add(i64::from(self.block_size()) - 1);
        // SAFETY: Open: the type invariant. The mapping lives with the device.
        check(unsafe {
            bindings::filemap_write_and_wait_range((*self.raw()).bd_mapping, start, end)
        })
    }

    /// Seconds and nanoseconds since 1970, as the VFS stamps inodes: the clock moves once in a tick, and in
    /// between not behind what anybody has been stamped with (`ktime_get_coarse_real_ts64_mg`).
    pub fn now(&self) -> (i64, u32) {
        // SAFETY: Open: the type invariant; the device's own inode lives with it, and nobody stamps that here.
        let time = unsafe { bindings::current_time((*(*self.raw()).bd_mapping).host) };
        (time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// Whether there is anything in the device's page cache.
    fn has_cached(&self) -> bool {
        // SAFETY: Open: the type invariant. The mapping lives with the device; a word that is read whole.
        unsafe { ptr::addr_of!((*(*self.raw()).bd_mapping).nrpages).read_volatile() != 0 }
    }

    /// A block as it is in the device's page cache, if it is there. Reads nothing and waits for nothing.
    pub fn cached_block(&self, block: u64) -> Option<Block> {
        if !self.has_cached() {
            return None;
        }
        let start = self.sector(block).ok()?.saturating_mul(SECTOR) as bindings::loff_t;
        let mut contents = Block::zeroed(self.block_size() as usize).ok()?;
        let bytes = contents.get_mut()?;
        // SAFETY: Open: the type invariant. The buffer's size is passed along.
        let copied = unsafe {
            bindings::bdev_copy_cached(self.raw(), start, bytes.as_mut_ptr().cast(), bytes.len())
        };
        copied.then_some(contents)
    }

    /// Drops a block from the device's page cache, unless it was changed there, so that others see
    /// what was written around it, and do not write it back as it was. Cheap if the page cache is empty.
    pub fn forget_cached(&self, block: u64) {
        let offset = block.saturating_mul(u64::from(self.block_size()));
        let page = (offset >> bindings::PAGE_SHIFT) as usize;
        if self.has_cached() {
            // SAFETY: Open: the type invariant. The mapping lives with the device.
            unsafe { bindings::invalidate_mapping_pages((*self.raw()).bd_mapping, page, page) };
        }
    }

    /// Reads one block.
    pub fn read_block(&self, block: u64) -> Result<Block, DeviceError> {
        let mut contents = Block::zeroed(self.block_size() as usize)?;
        self.transfer(self.sector(block)?, &mut contents)?;
        Ok(contents)
    }

    /// Fills a block that nobody else has from `sector` on.
    fn transfer(&self, sector: u64, into: &mut Block) -> Result<(), DeviceError> {
        let bytes = into.get_mut().ok_or(DeviceError::Io)?;
        let end = sector
            .checked_mul(SECTOR)
            .and_then(|start| start.checked_add(bytes.len() as u64));
        if end.is_none_or(|end| end > self.size_bytes()) {
            return Err(DeviceError::Io);
        }
        let flags = bindings::req_op_REQ_OP_READ | bindings::REQ_META | bindings::REQ_PRIO;
        let bio = Bio::new(self, sector, 1, flags);
        // SAFETY: The bytes are `kmalloc`ed and borrowed for writing until after the wait. There is
        // room for them.
        unsafe {
            bindings::bio_add_virt_nofail(
                bio.raw(),
                bytes.as_mut_ptr().cast::<c_void>(),
                bytes.len() as c_uint,
            )
        };
        let result = bio.submit_and_wait(None);
        self.note_end(sector, bytes.len(), result);
        check(result)
    }

    /// Writes all blocks and waits for them. Neighbours in the list that are neighbours on the device
    /// go in one request, so the caller sorts.
    pub fn write_blocks(
        &self,
        blocks: &[(u64, Block)],
        class: WriteClass,
    ) -> Result<(), DeviceError> {
        if blocks.is_empty() {
            return Ok(());
        }
        // All are checked before the first is sent.
        blocks
            .iter()
            .try_for_each(|(block, contents)| self.check_block(*block, contents))?;
        self.write_checked(blocks, class)
    }

    fn check_block(&self, block: u64, contents: &Block) -> Result<(), DeviceError> {
        if contents.len() != self.block_size() as usize {
            return Err(DeviceError::Io);
        }
        self.sector(block).map(|_| ())
    }

    fn write_checked(&self, blocks: &[(u64, Block)], class: WriteClass) -> Result<(), DeviceError> {
        let mut plug = MaybeUninit::<bindings::blk_plug>::uninit();
        let mut chain: Option<Bio> = None;
        let mut ended = 0;
        // SAFETY: The plug stays in place until `blk_finish_plug`, which `submit_and_wait` calls; at
        // least one run is sent, so it does.
        unsafe { bindings::blk_start_plug(plug.as_mut_ptr()) };
        for run in (Run { blocks }) {
            let sector = self.start(run);
            let (pieces, flags) = (run.len() as u32, class.flags());
            let bio = match Bio::new_at_once(self, sector, pieces, flags) {
                Some(bio) => bio,
                None => {
                    // Who waits for memory of the pool must have none of it.
                    let sent = chain.take().map_or(0, |last| last.submit_and_wait(None));
                    ended = ended.min(sent);
                    Bio::new(self, sector, pieces, flags)
                }
            };
            for (_, contents) in run {
                // SAFETY: The bytes are `kmalloc`ed, only read, and outlive the wait below, as do the
                // references to them, which keep everybody from writing. The bio has room.
                unsafe {
                    bindings::bio_add_virt_nofail(
                        bio.raw(),
                        contents.as_ptr().cast_mut().cast(),
                        contents.len() as c_uint,
                    )
                };
            }
            chain = Some(bio.after(chain));
        }
        let sent = chain.map_or(0, |last| last.submit_and_wait(Some(plug.as_mut_ptr())));
        ended = ended.min(sent);
        if trace::bio_end::enabled() {
            // What is chained ends together.
            for run in (Run { blocks }) {
                self.note_end(
                    self.start(run),
                    run.len() * self.block_size() as usize,
                    ended,
                );
            }
        }
        check(ended)
    }

    /// The sector at which blocks that are in the device begin.
    fn start(&self, run: &[(u64, Block)]) -> u64 {
        run.first().map_or(0, |(block, _)| *block) * (u64::from(self.block_size()) / SECTOR)
    }

    /// Tells of a request that was waited for.
    fn note_end(&self, sector: u64, bytes: usize, result: c_int) {
        if trace::bio_end::enabled() {
            trace::bio_end::emit(self.dev(), sector, bytes as u32, result);
        }
    }

    /// Writes one block so that it and, with `barrier`, all that was written before are durable when
    /// it returns, the former never without the latter.
    pub fn write_durable(
        &self,
        block: u64,
        contents: &Block,
        barrier: bool,
    ) -> Result<(), DeviceError> {
        self.check_block(block, contents)?;
        let durable = if barrier {
            bindings::REQ_PREFLUSH | bindings::REQ_FUA
        } else {
            0
        };
        let sector = self.sector(block)?;
        let bio = Bio::new(self, sector, 1, WriteClass::Journal.flags() | durable);
        // SAFETY: The bytes are `kmalloc`ed, only read, and outlive the wait below.
        unsafe {
            bindings::bio_add_virt_nofail(
                bio.raw(),
                contents.as_ptr().cast_mut().cast(),
                contents.len() as c_uint,
            )
        };
        let result = bio.submit_and_wait(None);
        self.note_end(sector, contents.len(), result);
        check(result)
    }

    /// Makes all finished writes durable.
    pub fn flush(&self) -> Result<(), DeviceError> {
        if trace::bio_submit::enabled() {
            let op = bindings::req_op_REQ_OP_WRITE | bindings::REQ_PREFLUSH;
            trace::bio_submit::emit(self.dev(), 0, 0, op);
        }
        // SAFETY: Open: the type invariant.
        let result = unsafe { bindings::blkdev_issue_flush(self.raw()) };
        self.note_end(0, 0, result);
        check(result)
    }

    /// Where a block begins, if it lies inside the device.
    fn sector(&self, block: u64) -> Result<u64, DeviceError> {
        let size = u64::from(self.block_size());
        let end = block.checked_add(1).and_then(|end| end.checked_mul(size));
        if end.is_none_or(|end| end > self.size_bytes()) {
            return Err(DeviceError::Io);
        }
        Ok(block * (size / SECTOR))
    }
}

/// A request that is not yet sent.
///
/// # Invariants
///
/// The bio is ours, and was not submitted.
struct Bio(NonNull<bindings::bio>);

impl Bio {
    /// An empty request at `sector` with room for `pieces` pieces of memory. Waits until there is memory;
    /// the caller has no other request that is not sent, as one that others wait for may be that memory.
    fn new(device: &Device, sector: u64, pieces: u32, flags: c_uint) -> Self {
        loop {
            // The allocation may sleep, and does not fail then.
            if let Some(bio) = Self::alloc(device, sector, (pieces, flags), bindings::GFP_KERNEL) {
                return bio;
            }
        }
    }

    /// As [`Self::new`], but if there is no memory at once the answer is `None`.
    fn new_at_once(device: &Device, sector: u64, pieces: u32, flags: c_uint) -> Option<Self> {
        Self::alloc(device, sector, (pieces, flags), bindings::GFP_NOWAIT)
    }

    fn alloc(
        device: &Device,
        sector: u64,
        (pieces, flags): (u32, c_uint),
        memory: bindings::gfp_t,
    ) -> Option<Self> {
        let pieces = pieces.min(bindings::BIO_MAX_VECS) as u16;
        // INVARIANT: It was just made.
        // SAFETY: The device is open; what was allocated is ours.
        unsafe {
            let bio = bindings::bio_alloc(device.raw(), pieces, flags, memory);
            let bio = NonNull::new(bio)?;
            ptr::addr_of_mut!((*bio.as_ptr()).bi_iter.bi_sector).write(sector);
            Some(Self(bio))
        }
    }

    fn raw(&self) -> *mut bindings::bio {
        self.0.as_ptr()
    }

    /// Submits `earlier`, whose end this one then waits for.
    fn after(self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            // SAFETY: Both are ours; the submission ends our ownership of `earlier`, which is consumed.
            unsafe {
                bindings::bio_chain(earlier.raw(), self.raw());
                note_submit(earlier.raw());
                bindings::submit_bio(earlier.raw());
            }
        }
        self
    }

    /// Submits it, unplugs, and waits for it and all that were chained to it. Returns 0 or an errno, below 0;
    /// [`Device::note_end`] is due for each of them.
    fn submit_and_wait(self, plug: Option<*mut bindings::blk_plug>) -> c_int {
        let plug = plug.unwrap_or(ptr::null_mut());
        // SAFETY: The bio is ours and stays so through the wait; the plug is null or was started by
        // the caller. The put is of the reference the allocation gave.
        unsafe {
            bindings::bio_await(self.raw(), plug.cast::<c_void>(), Some(submit_and_unplug));
            let status = (*self.raw()).bi_status;
            bindings::bio_put(self.raw());
            bindings::blk_status_to_errno(status)
        }
    }
}

/// Sends the last request of a chain.
///
/// # Safety
///
/// `bio` is ready to be submitted and `plug` is null or a plug that this task has started.
unsafe extern "C" fn submit_and_unplug(bio: *mut bindings::bio, plug: *mut c_void) {
    // SAFETY: The contract of this function.
    unsafe {
        note_submit(bio);
        bindings::submit_bio(bio);
        if !plug.is_null() {
            bindings::blk_finish_plug(plug.cast());
        }
    }
}

/// The result of a C function as ours.
fn check(result: c_int) -> Result<(), DeviceError> {
    match result {
        0.. => Ok(()),
        _ => Err(DeviceError::Io),
    }
}
