// SPDX-License-Identifier: GPL-2.0

//! The contents of one block: reference-counted, so that a commit can keep the version it writes.

use super::alloc::AllocError;
use super::ledger::Charge;
use super::shortage;
use std::ops::Deref;
use std::sync::Arc;

/// Reference-counted memory of one block. Shared contents never change; a lone owner may write.
#[derive(Clone, Debug)]
pub struct Block(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    bytes: std::boxed::Box<[u8]>,
    _charge: Charge,
}

impl Block {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self::with(std::vec![0; len].into()))
    }

    /// The bytes for writing, when nobody else holds them.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0).map(|contents| &mut *contents.bytes)
    }

    /// A private copy.
    pub fn copy(&self) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self::with(self[..].into()))
    }

    fn with(bytes: std::boxed::Box<[u8]>) -> Self {
        Self(Arc::new(Contents {
            _charge: Charge::of::<u8>(bytes.len()),
            bytes,
        }))
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}
