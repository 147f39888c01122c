// SPDX-License-Identifier: GPL-2.0

//! The contents of one block: reference-counted, so that a commit can keep the version it writes.

use super::alloc::AllocError;
use super::shortage;
use std::ops::Deref;
use std::sync::Arc;

/// Reference-counted memory of one block. Shared contents never change; a lone owner may write.
#[derive(Clone, Debug)]
pub struct Block(Arc<[u8]>);

impl Block {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self(std::vec![0u8; len].into()))
    }

    /// The bytes for writing, when nobody else holds them.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0)
    }

    /// A private copy.
    pub fn copy(&self) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self(Arc::from(&self.0[..])))
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
