// SPDX-License-Identifier: GPL-2.0

//! The contents of one block: reference-counted, so that a commit can keep the version it writes.

use crate::linux::alloc::{AllocError, GFP};
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicUsize, Ordering};
use kernel::alloc::{KBox, KVec};

/// What all references to a block point to.
struct Inner {
    references: AtomicUsize,
    /// In one piece of the kernel's direct mapping; a power of two in size, and so aligned to it,
    /// as `kmalloc` promises: any device can transfer it.
    bytes: KVec<u8>,
}

/// Reference-counted memory of one block. Shared contents never change; a lone owner may write.
///
/// # Invariants
///
/// It points to a leaked `KBox<Inner>` and owns one of its references.
pub struct Block(NonNull<Inner>);

// SAFETY: The counter is atomic, and the bytes are written only by a lone owner.
unsafe impl Send for Block {}
// SAFETY: As above: a shared reference only reads.
unsafe impl Sync for Block {}

impl Block {
    fn from_bytes(bytes: KVec<u8>) -> Result<Self, AllocError> {
        let inner = KBox::new(
            Inner {
                references: AtomicUsize::new(1),
                bytes,
            },
            GFP,
        )?;
        // INVARIANT: The box is leaked, with one reference.
        Ok(Self(NonNull::from(KBox::leak(inner))))
    }

    /// `len` zero bytes; `len` is a power of two of at least a sector.
    pub fn zeroed(len: usize) -> Result<Self, AllocError> {
        Self::from_bytes(KVec::zeroed(len, GFP)?)
    }

    fn inner(&self) -> &Inner {
        // SAFETY: The type invariant: it is there as long as this reference is.
        unsafe { self.0.as_ref() }
    }

    /// The bytes for writing, when nobody else holds them.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        // Acquire: what another owner did with the bytes comes before its release of them.
        if self.inner().references.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: This is the only reference, and it is borrowed for writing, so that no other can
        // be made of it.
        Some(unsafe { self.0.as_mut() }.bytes.as_mut_slice())
    }

    /// A private copy.
    pub fn copy(&self) -> Result<Self, AllocError> {
        let mut bytes = KVec::with_capacity(self.len(), GFP)?;
        bytes.extend_from_slice(self, GFP)?;
        Self::from_bytes(bytes)
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        // Relaxed: the new reference comes from one that is there.
        self.inner().references.fetch_add(1, Ordering::Relaxed);
        // INVARIANT: It owns the reference just counted.
        Self(self.0)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.inner().references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: That was the last reference; the type invariant says what it points to.
        drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.inner().bytes
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.len())
    }
}
