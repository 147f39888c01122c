// SPDX-License-Identifier: GPL-2.0

//! Giving an inode another name, in place of what had that name before.

use super::names::{insert_credits, ENTRY_CREDITS};
use super::{Filesystem, Inode, InodeKind};
use crate::core::dir::Found;
use crate::core::error::{Error, Result};
use crate::core::inode::{
    add_directory_link, drop_directory_link, has_room_for_directory, Touch, ORPHAN_CREDITS,
};
use crate::core::journal::Handle;
use crate::format::dirent::FileType;

/// What is to be renamed to what. All inodes are locked by the caller.
#[derive(Clone, Copy, Debug)]
pub struct Rename<'a> {
    /// The directory with the name that goes.
    pub old_dir: &'a Inode,
    /// The name that goes.
    pub old_name: &'a [u8],
    /// What it stands for.
    pub inode: &'a Inode,
    /// The directory with the name that comes.
    pub new_dir: &'a Inode,
    /// The name that comes.
    pub new_name: &'a [u8],
    /// What the new name stands for so far, if it is there.
    pub target: Option<&'a Inode>,
}

/// Credits of a rename beside those of the new name: the old name, "..", the inode, the one replaced.
const CREDITS: u32 = ENTRY_CREDITS + ENTRY_CREDITS + 2 + ORPHAN_CREDITS;

impl Rename<'_> {
    fn moves_directory(&self) -> bool {
        self.inode.kind() == InodeKind::Directory && self.old_dir.ino() != self.new_dir.ino()
    }
}

impl Filesystem {
    /// Renames. After a crash there is the old state or the new one.
    pub fn rename(&self, rename: &Rename<'_>) -> Result {
        self.writable()?;
        let renamed = self.retry(|| self.try_rename(rename));
        self.report("rename", rename.inode.ino(), renamed)
    }

    /// Refuses what cannot be; nothing is changed yet. Returns where the new name is.
    fn check_rename(&self, rename: &Rename<'_>) -> Result<Option<Found>> {
        self.find(rename.old_dir, rename.old_name, rename.inode)?;
        let is_directory = rename.inode.kind() == InodeKind::Directory;
        let present = self.directory(rename.new_dir)?.lookup(rename.new_name)?;
        match (rename.target, present) {
            (None, None) if rename.new_dir.fields().links == 0 => return Err(Error::NotFound),
            (None, None) if rename.moves_directory() => {
                has_room_for_directory(&rename.new_dir.fields(), self.has_uncounted_links())?;
            }
            (None, None) => {}
            (Some(target), Some(found)) if target.ino() == found.ino => {
                match (is_directory, target.kind() == InodeKind::Directory) {
                    (true, false) => return Err(Error::NotDirectory),
                    (false, true) => return Err(Error::IsDirectory),
                    (true, true) if !self.directory(target)?.is_empty()? => {
                        return Err(Error::NotEmpty)
                    }
                    _ => {}
                }
            }
            (None, Some(_)) => return Err(Error::Exists),
            _ => return Err(Error::NotFound),
        }
        if rename.moves_directory()
            && self.directory(rename.inode)?.parent()? != rename.old_dir.ino()
        {
            return Err(Error::NotFound);
        }
        Ok(present)
    }

    fn try_rename(&self, rename: &Rename<'_>) -> Result {
        if rename
            .target
            .is_some_and(|target| target.ino() == rename.inode.ino())
        {
            // Two names of one file: nothing is to be done.
            return Ok(());
        }
        let present = self.check_rename(rename)?;
        let credits = insert_credits(rename.new_dir)?.saturating_add(CREDITS);
        self.volume.change(credits, |handle| {
            self.move_name(handle, rename, present.as_ref())
        })
    }

    /// Moves the name; `present` is where the new one is already.
    fn move_name(
        &self,
        handle: &mut Handle<'_>,
        rename: &Rename<'_>,
        present: Option<&Found>,
    ) -> Result {
        let moves = rename.moves_directory();
        match present {
            Some(found) => self.replace_name(handle, rename, found)?,
            None => self.add_name(
                handle,
                rename.new_dir,
                rename.new_name,
                rename.inode,
                |parent| {
                    if moves {
                        add_directory_link(parent);
                    }
                },
            )?,
        }
        // The entry may have moved when the new one was added: it is looked up again.
        let found = self.find(rename.old_dir, rename.old_name, rename.inode)?;
        let loses = rename.inode.kind() == InodeKind::Directory && (moves || present.is_some());
        self.remove_name(handle, rename.old_dir, rename.old_name, &found, |parent| {
            if loses {
                drop_directory_link(parent);
            }
        })?;
        if moves {
            let mut directory = self.directory(rename.inode)?;
            directory.set_parent(handle, rename.new_dir.ino())?;
            // Its names are the same as before.
            let mtime = rename.inode.fields().mtime;
            self.store_directory(handle, rename.inode, &directory, |fields| {
                fields.mtime = mtime
            })?;
        }
        rename
            .inode
            .change(&self.volume, handle, Touch::Data, |fields| {
                fields.ctime = self.volume.now();
                Ok(())
            })?;
        match rename.target {
            Some(target) if target.kind() == InodeKind::Directory => {
                self.drop_directory(handle, target)
            }
            Some(target) => self.drop_name_of(handle, target),
            None => Ok(()),
        }
    }

    /// Lets the new name stand for the inode. The link count of the directory stays: a directory
    /// that comes takes the place of one that goes.
    fn replace_name(&self, handle: &mut Handle<'_>, rename: &Rename<'_>, found: &Found) -> Result {
        let mut directory = self.directory(rename.new_dir)?;
        let file_type = FileType::of(rename.inode.kind());
        directory.replace(
            handle,
            rename.new_name,
            found,
            rename.inode.ino(),
            file_type,
        )?;
        self.store_directory(handle, rename.new_dir, &directory, |_| {})
    }
}
