// SPDX-License-Identifier: GPL-2.0

//! A mounted file system with paths, an inode cache and a page cache of the simplest kind: what the
//! VFS does in the kernel, as far as tests need it.

mod pages;

pub use pages::InFlight;

use crate::core::error::{Error, Result};
use crate::core::mount::{
    AttributeChanges, Filesystem, Inode, InodeKind, MountOptions, NewInode, Rename, Width,
};
use crate::format::units::Ino;
use crate::host::alloc::Arc;
use crate::host::device::{Backend, Device};
use std::collections::BTreeMap;

/// The path of the file that was held open last, whatever its name is, as `/proc/self/fd` has it.
pub const HELD: &str = "/proc/self/fd";

/// An inode that somebody uses, with its pages.
#[derive(Debug)]
struct Node {
    inode: Arc<Inode>,
    /// The size in memory.
    size: u64,
    /// Dirty blocks.
    dirty: BTreeMap<u32, Vec<u8>>,
}

/// A mounted file system.
#[derive(Debug)]
pub struct HostFs {
    /// The face of the file system.
    pub fs: Arc<Filesystem>,
    nodes: BTreeMap<u32, Node>,
    /// Inodes that are held open, the last one last: they outlive their names.
    open: Vec<u32>,
    /// The directory that paths begin at.
    root: Ino,
}

/// What a tree has at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File type and permissions.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Links.
    pub links: u32,
    /// Contents of a file, target of a symbolic link, numbers of a device.
    pub contents: Vec<u8>,
    /// Values of extended attributes, by name index and the rest of the name.
    pub xattrs: Xattrs,
}

/// Values of extended attributes, by name index and the rest of the name.
pub type Xattrs = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Everything in a file system, by path.
pub type Tree = BTreeMap<String, Entry>;

impl HostFs {
    /// Mounts what is on `backend`. Each commit is verified, whatever the options say.
    pub fn mount(backend: impl Backend + 'static, options: &MountOptions) -> Result<Self> {
        let device = Device::new(backend, false, "test");
        let options = MountOptions {
            verify: true,
            ..*options
        };
        Ok(Self {
            fs: Filesystem::mount(device, &options)?,
            nodes: BTreeMap::new(),
            open: Vec::new(),
            root: Ino(2),
        })
    }

    /// Another user of the same file system, with caches of its own: the two must not use the same
    /// inodes.
    pub fn share(&self) -> Self {
        Self {
            fs: self.fs.clone(),
            nodes: BTreeMap::new(),
            open: Vec::new(),
            root: Ino(2),
        }
    }

    /// Lets paths begin at this directory.
    pub fn chroot(&mut self, path: &str) {
        self.root = self.resolve(path).unwrap().ino();
    }

    /// Writes everything back and lets go of all inodes.
    pub fn finish(&mut self) -> Result {
        self.flush_all()?;
        self.open.clear();
        for ino in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.put(ino)?;
        }
        Ok(())
    }

    /// Lets go of all inodes and of what could not be written.
    pub fn let_go(&mut self) {
        self.open.clear();
        for node in std::mem::take(&mut self.nodes).into_values() {
            // As in the kernel: what matters was logged, nobody is left to be told.
            let _ = self.fs.evict(&node.inode);
        }
    }

    /// Writes everything back and unmounts, as the kernel does whatever failed before: the commit thread
    /// ends.
    pub fn unmount(mut self) -> Result {
        let finished = self.finish();
        self.let_go();
        let unmounted = self.fs.unmount();
        finished.and(unmounted)
    }

    /// Forgets everything, as a power cut does. (The commit thread ends with what it has begun.)
    pub fn abandon(self) {
        self.fs.shutdown();
        // It says that everything was stopped, which is the point.
        let _ = self.fs.unmount();
    }

    fn block_size(&self) -> u64 {
        u64::from(self.fs.block_size())
    }

    fn get(&mut self, ino: Ino) -> Result<Arc<Inode>> {
        if let Some(node) = self.nodes.get(&ino.get()) {
            return Ok(node.inode.clone());
        }
        let inode = self.fs.inode(ino)?;
        self.adopt(inode.clone());
        Ok(inode)
    }

    /// The inode that a name in `dir` stands for.
    fn get_named(&mut self, dir: &Inode, ino: Ino) -> Result<Arc<Inode>> {
        if let Some(node) = self.nodes.get(&ino.get()) {
            return Ok(node.inode.clone());
        }
        let inode = self.fs.inode_of_name(dir, ino)?;
        self.adopt(inode.clone());
        Ok(inode)
    }

    fn adopt(&mut self, inode: Arc<Inode>) {
        let node = Node {
            size: inode.disk_size(),
            inode: inode.clone(),
            dirty: BTreeMap::new(),
        };
        self.nodes.insert(inode.ino().get(), node);
    }

    /// Lets go of an inode: evicts it if it is not open.
    fn put(&mut self, ino: u32) -> Result {
        if self.open.contains(&ino) {
            return Ok(());
        }
        let Some(node) = self.nodes.get(&ino) else {
            return Ok(());
        };
        if node.inode.fields().links != 0 && !node.dirty.is_empty() {
            return Ok(());
        }
        if let Some(node) = self.nodes.remove(&ino) {
            self.fs.evict(&node.inode)?;
        }
        Ok(())
    }

    /// The inodes that have dirty blocks.
    pub fn dirty(&self) -> Vec<Ino> {
        let dirty = self.nodes.iter().filter(|(_, node)| !node.dirty.is_empty());
        dirty.map(|(&ino, _)| Ino(ino)).collect()
    }

    /// Drops all inodes that are clean, so that the next use reads them again.
    pub fn drop_caches(&mut self) -> Result {
        self.flush_all()?;
        for ino in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.put(ino)?;
        }
        Ok(())
    }

    /// The inode at a path; symbolic links are not followed.
    pub fn resolve(&mut self, path: &str) -> Result<Arc<Inode>> {
        if path == HELD {
            return self.get(Ino(*self.open.last().ok_or(Error::NotFound)?));
        }
        let mut inode = self.get(self.root)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let ino = self
                .fs
                .lookup(&inode, name.as_bytes())?
                .ok_or(Error::NotFound)?;
            inode = self.get_named(&inode, ino)?;
        }
        Ok(inode)
    }

    /// The directory of a path, and the last name.
    fn parent<'p>(&mut self, path: &'p str) -> Result<(Arc<Inode>, &'p [u8])> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.resolve(dir)?, name.as_bytes()))
    }

    /// Makes an empty file.
    pub fn create(&mut self, path: &str, mode: u16) -> Result<Ino> {
        let (dir, name) = self.parent(path)?;
        let inode = self.fs.create(
            &dir,
            name,
            &NewInode {
                mode: 0o100_000 | mode,
                ..NewInode::default()
            },
        )?;
        self.adopt(inode.clone());
        Ok(inode.ino())
    }

    /// Makes a device, a pipe or a socket.
    pub fn mknod(&mut self, path: &str, mode: u16, rdev: (u32, u32)) -> Result {
        let (dir, name) = self.parent(path)?;
        let inode = self.fs.create(
            &dir,
            name,
            &NewInode {
                mode,
                rdev,
                ..NewInode::default()
            },
        )?;
        self.adopt(inode);
        Ok(())
    }

    /// Makes a directory.
    pub fn mkdir(&mut self, path: &str, mode: u16) -> Result {
        let (dir, name) = self.parent(path)?;
        let inode = self.fs.mkdir(
            &dir,
            name,
            &NewInode {
                mode: 0o040_000 | mode,
                ..NewInode::default()
            },
        )?;
        self.adopt(inode);
        Ok(())
    }

    /// Makes a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &[u8]) -> Result {
        let (dir, name) = self.parent(path)?;
        let new = NewInode {
            mode: 0o120_777,
            ..NewInode::default()
        };
        let inode = self.fs.symlink(&dir, name, target, &new)?;
        self.adopt(inode);
        Ok(())
    }

    /// Gives a file one more name.
    pub fn link(&mut self, old: &str, path: &str) -> Result {
        let inode = self.resolve(old)?;
        let (dir, name) = self.parent(path)?;
        self.fs.link(&dir, name, &inode)
    }

    /// Removes a name of a file.
    pub fn unlink(&mut self, path: &str) -> Result {
        let inode = self.resolve(path)?;
        let (dir, name) = self.parent(path)?;
        self.fs.unlink(&dir, name, &inode)?;
        self.dropped(&inode)
    }

    /// Removes an empty directory.
    pub fn rmdir(&mut self, path: &str) -> Result {
        let inode = self.resolve(path)?;
        let (dir, name) = self.parent(path)?;
        self.fs.rmdir(&dir, name, &inode)?;
        self.dropped(&inode)
    }

    fn dropped(&mut self, inode: &Inode) -> Result {
        if inode.fields().links == 0 {
            self.put(inode.ino().get())?;
        }
        Ok(())
    }

    /// Renames; what has the new name is replaced.
    pub fn rename(&mut self, old: &str, new: &str) -> Result {
        let inode = self.resolve(old)?;
        let (old_dir, old_name) = self.parent(old)?;
        let (new_dir, new_name) = self.parent(new)?;
        let target = match self.fs.lookup(&new_dir, new_name)? {
            Some(ino) => Some(self.get_named(&new_dir, ino)?),
            None => None,
        };
        let is_replaced = |target: &Arc<Inode>| target.ino() != inode.ino();
        if target.as_ref().is_some_and(is_replaced) && inode.kind() == InodeKind::Regular {
            // Replacing means that the new contents are on the disk.
            self.flush(inode.ino())?;
        }
        self.fs.rename(&Rename {
            old_dir: &old_dir,
            old_name,
            inode: &inode,
            new_dir: &new_dir,
            new_name,
            target: target.as_deref(),
        })?;
        target.map_or(Ok(()), |target| self.dropped(&target))
    }

    fn xattrs(&self, inode: &Inode) -> Result<Xattrs> {
        let mut names = Vec::new();
        self.fs.xattr_list(inode, |index, name| {
            names.push((index, name.to_vec()));
            Ok(())
        })?;
        let value = |(index, name): (u8, Vec<u8>)| {
            let value = self.fs.xattr_get(inode, index, &name)?.to_vec();
            Ok(((index, name), value))
        };
        names.into_iter().map(value).collect()
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&mut self, path: &str, index: u8, name: &[u8]) -> Result {
        let inode = self.resolve(path)?;
        self.fs.xattr_remove(&inode, index, name)
    }

    /// Sets permissions and owners.
    pub fn set_attributes(&mut self, path: &str, changes: &AttributeChanges) -> Result {
        let inode = self.resolve(path)?;
        self.fs.set_attributes(&inode, changes)
    }

    /// Holds a file open, so that it outlives its names.
    pub fn hold(&mut self, path: &str) -> Result<Ino> {
        let ino = self.resolve(path)?.ino();
        self.keep(ino);
        Ok(ino)
    }

    fn keep(&mut self, ino: Ino) {
        self.open.retain(|&other| other != ino.get());
        self.open.push(ino.get());
    }

    /// Makes a file without a name in a directory, and holds it.
    pub fn temporary(&mut self, dir: &str, mode: u16) -> Result<Ino> {
        let dir = self.resolve(dir)?;
        let new = NewInode {
            mode: 0o100_000 | mode,
            ..NewInode::default()
        };
        let inode = self.fs.temporary(&dir, &new)?;
        let ino = inode.ino();
        self.adopt(inode);
        self.keep(ino);
        Ok(ino)
    }

    /// Ends [`Self::hold`].
    pub fn release(&mut self, ino: Ino) -> Result {
        self.open.retain(|&other| other != ino.get());
        match self.nodes.get(&ino.get()) {
            Some(node) if node.inode.fields().links == 0 => self.put(ino.get()),
            _ => Ok(()),
        }
    }

    /// Writes everything to the device.
    pub fn flush_all(&mut self) -> Result {
        for ino in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.flush(Ino(ino))?;
        }
        Ok(())
    }

    /// Makes a file durable.
    pub fn fsync(&mut self, path: &str) -> Result {
        let inode = self.resolve(path)?;
        self.flush(inode.ino())?;
        self.fs.fsync(&inode, false)
    }

    /// Makes a file's data durable, and what is needed to find it.
    pub fn fdatasync(&mut self, path: &str) -> Result {
        let inode = self.resolve(path)?;
        self.flush(inode.ino())?;
        self.fs.fsync(&inode, true)
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result {
        self.flush_all()?;
        self.fs.sync(true)
    }

    /// The names in a directory, without its own and its parent's, read in steps of `step` names.
    pub fn names(&mut self, path: &str, step: usize) -> Result<Vec<(String, Ino)>> {
        let dir = self.resolve(path)?;
        let (mut names, mut position) = (Vec::new(), 0);
        loop {
            let mut taken = 0;
            let next = self
                .fs
                .read_directory(&dir, position, Width::Wide, |entry, _| {
                    if taken == step {
                        return false;
                    }
                    taken += 1;
                    if entry.name != b"." && entry.name != b".." {
                        names.push((String::from_utf8_lossy(entry.name).into_owned(), entry.ino));
                    }
                    true
                })?;
            if taken == 0 {
                return Ok(names);
            }
            position = next;
        }
    }

    /// Everything there is.
    pub fn tree(&mut self) -> Result<Tree> {
        let mut tree = Tree::new();
        self.collect("", &mut tree)?;
        Ok(tree)
    }

    fn collect(&mut self, path: &str, tree: &mut Tree) -> Result {
        let inode = self.resolve(path)?;
        let about = inode.attributes();
        let contents = match inode.kind() {
            InodeKind::Regular => self.read(path)?,
            InodeKind::Symlink => self.fs.read_link(&inode)?.to_vec(),
            InodeKind::CharDevice | InodeKind::BlockDevice => {
                format!("{:?}", about.rdev).into_bytes()
            }
            _ => Vec::new(),
        };
        let entry = Entry {
            mode: about.mode,
            uid: about.uid,
            gid: about.gid,
            links: about.links,
            contents,
            xattrs: self.xattrs(&inode)?,
        };
        tree.insert(path.into(), entry);
        if inode.kind() == InodeKind::Directory {
            for (name, _) in self.names(path, 7)? {
                self.collect(&format!("{path}/{name}"), tree)?;
            }
        }
        Ok(())
    }
}
