// SPDX-License-Identifier: GPL-2.0

//! How a directory reaches its blocks. Behind a trait, so that the logic can be tested alone.

use crate::core::error::{Error, Place, Result};
use crate::core::platform::Block;
use crate::format::units::FileBlock;
use core::ops::DerefMut;

/// The blocks of one directory.
pub trait Blocks {
    /// What changes are made under.
    type Handle<'j>;
    /// A block in memory.
    type Buffer;
    /// Writable bytes of a block; holds its lock, so there is never more than one.
    type Writable<'b>: DerefMut<Target = [u8]>
    where
        Self::Buffer: 'b;

    /// The verified block at `at`; a hole is an error.
    fn read(&self, at: FileBlock) -> Result<Self::Buffer>;

    /// The contents of a block, which do not change under the caller. Held while the block is
    /// written, they make the writer copy.
    fn data(&self, buffer: &Self::Buffer) -> Result<Block>;

    /// The block's bytes for writing, as part of the handle's transaction. A second time in one
    /// handle, with no snapshot held, it does not fail.
    fn write<'b>(
        &self,
        handle: &mut Self::Handle<'_>,
        buffer: &'b Self::Buffer,
    ) -> Result<Self::Writable<'b>>;

    /// A new, zeroed block at `at`, the end of the directory.
    fn append(&self, handle: &mut Self::Handle<'_>, at: FileBlock) -> Result<Self::Buffer>;

    /// What to say of a fault in this block.
    fn place(&self, buffer: &Self::Buffer) -> Place;

    /// A fault that does not stop the operation.
    fn warn(&self, error: Error);
}
