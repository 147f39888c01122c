// SPDX-License-Identifier: GPL-2.0

//! What a file system that never fails would hold after each step.

use crate::workload::Step;
use host_core::hostfs::{Xattrs, HELD};
use host_core::testing::mix;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A file, directory or symbolic link, whatever its names are.
pub type Node = usize;

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with these contents.
    File(Rc<Vec<u8>>),
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink(Rc<Vec<u8>>),
    /// A character device, [`DEVICE`].
    Device,
}

/// The numbers of devices: larger than those of old.
pub const DEVICE: (u32, u32) = (259, 300);

/// A node at some time.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u16,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// The name index of the user's attributes.
pub const USER: u8 = 1;

/// Everything there is at some time. Paths begin with a slash; the root's is empty.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What each path stands for.
    pub names: BTreeMap<String, Node>,
    /// All nodes that ever were.
    pub objects: BTreeMap<Node, Object>,
    /// Files that are held open, the last one last.
    held: Vec<Node>,
}

/// The bytes that step `tag` writes at an offset: each says by whom it was written, and where.
pub fn pattern(tag: usize, offset: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| {
        let word = mix(((tag as u64) << 40) | (at / 8));
        // Never zero: zeroes are what holes hold.
        (word >> (at % 8 * 8)) as u8 | 1
    };
    (offset..offset + len as u64).map(byte).collect()
}

/// Why a step is impossible here.
#[derive(Clone, Copy, Debug)]
pub struct Impossible;

type Result<T = ()> = std::result::Result<T, Impossible>;

/// The directory of a path.
pub fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl Snapshot {
    /// An empty file system.
    pub fn empty() -> Self {
        let mut snapshot = Self::default();
        snapshot.add("", Kind::Dir, 0o755);
        snapshot
    }

    fn add(&mut self, path: &str, kind: Kind, mode: u16) {
        let node = self.add_object(kind, mode);
        self.names.insert(path.into(), node);
    }

    fn add_object(&mut self, kind: Kind, mode: u16) -> Node {
        let node = self.objects.len();
        let xattrs = Xattrs::new();
        self.objects.insert(node, Object { kind, mode, xattrs });
        node
    }

    fn keep(&mut self, node: Node) {
        self.held.retain(|&other| other != node);
        self.held.push(node);
    }

    /// What a path stands for.
    pub fn find(&self, path: &str) -> Option<Node> {
        match path {
            HELD => self.held.last().copied(),
            path => self.names.get(path).copied(),
        }
    }

    /// Whether somebody has this file open.
    pub fn is_held(&self, path: &str) -> bool {
        self.find(path)
            .is_some_and(|node| self.held.contains(&node))
    }

    /// How many links a node has.
    pub fn links(&self, node: Node) -> u32 {
        let named = |of: Node| self.names.values().filter(|&&other| other == of).count();
        if self.objects[&node].kind != Kind::Dir {
            return named(node) as u32;
        }
        let below = |path: &str| {
            self.names
                .iter()
                .filter(|(child, node)| {
                    !child.is_empty()
                        && parent_of(child) == path
                        && self.objects[node].kind == Kind::Dir
                })
                .count()
        };
        let path = self.names.iter().find(|(_, &other)| other == node);
        path.map_or(0, |(path, _)| 2 + below(path) as u32)
    }

    /// A file's contents.
    pub fn contents(&self, node: Node) -> Option<&Rc<Vec<u8>>> {
        match &self.objects.get(&node)?.kind {
            Kind::File(contents) => Some(contents),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<(Node, &Rc<Vec<u8>>)> {
        let node = self.find(path).ok_or(Impossible)?;
        Ok((node, self.contents(node).ok_or(Impossible)?))
    }

    fn edit(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result {
        let (node, old) = self.file(path)?;
        let mut contents = old.to_vec();
        change(&mut contents);
        if let Some(object) = self.objects.get_mut(&node) {
            object.kind = Kind::File(Rc::new(contents));
        }
        Ok(())
    }

    fn make(&mut self, path: &str, kind: Kind, mode: u16) -> Result {
        let parent = self.find(parent_of(path)).ok_or(Impossible)?;
        if self.find(path).is_some() || self.objects[&parent].kind != Kind::Dir {
            return Err(Impossible);
        }
        self.add(path, kind, mode);
        Ok(())
    }

    fn is_dir(&self, path: &str) -> bool {
        self.find(path)
            .is_some_and(|node| self.objects[&node].kind == Kind::Dir)
    }

    fn is_empty_dir(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.is_dir(path) && !self.names.keys().any(|name| name.starts_with(&prefix))
    }

    fn rename(&mut self, old: &str, new: &str) -> Result {
        let node = self.find(old).ok_or(Impossible)?;
        let target = self.find(new);
        let below = new.starts_with(&format!("{old}/"));
        if !self.is_dir(parent_of(new)) || below {
            return Err(Impossible);
        }
        if target == Some(node) {
            // Two names of one file: both stay.
            return Ok(());
        }
        if target.is_some()
            && (self.is_dir(old) != self.is_dir(new) || self.is_dir(new) && !self.is_empty_dir(new))
        {
            return Err(Impossible);
        }
        let prefix = format!("{old}/");
        let moved: Vec<_> = self
            .names
            .iter()
            .filter(|(name, _)| *name == old || name.starts_with(&prefix))
            .map(|(name, node)| (name.clone(), *node))
            .collect();
        for (name, node) in moved {
            self.names.remove(&name);
            self.names
                .insert(format!("{new}{}", &name[old.len()..]), node);
        }
        Ok(())
    }

    /// What a step stands for now: paths and offsets are settled.
    pub fn resolve(&self, step: &Step) -> Option<Step> {
        match step {
            Step::Ensure(path) if self.find(path).is_some() => None,
            Step::Ensure(path) => Some(Step::Create(path.clone())),
            Step::Append(path, len) => {
                let size = self.file(path).ok()?.1.len() as u64;
                Some(Step::Write(path.clone(), size, *len))
            }
            step => Some(step.clone()),
        }
    }

    /// Does a resolved step; what it writes has the pattern of `tag`.
    pub fn apply(&mut self, step: &Step, tag: usize) -> Result {
        let empty = || Kind::File(Rc::new(Vec::new()));
        match step {
            Step::Create(path) => self.make(path, empty(), 0o644),
            Step::Mkdir(path) => self.make(path, Kind::Dir, 0o755),
            Step::Mknod(path) => self.make(path, Kind::Device, 0o600),
            Step::Temporary(dir) if !self.is_dir(dir) => Err(Impossible),
            Step::Temporary(_) => {
                let node = self.add_object(empty(), 0o644);
                self.keep(node);
                Ok(())
            }
            Step::Hold(path) => {
                let (node, _) = self.file(path)?;
                self.keep(node);
                Ok(())
            }
            Step::Release => self.held.pop().map(drop).ok_or(Impossible),
            Step::Symlink(path, target) => {
                self.make(path, Kind::Symlink(Rc::new(target.clone())), 0o777)
            }
            Step::Link(old, new) => {
                let node = self.find(old).ok_or(Impossible)?;
                if self.is_dir(old) || self.find(new).is_some() || !self.is_dir(parent_of(new)) {
                    return Err(Impossible);
                }
                self.names.insert(new.clone(), node);
                Ok(())
            }
            Step::Unlink(path) if self.is_dir(path) => Err(Impossible),
            Step::Unlink(path) => self.names.remove(path).map(drop).ok_or(Impossible),
            Step::Rmdir(path) if !self.is_empty_dir(path) => Err(Impossible),
            Step::Rmdir(path) => self.names.remove(path).map(drop).ok_or(Impossible),
            Step::Rename(old, new) => self.rename(old, new),
            Step::Mapped(path, offset, len)
                if offset + *len as u64 > self.file(path)?.1.len() as u64 =>
            {
                Err(Impossible)
            }
            Step::Write(path, offset, len)
            | Step::Mapped(path, offset, len)
            | Step::Direct(path, offset, len) => self.edit(path, |contents| {
                let (start, end) = (*offset as usize, *offset as usize + len);
                contents.resize(contents.len().max(end), 0);
                contents[start..end].copy_from_slice(&pattern(tag, *offset, *len));
            }),
            Step::Truncate(path, size) => {
                self.edit(path, |contents| contents.resize(*size as usize, 0))
            }
            Step::Chmod(path, mode) => {
                let (node, _) = self.file(path)?;
                if let Some(object) = self.objects.get_mut(&node) {
                    object.mode = *mode;
                }
                Ok(())
            }
            Step::RemoveXattr(path, name) => {
                let (node, _) = self.file(path)?;
                let object = self.objects.get_mut(&node).ok_or(Impossible)?;
                let removed = object.xattrs.remove(&(USER, (*name).into()));
                removed.map(drop).ok_or(Impossible)
            }
            Step::Fsync(path) | Step::Fdatasync(path) => {
                self.find(path).map(drop).ok_or(Impossible)
            }
            Step::Sync | Step::Commit | Step::Writeback | Step::Submit | Step::Scatter => Ok(()),
            Step::Ensure(_) | Step::Append(..) => Err(Impossible),
        }
    }
}
