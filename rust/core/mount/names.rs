// SPDX-License-Identifier: GPL-2.0

//! Names: looking them up, listing them, making and removing them.

use super::{Filesystem, Inode, InodeKind, NewInode};
use crate::core::alloc::INODE_CREDITS;
use crate::core::dir::{Directory, FileBlocks, Found, Width};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::inode::{
    add_directory_link, add_link, drop_directory_link, drop_link, has_room_for_directory, Touch,
    ORPHAN_CREDITS,
};
use crate::core::journal::Handle;
use crate::core::platform::{Arc, ArcRoom, GFP};
use crate::format::dirent::FileType;
use crate::format::fault::{DirFault, Fault};
use crate::format::features::RoCompat;
use crate::format::inode::{InodeFields, InodeFlags};
use crate::format::units::Ino;

/// A name in a directory, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The inode.
    pub ino: Ino,
    /// The name.
    pub name: &'a [u8],
    /// What the inode is, if the entry says so.
    pub kind: Option<InodeKind>,
}

/// Credits of changing one entry in place: its block, perhaps the index's loss, and the directory's inode.
pub(super) const ENTRY_CREDITS: u32 = 3;
/// Credits of making an inode without blocks: number, record, and an orphan entry should it fail.
const CREATE_CREDITS: u32 = INODE_CREDITS + ORPHAN_CREDITS;

/// Credits of adding a name: the directory's blocks, and its inode.
pub(super) fn insert_credits(dir: &Inode) -> Result<u32> {
    let growth = dir.directory_map()?.credits_for_allocate();
    Ok(Directory::<FileBlocks<'_>>::insert_credits(growth).saturating_add(1))
}

/// Credits of giving a new inode its first block: not more than one of its directory's would take.
fn first_block_credits(dir: &Inode) -> Result<u32> {
    Ok(dir
        .directory_map()?
        .credits_for_allocate()
        .saturating_add(1))
}

impl Filesystem {
    /// The directory as a map of names.
    pub(super) fn directory<'a>(&'a self, inode: &'a Inode) -> Result<Directory<FileBlocks<'a>>> {
        let map = inode.directory_map()?;
        let fields = inode.fields();
        let blocks = FileBlocks::new(&self.volume, map, inode.ino(), inode.seed());
        Directory::new(
            blocks,
            self.rules,
            inode.ino(),
            fields.size,
            fields.flags.has(InodeFlags::INDEX),
        )
    }

    /// Writes a directory's inode after its names changed: size, index flag and times, and what
    /// `edit` does besides.
    pub(super) fn store_directory(
        &self,
        handle: &mut Handle<'_>,
        inode: &Inode,
        directory: &Directory<FileBlocks<'_>>,
        edit: impl FnOnce(&mut InodeFields),
    ) -> Result {
        self.store_shape(handle, inode, directory, |fields| {
            let time = self.volume.now();
            (fields.mtime, fields.ctime) = (time, time);
            edit(fields);
        })
    }

    /// Writes a directory's inode: size and index flag, and what `edit` does besides.
    fn store_shape(
        &self,
        handle: &mut Handle<'_>,
        inode: &Inode,
        directory: &Directory<FileBlocks<'_>>,
        edit: impl FnOnce(&mut InodeFields),
    ) -> Result {
        inode.change(&self.volume, handle, Touch::Data, |fields| {
            fields.size = directory.size();
            fields.flags = if directory.is_indexed() {
                fields.flags.with(InodeFlags::INDEX)
            } else {
                fields.flags.without(InodeFlags::INDEX)
            };
            edit(fields);
            Ok(())
        })
    }

    /// Adds a name and writes the directory's inode, with what `edit` does to it.
    pub(super) fn add_name(
        &self,
        handle: &mut Handle<'_>,
        dir: &Inode,
        name: &[u8],
        inode: &Inode,
        edit: impl FnOnce(&mut InodeFields),
    ) -> Result {
        let mut directory = self.directory(dir)?;
        let added = directory.insert(handle, name, inode.ino(), FileType::of(inode.kind()));
        if let Err(error) = added {
            // Even so it may have grown, with the same names.
            self.store_shape(handle, dir, &directory, |_| {})?;
            return Err(error);
        }
        self.store_directory(handle, dir, &directory, edit)
    }

    /// Takes a name away and writes the directory's inode, with what `edit` does to it.
    pub(super) fn remove_name(
        &self,
        handle: &mut Handle<'_>,
        dir: &Inode,
        name: &[u8],
        found: &Found,
        edit: impl FnOnce(&mut InodeFields),
    ) -> Result {
        let mut directory = self.directory(dir)?;
        directory.remove(handle, name, found)?;
        self.store_directory(handle, dir, &directory, edit)
    }

    /// Finds a name that must stand for this inode. Who was killed may have to remove what it has made (as overlayfs
    /// does): it is searched for to the end.
    pub(super) fn find(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result<Found> {
        match self.directory(dir)?.lookup(name)? {
            Some(found) if found.ino == inode.ino() => Ok(found),
            _ => Err(Error::NotFound),
        }
    }

    /// The inode that a name stands for.
    pub fn lookup(&self, dir: &Inode, name: &[u8]) -> Result<Option<Ino>> {
        let found = self
            .directory(dir)
            .and_then(|directory| directory.lookup_killable(name))
            .map(|found| found.map(|found| found.ino));
        let found = match found {
            Ok(Some(ino)) if ino == dir.ino() && !matches!(name, b"." | b"..") => {
                let fault = Fault::Dir(DirFault::Itself, u64::from(ino.get()), 0);
                Err(Error::Corrupt(dir.here(), fault))
            }
            found => found,
        };
        let found = self.report("lookup", dir.ino(), found)?;
        events::lookup(&self.volume.device, dir.ino(), found);
        Ok(found)
    }

    /// The directory's parent: what ".." in it stands for.
    pub fn parent(&self, dir: &Inode) -> Result<Ino> {
        let parent = self.directory(dir).and_then(|directory| directory.parent());
        self.report("parent", dir.ino(), parent)
    }

    /// Calls `each` with the entries from `position` on and the position behind each, until it says
    /// `false` (then it gets that entry again the next time). Returns the position to go on from.
    pub fn read_directory(
        &self,
        dir: &Inode,
        position: u64,
        width: Width,
        mut each: impl FnMut(DirEntry<'_>, u64) -> bool,
    ) -> Result<u64> {
        let listed = self.directory(dir).and_then(|directory| {
            directory.read(position, width, |entry, next| {
                each(
                    DirEntry {
                        ino: entry.ino,
                        name: entry.name,
                        kind: entry.file_type.kind(),
                    },
                    next,
                )
            })
        });
        self.report("read_directory", dir.ino(), listed)
    }

    /// Makes a file, a device, a pipe or a socket.
    pub fn create(&self, dir: &Inode, name: &[u8], new: &NewInode) -> Result<Arc<Inode>> {
        match InodeKind::of_mode(new.mode) {
            None | Some(InodeKind::Directory | InodeKind::Symlink) => Err(Error::Invalid),
            Some(_) => self.make("create", dir, Some(name), new, None),
        }
    }

    /// Makes a directory.
    pub fn mkdir(&self, dir: &Inode, name: &[u8], new: &NewInode) -> Result<Arc<Inode>> {
        match InodeKind::of_mode(new.mode) {
            Some(InodeKind::Directory) => self.make("mkdir", dir, Some(name), new, None),
            _ => Err(Error::Invalid),
        }
    }

    /// Makes a symbolic link.
    pub fn symlink(
        &self,
        dir: &Inode,
        name: &[u8],
        target: &[u8],
        new: &NewInode,
    ) -> Result<Arc<Inode>> {
        let longest = usize::try_from(self.block_size())
            .unwrap_or(0)
            .saturating_sub(1);
        match InodeKind::of_mode(new.mode) {
            Some(InodeKind::Symlink) if target.is_empty() => Err(Error::NotFound),
            Some(InodeKind::Symlink) if target.len() > longest => Err(Error::NameTooLong),
            Some(InodeKind::Symlink) => self.make("symlink", dir, Some(name), new, Some(target)),
            _ => Err(Error::Invalid),
        }
    }

    /// Makes an inode without a name; [`Self::link`] may give it one.
    pub fn temporary(&self, dir: &Inode, new: &NewInode) -> Result<Arc<Inode>> {
        match InodeKind::of_mode(new.mode) {
            Some(InodeKind::Regular) => self.make("temporary", dir, None, new, None),
            _ => Err(Error::Invalid),
        }
    }

    /// Makes an inode and, unless it is to have none, its name. Waits for freed space to become
    /// usable once before it says that there is none.
    fn make(
        &self,
        function: &'static str,
        dir: &Inode,
        name: Option<&[u8]>,
        new: &NewInode,
        target: Option<&[u8]>,
    ) -> Result<Arc<Inode>> {
        self.writable()?;
        // Once the name is made nothing may fail any more.
        let room = ArcRoom::new(GFP)?;
        let made = self.retry(|| self.try_make(dir, name, new, target));
        Ok(room.fill(self.report(function, dir.ino(), made)?))
    }

    /// Does `attempt`, and does it again after a commit if there was no space: blocks that were freed
    /// become usable then.
    pub(super) fn retry<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(Error::NoSpace) if self.volume.allocator.make_room(self.volume.journal()?)? => {
                attempt()
            }
            done => done,
        }
    }

    fn try_make(
        &self,
        dir: &Inode,
        name: Option<&[u8]>,
        new: &NewInode,
        target: Option<&[u8]>,
    ) -> Result<Inode> {
        if let Some(name) = name {
            let parent = dir.fields();
            if parent.links == 0 {
                return Err(Error::NotFound);
            }
            if InodeKind::of_mode(new.mode) == Some(InodeKind::Directory) {
                has_room_for_directory(&parent, self.has_uncounted_links())?;
            }
            if self.directory(dir)?.lookup_killable(name)?.is_some() {
                return Err(Error::Exists);
            }
        }
        let credits = CREATE_CREDITS
            .saturating_add(first_block_credits(dir)?)
            .saturating_add(insert_credits(dir)?);
        let (inode, furnished) = self.volume.change(credits, |handle| {
            let inode = Inode::create(&self.volume, handle, dir, new, target)?;
            let furnished = self.furnish(handle, dir, name, &inode, target);
            if let Err(error) = furnished {
                if handle.stops_for(&error) {
                    return Err(error);
                }
                // It has no name and no links: it goes the way of every orphan.
                inode.change(&self.volume, handle, Touch::Data, |fields| {
                    fields.links = 0;
                    Ok(())
                })?;
                self.orphans.add(&self.volume, handle, inode.ino())?;
            }
            Ok((inode, furnished))
        })?;
        if furnished.is_err() {
            inode.delete(&self.volume, &self.orphans)?;
        }
        furnished.map(|()| inode)
    }

    pub(super) fn has_uncounted_links(&self) -> bool {
        self.volume.superblock.ro_compat.has(RoCompat::DIR_NLINK)
    }

    /// Gives a new inode its contents, its links and its name.
    fn furnish(
        &self,
        handle: &mut Handle<'_>,
        dir: &Inode,
        name: Option<&[u8]>,
        inode: &Inode,
        target: Option<&[u8]>,
    ) -> Result {
        let Some(name) = name else {
            return self.orphans.add(&self.volume, handle, inode.ino());
        };
        let is_directory = inode.kind() == InodeKind::Directory;
        match target {
            Some(target) if inode.map().is_ok() => {
                inode.store_target(&self.volume, handle, target)?
            }
            _ if is_directory => {
                let mut names = self.directory(inode)?;
                let made = names.create_first_block(handle, dir.ino());
                self.store_directory(handle, inode, &names, |_| {})?;
                made?;
            }
            _ => {}
        }
        self.add_name(handle, dir, name, inode, |parent| {
            if is_directory {
                add_directory_link(parent);
            }
        })?;
        inode.change(&self.volume, handle, Touch::Data, |fields| {
            fields.links = if is_directory { 2 } else { 1 };
            Ok(())
        })
    }

    /// Gives an inode one more name.
    pub fn link(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        self.writable()?;
        let linked = self.retry(|| self.try_link(dir, name, inode));
        self.report("link", dir.ino(), linked)
    }

    fn try_link(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        if inode.kind() == InodeKind::Directory {
            return Err(Error::NotPermitted);
        }
        if dir.fields().links == 0 {
            return Err(Error::NotFound);
        }
        add_link(&mut inode.fields())?;
        if self.directory(dir)?.lookup_killable(name)?.is_some() {
            return Err(Error::Exists);
        }
        let credits = insert_credits(dir)?.saturating_add(1 + ORPHAN_CREDITS);
        self.volume.change(credits, |handle| {
            self.add_name(handle, dir, name, inode, |_| {})?;
            // A file made without a name is an orphan until now.
            if inode.fields().links == 0 {
                self.orphans.remove(&self.volume, handle, inode.ino())?;
            }
            inode.change(&self.volume, handle, Touch::Data, |fields| {
                fields.ctime = self.volume.now();
                add_link(fields)
            })
        })
    }

    /// Takes a name of a file away.
    pub fn unlink(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        self.writable()?;
        events::unlink_enter(
            &self.volume.device,
            dir.ino(),
            inode.ino(),
            inode.disk_size(),
        );
        let unlinked = self.try_unlink(dir, name, inode);
        let unlinked = self.report("unlink", dir.ino(), unlinked);
        events::unlink_exit(&self.volume.device, inode.ino(), &unlinked);
        unlinked
    }

    fn try_unlink(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        if inode.kind() == InodeKind::Directory {
            return Err(Error::IsDirectory);
        }
        let found = self.find(dir, name, inode)?;
        self.volume
            .change(ENTRY_CREDITS + 1 + ORPHAN_CREDITS, |handle| {
                self.remove_name(handle, dir, name, &found, |_| {})?;
                self.drop_name_of(handle, inode)
            })
    }

    /// One name of a file is gone: its count shrinks, and without any it is an orphan.
    pub(super) fn drop_name_of(&self, handle: &mut Handle<'_>, inode: &Inode) -> Result {
        let last = inode.change(&self.volume, handle, Touch::Data, |fields| {
            fields.ctime = self.volume.now();
            Ok(drop_link(fields))
        })?;
        if last {
            self.orphans.add(&self.volume, handle, inode.ino())?;
        }
        Ok(())
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        self.writable()?;
        let removed = self.try_rmdir(dir, name, inode);
        self.report("rmdir", dir.ino(), removed)
    }

    fn try_rmdir(&self, dir: &Inode, name: &[u8], inode: &Inode) -> Result {
        if !self.directory(inode)?.is_empty()? {
            return Err(Error::NotEmpty);
        }
        let found = self.find(dir, name, inode)?;
        self.volume
            .change(ENTRY_CREDITS + 1 + ORPHAN_CREDITS, |handle| {
                self.remove_name(handle, dir, name, &found, drop_directory_link)?;
                self.drop_directory(handle, inode)
            })
    }

    /// The only name of an empty directory is gone.
    pub(super) fn drop_directory(&self, handle: &mut Handle<'_>, inode: &Inode) -> Result {
        inode.change(&self.volume, handle, Touch::Data, |fields| {
            fields.links = 0;
            fields.ctime = self.volume.now();
            Ok(())
        })?;
        self.orphans.add(&self.volume, handle, inode.ino())
    }
}
