// SPDX-License-Identifier: GPL-2.0

//! Errors at the edge: the file system's become the kernel's.

use crate::core::error::Error as CoreError;
use kernel::error::Error;

/// Turns a result of the file system into one of the kernel.
pub(super) trait OrErrno<T> {
    /// The same with an errno.
    fn errno(self) -> Result<T, Error>;
}

impl<T> OrErrno<T> for Result<T, CoreError> {
    fn errno(self) -> Result<T, Error> {
        self.map_err(|error| Error::from_errno(-error.errno()))
    }
}
