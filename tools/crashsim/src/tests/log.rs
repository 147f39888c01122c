// SPDX-License-Identifier: GPL-2.0

//! What a workload did to the disk, as the journal's format tells it: transactions, blocks of data,
//! checkpoints. Every block of the log has to be where recovery looks for it.

use crate::image::Disk;
use crate::record::History;
use host_core::core::cache::FUNCTIONS;
use host_core::format::jbd2::{self, BlockType, Layout};
use host_core::format::units::Tid;

/// A block as a transaction has it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Where it belongs.
    pub block: u64,
    /// Whether it is blanked in the log.
    pub escaped: bool,
    /// What it is without that.
    pub bytes: Vec<u8>,
}

/// A transaction that ends with a commit block.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its blocks.
    pub logged: Vec<Logged>,
    /// What it revokes.
    pub revoked: Vec<u64>,
    /// Its first block in the log.
    pub start: usize,
    /// Its commit block.
    pub end: usize,
}

impl Transaction {
    /// Whether it goes on at the log's beginning.
    pub const fn wraps(&self) -> bool {
        self.end < self.start
    }
}

/// What happened to the disk.
#[derive(Clone, Debug)]
pub enum Happened {
    /// A transaction was committed.
    Committed(Transaction),
    /// Data was written into a block.
    Data(u64),
    /// A committed block went to its place.
    Home(u64),
    /// The journal superblock says that the log begins in this block, and how many transactions
    /// are no longer in it.
    Tail(usize, usize),
}

/// The log, followed from its beginning.
pub struct Follower<'d> {
    disk: &'d Disk,
    /// What the journal superblock says.
    pub layout: Layout,
    /// The journal's blocks.
    blocks: Vec<Vec<u8>>,
    /// Where the next transaction begins, and its number.
    next: (usize, Tid),
    /// What is committed in the log before the workload.
    pub before: Vec<Transaction>,
    /// What the workload did.
    pub happened: Vec<Happened>,
}

impl<'d> Follower<'d> {
    /// Follows a workload to its end.
    pub fn of(disk: &'d Disk, history: &History) -> Self {
        let size = disk.kind.block as usize;
        let mut blocks = vec![Vec::new(); disk.journal_len()];
        for (n, bytes) in disk.begun.chunks(size).enumerate() {
            if let Some(at) = disk.journal_block((n * size) as u64) {
                blocks[at] = bytes.into();
            }
        }
        let layout = parse(&blocks);
        let mut one = Self {
            disk,
            layout,
            next: beginning(&layout),
            blocks,
            before: Vec::new(),
            happened: Vec::new(),
        };
        while let Some(transaction) = one.transaction() {
            one.before.push(transaction);
        }
        for (at, bytes) in history.events.iter().filter_map(|event| event.write()) {
            for (n, bytes) in bytes.chunks(size).enumerate() {
                one.write(at + (n * size) as u64, bytes);
            }
        }
        one
    }

    /// The transactions that the workload committed.
    pub fn committed(&self) -> impl Iterator<Item = &Transaction> {
        self.happened.iter().filter_map(|one| match one {
            Happened::Committed(transaction) => Some(transaction),
            _ => None,
        })
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        match self.disk.journal_block(at) {
            Some(0) => {
                self.blocks[0] = bytes.into();
                let (old, new) = (self.layout, parse(&self.blocks));
                self.layout = new;
                match old.start {
                    Some(_) => {
                        let gone = (new.sequence - old.sequence) as usize;
                        self.happened.push(Happened::Tail(beginning(&new).0, gone));
                    }
                    None => self.next = beginning(&new),
                }
            }
            Some(block) => {
                self.blocks[block] = bytes.into();
                let ends = jbd2::header(bytes) == Some((BlockType::Commit, self.next.1));
                let transaction = ends.then(|| self.transaction()).flatten();
                assert!(transaction.is_some() == ends, "not what recovery reads");
                self.happened.extend(transaction.map(Happened::Committed));
            }
            None => {
                let block = at / self.disk.kind.block;
                let is_home = self.is_superblock(block) || self.was_logged(block, bytes);
                self.happened.push(match is_home {
                    true => Happened::Home(block),
                    false => Happened::Data(block),
                });
            }
        }
    }

    fn is_superblock(&self, block: u64) -> bool {
        block == 1024 / self.disk.kind.block
    }

    fn was_logged(&self, block: u64, bytes: &[u8]) -> bool {
        let mut all = self.before.iter().chain(self.committed());
        all.any(|transaction| {
            let mut logged = transaction.logged.iter();
            logged.any(|one| one.block == block && one.bytes == bytes)
        })
    }

    fn after(&self, block: usize) -> usize {
        match block + 1 {
            end if end == self.layout.end_block as usize => self.layout.first_block as usize,
            next => next,
        }
    }

    /// The next transaction, if all of it is there.
    fn transaction(&mut self) -> Option<Transaction> {
        let (start, tid) = self.next;
        let (mut at, mut logged, mut revoked) = (start, Vec::new(), Vec::new());
        loop {
            let bytes = &self.blocks[at];
            let (kind, _) = jbd2::header(bytes).filter(|(_, of)| *of == tid)?;
            match kind {
                BlockType::Descriptor => {
                    for tag in self.layout.tags(bytes) {
                        let tag = tag.unwrap();
                        at = self.after(at);
                        let mut bytes = self.blocks[at].clone();
                        self.layout.verify_data(&tag, tid, &bytes).ok()?;
                        let magic = jbd2::MAGIC.to_be_bytes();
                        assert_ne!(bytes[..4], magic, "not escaped");
                        if tag.escaped {
                            assert_eq!(bytes[..4], [0; 4], "not blanked");
                            bytes[..4].copy_from_slice(&magic);
                        }
                        logged.push(Logged {
                            block: tag.block.get(),
                            escaped: tag.escaped,
                            bytes,
                        });
                    }
                }
                BlockType::Revoke => {
                    let blocks = self.layout.revokes(bytes).unwrap();
                    revoked.extend(blocks.map(|block| block.get()));
                }
                BlockType::Commit => break,
            }
            at = self.after(at);
        }
        self.next = (self.after(at), tid.next());
        Some(Transaction {
            logged,
            revoked,
            start,
            end: at,
        })
    }
}

fn parse(blocks: &[Vec<u8>]) -> Layout {
    let size = blocks[0].len() as u32;
    Layout::parse(&blocks[0], &FUNCTIONS, size, blocks.len() as u32).unwrap()
}

/// Where the log begins, and with which transaction.
fn beginning(layout: &Layout) -> (usize, Tid) {
    let start = layout.start.map_or(0, |block| block.get());
    (start as usize, Tid(layout.sequence))
}
