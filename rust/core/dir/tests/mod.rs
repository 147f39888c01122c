// SPDX-License-Identifier: GPL-2.0

//! Directories alone, on blocks in memory, against a map of names.

mod hostile;
mod model;
mod positions;

use super::{Blocks, Directory, Rules};
use crate::core::error::{Error, Place, Result};
use crate::core::platform::Block;
use crate::format::dirent::{DirFormat, FileType};
use crate::format::fault::{DirFault, Fault};
use crate::format::hash::{HashSeed, HashVersion, Hasher, Signedness};
use crate::format::units::{DiskBlock, FileBlock, Ino};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// The blocks of one directory.
#[derive(Clone, Debug)]
struct Memory(Rc<Disk>);

#[derive(Debug)]
struct Disk {
    blocks: RefCell<Vec<Buffer>>,
    block_size: usize,
    /// How many blocks there may be: then the disk is full.
    limit: Cell<usize>,
    warnings: Cell<usize>,
    reads: Cell<usize>,
}

#[derive(Clone, Debug)]
struct Buffer(u32, Rc<RefCell<Block>>);

/// Remembers which blocks were changed.
#[derive(Debug, Default)]
struct Handle<'j> {
    touched: BTreeSet<u32>,
    journal: PhantomData<&'j ()>,
}

struct Writable<'b>(RefMut<'b, Block>);

impl Deref for Writable<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Writable<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.get_mut().unwrap()
    }
}

impl Memory {
    fn new(block_size: usize) -> Self {
        Self(Rc::new(Disk {
            blocks: RefCell::default(),
            block_size,
            limit: Cell::new(usize::MAX),
            warnings: Cell::new(0),
            reads: Cell::new(0),
        }))
    }

    fn len(&self) -> usize {
        self.0.blocks.borrow().len()
    }

    /// Changes bytes of a block behind the directory's back.
    fn scribble(&self, block: usize, change: impl FnOnce(&mut [u8])) {
        let buffer = self.0.blocks.borrow()[block].clone();
        let mut copy = buffer.1.borrow().copy().unwrap();
        change(copy.get_mut().unwrap());
        *buffer.1.borrow_mut() = copy;
    }
}

impl Blocks for Memory {
    type Handle<'j> = Handle<'j>;
    type Buffer = Buffer;
    type Writable<'b> = Writable<'b>;

    fn read(&self, at: FileBlock) -> Result<Buffer> {
        self.0.reads.set(self.0.reads.get() + 1);
        let hole = Error::Corrupt(Place::inode(Ino(2)), Fault::Dir(DirFault::Hole, 0, 0));
        self.0
            .blocks
            .borrow()
            .get(at.get() as usize)
            .cloned()
            .ok_or(hole)
    }

    fn data(&self, buffer: &Buffer) -> Result<Block> {
        Ok(buffer.1.borrow().clone())
    }

    fn write<'b>(&self, handle: &mut Handle<'_>, buffer: &'b Buffer) -> Result<Writable<'b>> {
        handle.touched.insert(buffer.0);
        let mut block = buffer.1.borrow_mut();
        if block.get_mut().is_none() {
            *block = block.copy()?;
        }
        Ok(Writable(block))
    }

    fn append(&self, handle: &mut Handle<'_>, at: FileBlock) -> Result<Buffer> {
        let mut blocks = self.0.blocks.borrow_mut();
        assert_eq!(at.get() as usize, blocks.len());
        if blocks.len() >= self.0.limit.get() {
            return Err(Error::NoSpace);
        }
        handle.touched.insert(at.get());
        blocks.push(Buffer(
            at.get(),
            Rc::new(RefCell::new(Block::zeroed(self.0.block_size)?)),
        ));
        Ok(blocks[at.get() as usize].clone())
    }

    fn place(&self, buffer: &Buffer) -> Place {
        Place::new(Ino(2), DiskBlock(u64::from(buffer.0)))
    }

    fn warn(&self, _: Error) {
        self.0.warnings.set(self.0.warnings.get() + 1);
    }
}

/// Rules as `mkfs` sets them, for blocks of 1 KiB unless changed.
fn rules() -> Rules {
    Rules {
        format: DirFormat {
            block_size: 1024,
            has_tail: true,
            has_type: true,
            inode_count: 1_000_000,
        },
        indexes: true,
        hasher: Hasher {
            version: HashVersion::HalfMd4,
            signedness: Signedness::Signed,
            seed: HashSeed([1, 2, 3, 4]),
        },
    }
}

const OWN: Ino = Ino(2);
const PARENT: Ino = Ino(7);
const REGULAR: FileType = FileType(1);

/// A new directory with its first block.
fn make(rules: Rules) -> (Memory, Directory<Memory>) {
    let memory = Memory::new(rules.format.block_size as usize);
    let mut dir = Directory::new(memory.clone(), rules, OWN, 0, false).unwrap();
    dir.create_first_block(&mut Handle::default(), PARENT)
        .unwrap();
    (memory, dir)
}

fn name(n: u32) -> String {
    std::format!("file-{n:06}-{}", "x".repeat((n % 40) as usize))
}

/// Inserts, and checks that it stayed within its credits.
fn insert(dir: &mut Directory<Memory>, name: &[u8], ino: Ino) -> Result {
    let mut handle = Handle::default();
    let done = dir.insert(&mut handle, name, ino, REGULAR);
    assert!(handle.touched.len() as u32 <= Directory::<Memory>::insert_credits(0));
    done
}

fn remove(dir: &mut Directory<Memory>, name: &[u8]) -> Result {
    let found = dir.lookup(name)?.ok_or(Error::NotFound)?;
    dir.remove(&mut Handle::default(), name, &found)
}
