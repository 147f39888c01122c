// SPDX-License-Identifier: GPL-2.0

//! Block devices.
//!
//! C headers: `include/linux/blkdev.h`, `include/linux/bio.h`.

pub mod buffer;
pub mod device;

use super::{bindings, trace};

/// Whether somebody wants to see requests begin or end.
pub(in crate::linux) fn bios_are_traced() -> bool {
    trace::bio_submit::enabled() || trace::bio_end::enabled()
}

/// Tells of a request that is about to be sent.
///
/// # Safety
///
/// `bio` is live and has a device.
pub(in crate::linux) unsafe fn note_submit(bio: *mut bindings::bio) {
    if trace::bio_submit::enabled() {
        // SAFETY: The contract of this function.
        unsafe {
            let dev = (*(*bio).bi_bdev).bd_dev;
            let at = (*bio).bi_iter;
            trace::bio_submit::emit(dev, at.bi_sector, at.bi_size, (*bio).bi_opf);
        }
    }
}

/// Tells of a request, begun at `sector` with `bytes` bytes, that has ended. In any context.
///
/// # Safety
///
/// `bio` is live and has a device.
pub(in crate::linux) unsafe fn note_end(bio: *mut bindings::bio, sector: u64, bytes: u32) {
    if trace::bio_end::enabled() {
        // SAFETY: The contract of this function.
        unsafe {
            let dev = (*(*bio).bi_bdev).bd_dev;
            let error = bindings::blk_status_to_errno((*bio).bi_status);
            trace::bio_end::emit(dev, sector, bytes, error);
        }
    }
}
