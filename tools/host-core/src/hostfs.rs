// SPDX-License-Identifier: GPL-2.0

//! A mounted file system with paths, an inode cache and a page cache of the simplest kind: what the
//! VFS does in the kernel, as far as tests need it.

use crate::core::error::{Error, Result};
use crate::core::mount::{
    AttributeChanges, Completion, Filesystem, Inode, InodeKind, MountOptions, NewInode, Ordered,
    Rename, State, Width,
};
use crate::format::units::{FileBlock, Ino};
use crate::host::alloc::Arc;
use crate::host::block::Block;
use crate::host::device::{Backend, Device, WriteClass};
use std::collections::BTreeMap;

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
    /// Inodes that are held open: they outlive their names.
    open: BTreeMap<u32, u32>,
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
}

/// Everything in a file system, by path.
pub type Tree = BTreeMap<String, Entry>;

impl HostFs {
    /// Mounts what is on `backend`.
    pub fn mount(backend: impl Backend + 'static, options: &MountOptions) -> Result<Self> {
        let device = Device::new(backend, false, "test");
        Ok(Self {
            fs: Filesystem::mount(device, options)?,
            nodes: BTreeMap::new(),
            open: BTreeMap::new(),
            root: Ino(2),
        })
    }

    /// Another user of the same file system, with caches of its own: the two must not use the same
    /// inodes.
    pub fn share(&self) -> Self {
        Self {
            fs: self.fs.clone(),
            nodes: BTreeMap::new(),
            open: BTreeMap::new(),
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

    /// Writes everything back and unmounts.
    pub fn unmount(mut self) -> Result {
        self.finish()?;
        self.fs.unmount()
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
        if self.open.contains_key(&ino) {
            return Ok(());
        }
        let Some(node) = self.nodes.get(&ino) else {
            return Ok(());
        };
        if node.inode.fields().links != 0 && !node.dirty.is_empty() {
            return Ok(());
        }
        if let Some(node) = self.nodes.remove(&ino) {
            if node.inode.map().is_ok() {
                self.fs
                    .release_delayed(&node.inode, FileBlock(0), u32::MAX)?;
            }
            self.fs.evict(&node.inode)?;
        }
        Ok(())
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
        let mut inode = self.get(self.root)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let ino = self
                .fs
                .lookup(&inode, name.as_bytes())?
                .ok_or(Error::NotFound)?;
            inode = self.get(ino)?;
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
        if self
            .nodes
            .get(&inode.ino().get())
            .is_some_and(|node| !node.dirty.is_empty())
        {
            // Replacing means that the new contents are on the disk.
            self.flush(inode.ino())?;
        }
        let (old_dir, old_name) = self.parent(old)?;
        let (new_dir, new_name) = self.parent(new)?;
        let target = match self.fs.lookup(&new_dir, new_name)? {
            Some(ino) => Some(self.get(ino)?),
            None => None,
        };
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

    /// Sets permissions and owners.
    pub fn set_attributes(&mut self, path: &str, changes: &AttributeChanges) -> Result {
        let inode = self.resolve(path)?;
        self.fs.set_attributes(&inode, changes)
    }

    /// Holds a file open, so that it outlives its names.
    pub fn hold(&mut self, path: &str) -> Result<Ino> {
        let ino = self.resolve(path)?.ino();
        *self.open.entry(ino.get()).or_default() += 1;
        Ok(ino)
    }

    /// Ends [`Self::hold`].
    pub fn release(&mut self, ino: Ino) -> Result {
        self.open.remove(&ino.get());
        match self.nodes.get(&ino.get()) {
            Some(node) if node.inode.fields().links == 0 => self.put(ino.get()),
            _ => Ok(()),
        }
    }

    /// The contents of one block, from the cache or the disk.
    fn load_block(&self, ino: u32, block: u32) -> Result<Vec<u8>> {
        let node = &self.nodes[&ino];
        if let Some(page) = node.dirty.get(&block) {
            return Ok(page.clone());
        }
        match self.fs.map(&node.inode, FileBlock(block), 1)?.state {
            State::Written(at) => Ok(self.fs.device().read_block(at.get())?.to_vec()),
            // Delayed without a page: the write that is under way gets there later.
            State::Hole | State::Delayed | State::Unwritten(_) => {
                Ok(vec![0; self.block_size() as usize])
            }
            state => panic!("a clean block is {state:?}"),
        }
    }

    /// Zeroes what lies behind the end in the last block, so that growing shows no old bytes.
    fn zero_tail(&mut self, ino: u32, size: u64) -> Result {
        let inside = (size % self.block_size()) as usize;
        if inside == 0 {
            return Ok(());
        }
        let block = (size / self.block_size()) as u32;
        let mut page = self.load_block(ino, block)?;
        if page[inside..].iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        page[inside..].fill(0);
        let inode = self.nodes[&ino].inode.clone();
        self.fs.write_begin(&inode, FileBlock(block), 1, false)?;
        self.nodes.get_mut(&ino).unwrap().dirty.insert(block, page);
        Ok(())
    }

    /// Writes bytes into the page cache.
    pub fn write(&mut self, path: &str, offset: u64, data: &[u8]) -> Result {
        let inode = self.resolve(path)?;
        self.write_inode(inode.ino(), offset, data)
    }

    /// Writes bytes into the page cache of an inode in use.
    pub fn write_inode(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Result {
        let ino = ino.get();
        let inode = self.nodes[&ino].inode.clone();
        let size = self.nodes[&ino].size;
        if offset > size {
            self.zero_tail(ino, size)?;
        }
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let block = (at / self.block_size()) as u32;
            let inside = (at % self.block_size()) as usize;
            let count = ((end - at) as usize).min(self.block_size() as usize - inside);
            let left = ((end - at) + inside as u64).div_ceil(self.block_size()) as u32;
            let mut page = self.load_block(ino, block)?;
            self.fs.write_begin(&inode, FileBlock(block), left, false)?;
            let from = (at - offset) as usize;
            page[inside..inside + count].copy_from_slice(&data[from..from + count]);
            at += count as u64;
            let node = self.nodes.get_mut(&ino).unwrap();
            node.dirty.insert(block, page);
            node.size = node.size.max(at);
        }
        self.fs.touch(&inode)
    }

    /// Reads a whole file.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        let ino = self.resolve(path)?.ino().get();
        let size = self.nodes[&ino].size;
        if size > 1 << 28 {
            // A hole of a damaged inode's size is not for this machine's memory.
            return Err(Error::FileTooBig);
        }
        let mut contents = Vec::new();
        for block in 0..size.div_ceil(self.block_size()) as u32 {
            contents.extend(self.load_block(ino, block)?);
        }
        contents.truncate(size as usize);
        Ok(contents)
    }

    /// Writes an inode's dirty blocks to the device and finishes them.
    pub fn flush(&mut self, ino: Ino) -> Result {
        let Some(node) = self.nodes.get_mut(&ino.get()) else {
            return Ok(());
        };
        if node.dirty.is_empty() {
            return Ok(());
        }
        let (inode, size) = (node.inode.clone(), node.size);
        let dirty = std::mem::take(&mut node.dirty);
        let block_size = self.block_size();
        let mut ordered: Vec<Ordered> = Vec::new();
        let mut end = 0u64;
        for (&block, page) in &dirty {
            let mapping = self.fs.begin_writeback(&inode, FileBlock(block), size)?;
            let (at, kind) = match mapping.state {
                State::InFlight(at) => (at, Some(Completion::Fresh)),
                State::Unwritten(at) => (at, Some(Completion::Convert)),
                State::Written(at) => (at, None),
                state => panic!("a dirty block is {state:?}"),
            };
            let mut contents = Block::zeroed(page.len())?;
            contents.get_mut().unwrap().copy_from_slice(page);
            self.fs
                .device()
                .write_blocks(&[(at.get(), contents)], WriteClass::Background)?;
            end = ((u64::from(block) + 1) * block_size).min(size);
            let Some(kind) = kind else {
                continue;
            };
            match ordered.last_mut() {
                Some(last)
                    if last.kind == kind
                        && last.start.get() + last.len == block
                        && last.block.get() + u64::from(last.len) == at.get() =>
                {
                    last.len += 1;
                }
                _ => ordered.push(Ordered {
                    start: FileBlock(block),
                    len: 1,
                    block: at,
                    kind,
                }),
            }
        }
        self.fs
            .finish_writes(&inode, &ordered, (end > 0).then_some(end))
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

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result {
        self.flush_all()?;
        self.fs.sync(true)
    }

    /// Sets the size of a file.
    pub fn truncate(&mut self, path: &str, size: u64) -> Result {
        let inode = self.resolve(path)?;
        let ino = inode.ino().get();
        let old = self.nodes[&ino].size;
        self.zero_tail(ino, old.min(size))?;
        let first_gone = size.div_ceil(self.block_size()) as u32;
        let node = self.nodes.get_mut(&ino).unwrap();
        node.dirty.retain(|&block, _| block < first_gone);
        node.size = old.min(size);
        // The zeroed tail is on the disk before the size changes.
        self.flush(inode.ino())?;
        self.nodes.get_mut(&ino).unwrap().size = size;
        self.fs.truncate(&inode, size)
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
