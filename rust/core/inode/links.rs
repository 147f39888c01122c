// SPDX-License-Identifier: GPL-2.0

//! Link counts. A directory with an index may have more subdirectories than the field can count
//! (`dir_nlink`): its count is 1 from then on, and stays 1.

use crate::core::error::{Error, Result};
use crate::format::inode::{InodeFields, InodeFlags};

/// The most links an inode has.
const LINK_MAX: u16 = 65000;

/// Whether a directory can take one more subdirectory; `uncounted` is the feature `dir_nlink`.
pub fn has_room_for_directory(parent: &InodeFields, uncounted: bool) -> Result {
    let indexed = parent.flags.has(InodeFlags::INDEX);
    if parent.links >= LINK_MAX && !(uncounted && indexed) {
        return Err(Error::TooManyLinks);
    }
    Ok(())
}

/// Counts the ".." of a new subdirectory; [`has_room_for_directory`] has said yes.
pub fn add_directory_link(parent: &mut InodeFields) {
    parent.links = match parent.links {
        0 | 1 | LINK_MAX.. => 1,
        links => links.saturating_add(1),
    };
}

/// No longer counts the ".." of a subdirectory.
pub fn drop_directory_link(parent: &mut InodeFields) {
    if parent.links > 2 {
        parent.links = parent.links.saturating_sub(1);
    }
}

/// Counts one more name of a file that is no directory.
pub fn add_link(file: &mut InodeFields) -> Result {
    if file.links >= LINK_MAX {
        return Err(Error::TooManyLinks);
    }
    file.links = file.links.saturating_add(1);
    Ok(())
}

/// No longer counts one name of a file that is no directory; returns whether it was the last.
pub fn drop_link(file: &mut InodeFields) -> bool {
    file.links = file.links.saturating_sub(1);
    file.links == 0
}
