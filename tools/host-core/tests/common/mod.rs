// SPDX-License-Identifier: GPL-2.0

//! Random operations on a mounted file system, and the same on a model that is only in memory.

use host_core::core::error::{Error, Result};
use host_core::core::mount::AttributeChanges;
use host_core::hostfs::{Entry, HostFs, Tree, Xattrs};
use host_core::testing::Random;
use std::collections::BTreeMap;

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    Create(String),
    Mkdir(String),
    Symlink(String, Vec<u8>),
    Link(String, String),
    Unlink(String),
    Rmdir(String),
    Rename(String, String),
    Write(String, u64, Vec<u8>),
    Truncate(String, u64),
    Chmod(String, u16),
    Fsync(String),
    Sync,
    Drop,
}

impl Op {
    /// Any operation, on a few names in a few directories.
    pub fn any(random: &mut Random, most: u64) -> Self {
        let path = |random: &mut Random| {
            let dirs = ["", "/d0", "/d1", "/d0/d2", "/d1/d3"];
            let dir = dirs[random.index(dirs.len())];
            match random.below(8) {
                0 | 1 => format!("{dir}/d{}", random.below(4)),
                2 => format!(
                    "{dir}/a-rather-long-name-that-fills-the-blocks-{:03}",
                    random.below(200)
                ),
                _ => format!("{dir}/f{}", random.below(6)),
            }
        };
        let at = path(random);
        match random.below(24) {
            0..=3 => Self::Create(at),
            4 | 5 => Self::Mkdir(at),
            6 => {
                let len = [5, 59, 60, 300][random.below(4) as usize];
                Self::Symlink(
                    at,
                    random
                        .bytes(len)
                        .iter()
                        .map(|byte| byte % 26 + b'a')
                        .collect(),
                )
            }
            7 => Self::Link(at, path(random)),
            8 | 9 => Self::Unlink(at),
            10 => Self::Rmdir(at),
            11..=13 => Self::Rename(at, path(random)),
            14..=17 => {
                let len = 1 + random.below(most) as usize;
                Self::Write(at, random.below(most * 3), random.bytes(len))
            }
            18 | 19 => Self::Truncate(at, random.below(most * 4)),
            20 => Self::Chmod(at, random.below(0o10_000) as u16),
            21 => Self::Fsync(at),
            22 => Self::Sync,
            _ => Self::Drop,
        }
    }

    /// Whether it would put a directory below itself: the VFS refuses that.
    pub fn is_below_itself(&self) -> bool {
        match self {
            Self::Rename(old, new) => {
                new.starts_with(&format!("{old}/")) || old.starts_with(&format!("{new}/"))
            }
            _ => false,
        }
    }

    /// Does it to the file system.
    pub fn apply(&self, fs: &mut HostFs) -> Result {
        match self {
            Self::Create(path) => fs.create(path, 0o644).map(drop),
            Self::Mkdir(path) => fs.mkdir(path, 0o755),
            Self::Symlink(path, target) => fs.symlink(path, target),
            Self::Link(old, new) => fs.link(old, new),
            Self::Unlink(path) => fs.unlink(path),
            Self::Rmdir(path) => fs.rmdir(path),
            Self::Rename(old, new) => fs.rename(old, new),
            Self::Write(path, offset, data) => {
                only_files(fs, path)?;
                fs.write(path, *offset, data)
            }
            Self::Truncate(path, size) => {
                only_files(fs, path)?;
                fs.truncate(path, *size)
            }
            Self::Chmod(path, mode) => fs.set_attributes(
                path,
                &AttributeChanges {
                    mode: Some(*mode),
                    ..Default::default()
                },
            ),
            Self::Fsync(path) => fs.fsync(path),
            Self::Sync => fs.sync(),
            Self::Drop => fs.drop_caches(),
        }
    }
}

fn only_files(fs: &mut HostFs, path: &str) -> Result {
    match fs.resolve(path)?.kind() {
        host_core::core::mount::InodeKind::Regular => Ok(()),
        _ => Err(Error::Invalid),
    }
}

#[derive(Clone, Debug)]
struct Node {
    mode: u16,
    contents: Vec<u8>,
    names: BTreeMap<String, usize>,
}

/// What the file system should be.
#[derive(Clone, Debug)]
pub struct Model {
    nodes: Vec<Node>,
}

const ROOT: usize = 0;
const KIND: u16 = 0o170_000;

impl Model {
    /// As mkfs leaves it.
    pub fn new() -> Self {
        let dir = |mode, names| Node {
            mode,
            contents: Vec::new(),
            names,
        };
        let names = BTreeMap::from([("lost+found".into(), 1)]);
        Self {
            nodes: vec![dir(0o040_755, names), dir(0o040_700, BTreeMap::new())],
        }
    }

    fn is_dir(&self, node: usize) -> bool {
        self.nodes[node].mode & KIND == 0o040_000
    }

    fn find(&self, path: &str) -> Result<usize> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |node, name| {
                if !self.is_dir(node) {
                    return Err(Error::NotDirectory);
                }
                self.nodes[node]
                    .names
                    .get(name)
                    .copied()
                    .ok_or(Error::NotFound)
            })
    }

    fn parent<'p>(&self, path: &'p str) -> Result<(usize, &'p str)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.find(dir)?;
        if self.is_dir(dir) {
            Ok((dir, name))
        } else {
            Err(Error::NotDirectory)
        }
    }

    fn add(&mut self, path: &str, mode: u16, contents: &[u8]) -> Result {
        let (dir, name) = self.parent(path)?;
        if self.nodes[dir].names.contains_key(name) {
            return Err(Error::Exists);
        }
        self.nodes.push(Node {
            mode,
            contents: contents.to_vec(),
            names: BTreeMap::new(),
        });
        let node = self.nodes.len() - 1;
        self.nodes[dir].names.insert(name.into(), node);
        Ok(())
    }

    fn rename(&mut self, old: &str, new: &str) -> Result {
        let node = self.find(old)?;
        let (old_dir, old_name) = self.parent(old)?;
        let (new_dir, new_name) = self.parent(new)?;
        if let Some(&target) = self.nodes[new_dir].names.get(new_name) {
            if target == node {
                return Ok(());
            }
            match (self.is_dir(node), self.is_dir(target)) {
                (true, false) => return Err(Error::NotDirectory),
                (false, true) => return Err(Error::IsDirectory),
                (true, true) if !self.nodes[target].names.is_empty() => {
                    return Err(Error::NotEmpty)
                }
                _ => {}
            }
        }
        self.nodes[old_dir].names.remove(old_name);
        self.nodes[new_dir].names.insert(new_name.into(), node);
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<&mut Node> {
        let node = self.find(path)?;
        match self.nodes[node].mode & KIND {
            0o100_000 => Ok(&mut self.nodes[node]),
            _ => Err(Error::Invalid),
        }
    }

    /// Does an operation.
    pub fn apply(&mut self, op: &Op) -> Result {
        match op {
            Op::Create(path) => self.add(path, 0o100_644, b""),
            Op::Mkdir(path) => self.add(path, 0o040_755, b""),
            Op::Symlink(path, target) => self.add(path, 0o120_777, target),
            Op::Link(old, new) => {
                let node = self.find(old)?;
                let (dir, name) = self.parent(new)?;
                if self.is_dir(node) {
                    return Err(Error::NotPermitted);
                }
                if self.nodes[dir].names.contains_key(name) {
                    return Err(Error::Exists);
                }
                self.nodes[dir].names.insert(name.into(), node);
                Ok(())
            }
            Op::Unlink(path) => {
                let node = self.find(path)?;
                let (dir, name) = self.parent(path)?;
                if self.is_dir(node) {
                    return Err(Error::IsDirectory);
                }
                self.nodes[dir].names.remove(name);
                Ok(())
            }
            Op::Rmdir(path) => {
                let node = self.find(path)?;
                let (dir, name) = self.parent(path)?;
                if !self.is_dir(node) {
                    return Err(Error::NotDirectory);
                }
                if !self.nodes[node].names.is_empty() {
                    return Err(Error::NotEmpty);
                }
                self.nodes[dir].names.remove(name);
                Ok(())
            }
            Op::Rename(old, new) => self.rename(old, new),
            Op::Write(path, offset, data) => {
                let contents = &mut self.file(path)?.contents;
                let (start, end) = (*offset as usize, *offset as usize + data.len());
                contents.resize(contents.len().max(end), 0);
                contents[start..end].copy_from_slice(data);
                Ok(())
            }
            Op::Truncate(path, size) => {
                self.file(path)?.contents.resize(*size as usize, 0);
                Ok(())
            }
            Op::Chmod(path, mode) => {
                let node = self.find(path)?;
                let old = self.nodes[node].mode;
                self.nodes[node].mode = old & KIND | mode & !KIND;
                Ok(())
            }
            Op::Fsync(path) => self.find(path).map(drop),
            Op::Sync | Op::Drop => Ok(()),
        }
    }

    fn links(&self, node: usize) -> u32 {
        let named = |of: &Node| of.names.values().filter(|&&other| other == node).count() as u32;
        if self.is_dir(node) {
            2 + self.nodes[node]
                .names
                .values()
                .filter(|&&child| self.is_dir(child))
                .count() as u32
        } else {
            self.reachable()
                .iter()
                .map(|&dir| named(&self.nodes[dir]))
                .sum()
        }
    }

    /// Directories that have names.
    fn reachable(&self) -> Vec<usize> {
        let (mut found, mut at) = (vec![ROOT], 0);
        while at < found.len() {
            found.extend(
                self.nodes[found[at]]
                    .names
                    .values()
                    .filter(|&&child| self.is_dir(child)),
            );
            at += 1;
        }
        found
    }

    /// Everything there is, by path.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        self.collect("", ROOT, &mut tree);
        tree
    }

    fn collect(&self, path: &str, node: usize, tree: &mut Tree) {
        let about = &self.nodes[node];
        let entry = Entry {
            mode: about.mode,
            uid: 0,
            gid: 0,
            links: self.links(node),
            contents: about.contents.clone(),
            xattrs: Xattrs::new(),
        };
        tree.insert(path.into(), entry);
        for (name, &child) in &about.names {
            self.collect(&format!("{path}/{name}"), child, tree);
        }
    }
}
