// SPDX-License-Identifier: GPL-2.0

//! A block device as a file system with one file: the whole device, read, written, mapped and
//! truncated through the page cache or around it.
//!
//! It has no metadata on the disk, so it forgets the file when it is unmounted, and shows only how data travels:
//! delayed allocation, writing back, and the bookkeeping after the device has answered. The state of
//! each block is a byte in memory.
//!
//! ```sh
//! make SAMPLES=1 modules && insmod one_file_fs.ko && mount -t one_file_fs /dev/vda /mnt
//! cp something /mnt/file && sync && cmp something /mnt/file
//! ```

#![deny(unsafe_code)]
// `pub` says that an item is for other layers, and a sample does not use all of them.
#![allow(unreachable_pub, dead_code, unused_macros, unused_imports)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use linux::fs::address_space::AddressSpaceOps;
use linux::fs::attr::{valid, Attr, IdMap, Space, StatFs};
use linux::fs::context::{Context, ContextOps, Registration};
use linux::fs::dentry::Dentry;
use linux::fs::file::{File, FileOps, Opening, Seek, SeekKind};
use linux::fs::inode::Inode;
use linux::fs::inode_ops::InodeOps;
use linux::fs::iter::{DirContext, EntryKind, IovIter};
use linux::fs::kiocb::Kiocb;
use linux::fs::mmap::{Fault, Faulted};
use linux::fs::new_inode::Iget;
use linux::fs::params::{Param, ParamSpec, ParamTable};
use linux::fs::sb::{NewSuper, Rooted, SuperBlock};
use linux::fs::super_ops::SuperOps;
use linux::fs::writeback::{Control, Finished, Write, WritebackOps};
use linux::fs::FileSystem;
use linux::iomap::direct::{self, DirectOps};
use linux::iomap::fiemap::Fiemap;
use linux::iomap::{self, Extent, Flags, IomapOps, IomapWriteOps, Mapping};
use linux::sync::{lock_class, Mutex};

#[allow(unsafe_code)]
#[path = "../../rust/linux/mod.rs"]
mod linux;

/// This file system has no trace events.
#[path = "../no_events.rs"]
mod trace_table;

module! {
    type: OneFileModule,
    name: "one_file_fs",
    authors: ["The rext4 contributors"],
    description: "A block device as a file system with one file",
    license: "GPL v2",
}

/// What is loaded: the file system's name is known for as long as this lives.
struct OneFileModule {
    _registration: Registration<OneFileFs>,
}

impl kernel::Module for OneFileModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let mut registration = Registration::new(c"one_file_fs_inode", module)?;
        registration.register(c"one_file_fs")?;
        Ok(Self {
            _registration: registration,
        })
    }
}

/// The file system as a type.
struct OneFileFs;

const ROOT: u64 = 1;
const FILE: u64 = 2;
const BLOCK: u64 = 4096;
const MAGIC: u64 = 0x6f6e_6531;

/// What a block of the file is. Where it is on the device, is not a question here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hole,
    Delayed,
    InFlight,
    Written,
}

/// What one mount knows.
struct Mount {
    blocks: Mutex<KVVec<State>>,
    /// Changes when a block's state does.
    sequence: AtomicU64,
    /// The file's size while its inode is not in memory.
    size: AtomicU64,
    /// Counts what happened, to tell it at the end.
    finished: AtomicU64,
    finished_bytes: AtomicU64,
    punched: AtomicU64,
}

impl Mount {
    /// The state at `pos`, and up to where it stays the same, within `length` bytes; first, blocks in
    /// state `from` of that range become `to`.
    fn run(
        &self,
        pos: u64,
        length: u64,
        change: Option<(State, State)>,
    ) -> (State, u64, u64, bool) {
        let mut blocks = self.blocks.lock();
        let first = (pos / BLOCK) as usize;
        let last = (pos.saturating_add(length).div_ceil(BLOCK) as usize).min(blocks.len());
        let before = blocks.get(first).copied().unwrap_or(State::Hole);
        let mut changed = false;
        let mut end = first;
        while end < last && blocks[end] == before {
            if let Some((from, to)) = change {
                if before == from {
                    blocks[end] = to;
                    changed = true;
                }
            }
            end += 1;
        }
        if changed {
            self.sequence.fetch_add(1, Relaxed);
        }
        let state = blocks.get(first).copied().unwrap_or(State::Hole);
        (
            state,
            first as u64 * BLOCK,
            (end.max(first + 1) - first) as u64 * BLOCK,
            changed,
        )
    }

    fn set(&self, start: u64, end: u64, mut with: impl FnMut(State) -> State) {
        let mut blocks = self.blocks.lock();
        let end = (end.div_ceil(BLOCK) as usize).min(blocks.len());
        for state in blocks
            .get_mut((start / BLOCK) as usize..end)
            .unwrap_or(&mut [])
        {
            *state = with(*state);
        }
        self.sequence.fetch_add(1, Relaxed);
    }

    fn mapping(&self, run: (State, u64, u64, bool)) -> Mapping {
        let (state, offset, length, changed) = run;
        let extent = match state {
            State::Hole => Extent::Hole,
            State::Delayed => Extent::Delayed,
            State::InFlight => Extent::Unwritten(offset),
            State::Written => Extent::Mapped(offset),
        };
        let mut mapping = Mapping::new(offset, length, extent, self.sequence.load(Relaxed));
        mapping.is_new = changed;
        mapping
    }
}

impl FileSystem for OneFileFs {
    type Super = Mount;
    type Inode = ();
    type Options = ();

    fn new_inode_data() -> impl PinInit<(), Error> {
        Ok::<(), Error>(())
    }
}

static PARAMS: ParamTable = ParamTable::new(&[ParamSpec::END]);

impl ContextOps for OneFileFs {
    const PARAMS: &'static ParamTable = &PARAMS;

    fn parse_param(_: &mut (), _: &Param<'_>, _: &Context<'_>) -> Result {
        Err(EINVAL)
    }

    fn fill_super(mut sb: NewSuper<'_, Self>, _: &mut (), _: &Context<'_>) -> Result<Rooted> {
        sb.set_block_size(BLOCK as u32)?;
        let bytes = sb.device()?.size_bytes();
        sb.set_magic(MAGIC)
            .set_max_bytes(bytes)
            .set_times(1, 0, i64::MAX)
            .set_cgroup_writeback();
        let blocks = KVVec::from_elem(State::Hole, (bytes / BLOCK) as usize, GFP_KERNEL)?;
        let sb = sb.attach(Mount {
            blocks: Mutex::new(blocks, lock_class!("one_file_fs_blocks"))?,
            sequence: AtomicU64::new(1),
            size: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            finished_bytes: AtomicU64::new(0),
            punched: AtomicU64::new(0),
        })?;
        let root = iget(&sb, ROOT)?;
        sb.set_root(root)
    }

    fn reconfigure(_: &SuperBlock<Self>, _: &mut (), _: &Context<'_>) -> Result {
        Ok(())
    }
}

#[vtable]
impl SuperOps for OneFileFs {
    fn statfs(sb: &SuperBlock<Self>, stat: &mut StatFs) -> Result {
        let blocks = sb.data().blocks.lock();
        let free = blocks.iter().filter(|&&state| state == State::Hole).count() as u64;
        stat.set(Space {
            magic: MAGIC,
            block_size: BLOCK as u32,
            blocks: blocks.len() as u64,
            free,
            available: free,
            inodes: 2,
            name_len: 255,
            ..Space::default()
        });
        Ok(())
    }

    fn evict_inode(inode: &Inode<Self>) {
        if inode.ino() == FILE {
            inode.sb().data().size.store(inode.size(), Relaxed);
        }
    }

    fn put_super(sb: &SuperBlock<Self>) {
        let mount = sb.data();
        let delayed = mount
            .blocks
            .lock()
            .iter()
            .filter(|&&state| state == State::Delayed)
            .count();
        let flying = mount
            .blocks
            .lock()
            .iter()
            .filter(|&&state| state == State::InFlight)
            .count();
        pr_info!(
            "finished {} writes of {} bytes, punched {}; left: {} delayed, {} in flight\n",
            mount.finished.load(Relaxed),
            mount.finished_bytes.load(Relaxed),
            mount.punched.load(Relaxed),
            delayed,
            flying
        );
    }

    fn finish_writeback(sb: &SuperBlock<Self>, ended: &Finished<'_, Self>) {
        let mount = sb.data();
        for write in ended.iter() {
            mount.finished.fetch_add(1, Relaxed);
            mount.finished_bytes.fetch_add(write.len(), Relaxed);
            let failed = write.error().is_some();
            mount.set(
                write.pos(),
                write.pos() + write.len(),
                |state| match state {
                    State::InFlight if failed => State::Hole,
                    State::InFlight => State::Written,
                    other => other,
                },
            );
        }
    }
}

/// Finds an inode in memory, or makes it from what is known of it: nothing but its number.
fn iget(sb: &SuperBlock<OneFileFs>, ino: u64) -> Result<ARef<Inode<OneFileFs>>> {
    let mut inode = match sb.iget(ino)? {
        Iget::Cached(inode) => return Ok(inode),
        Iget::New(inode) => inode,
    };
    inode.init_times_now();
    if ino == ROOT {
        inode.init_mode(0o040_755).set_ops::<Directory, Directory>();
        inode.set_nlink(2);
    } else {
        let size = sb.data().size.load(Relaxed);
        inode
            .init_mode(0o100_644)
            .init_size(size)
            .set_ops::<Data, Data>()
            .set_mapping_ops::<Data>(true);
    }
    Ok(inode.finish())
}

/// The directory.
struct Directory;

#[vtable]
impl InodeOps<OneFileFs> for Directory {
    fn lookup(dir: &Inode<OneFileFs>, name: &[u8]) -> Result<Option<ARef<Inode<OneFileFs>>>> {
        if name != b"file" {
            return Ok(None);
        }
        iget(dir.sb(), FILE).map(Some)
    }
}

#[vtable]
impl FileOps<OneFileFs> for Directory {
    fn iterate_shared(_: &File<OneFileFs>, into: &mut DirContext<'_>) -> Result {
        let entries: [(&[u8], u64); 3] = [(b".", ROOT), (b"..", ROOT), (b"file", FILE)];
        for (index, (name, ino)) in (0u64..).zip(entries).skip(into.pos() as usize) {
            if !into.emit(name, ino, EntryKind::Unknown) {
                break;
            }
            into.set_pos(index + 1);
        }
        Ok(())
    }
}

/// The file: inode, open file, page cache, and each purpose of mapping.
struct Data;

#[vtable]
impl InodeOps<OneFileFs> for Data {
    fn setattr(
        idmap: &IdMap,
        dentry: &Dentry<OneFileFs>,
        inode: &Inode<OneFileFs>,
        attr: &mut Attr,
    ) -> Result {
        attr.prepare(idmap, dentry)?;
        if let Some(size) = attr.size() {
            let old = inode.size();
            inode.wait_for_direct_io();
            let locked = inode.lock_invalidate();
            if size < old {
                iomap::truncate_page::<_, Buffered>(inode, size)?;
            } else {
                iomap::truncate_page::<_, Buffered>(inode, old)?;
            }
            inode.truncate_setsize(size);
            inode
                .sb()
                .data()
                .set(size.next_multiple_of(BLOCK), u64::MAX / 2, |_| State::Hole);
            drop(locked);
            attr.set_times_now(inode);
        }
        attr.copy_to(idmap, inode);
        Ok(())
    }

    fn fiemap(inode: &Inode<OneFileFs>, into: Fiemap<'_>, start: u64, len: u64) -> Result {
        into.report::<_, Lookup>(inode, start, len)
    }
}

#[vtable]
impl FileOps<OneFileFs> for Data {
    const BLOCK_BASED: bool = true;

    fn open(_: &Inode<OneFileFs>, file: &Opening<'_, OneFileFs>) -> Result {
        file.allow_direct();
        Ok(())
    }

    fn llseek(file: &File<OneFileFs>, to: Seek) -> Result<u64> {
        let inode = file.inode();
        let found = match to.kind() {
            SeekKind::Position => return file.seek(to, inode.sb().max_bytes(), inode.size()),
            SeekKind::Data => iomap::seek_data::<_, Lookup>(inode, to.offset())?,
            SeekKind::Hole => iomap::seek_hole::<_, Lookup>(inode, to.offset())?,
        };
        file.set_pos(found, inode.sb().max_bytes())
    }

    fn read_iter(mut iocb: Kiocb<'_, OneFileFs>, to: &mut IovIter<'_>) -> Result<usize> {
        if !iocb.is_direct() {
            return iocb.read_cached(to);
        }
        let inode = iocb.inode().to_owned_ref();
        let _locked = inode.lock_shared();
        direct::read::<_, Lookup>(iocb, to)
    }

    fn write_iter(mut iocb: Kiocb<'_, OneFileFs>, from: &mut IovIter<'_>) -> Result<usize> {
        let inode = iocb.inode().to_owned_ref();
        let locked = inode.lock();
        if iocb.write_checks(from)? == 0 {
            return Ok(0);
        }
        inode.wait_for_direct_io();
        iocb.modified()?;
        let pos = iocb.pos();
        if pos > inode.size() {
            let _invalidate = inode.lock_invalidate();
            iomap::zero_range::<_, Buffered>(&inode, inode.size(), pos - inode.size())?;
        }
        let written = if iocb.is_direct() {
            iocb.do_not_poll();
            let direct = direct::write::<_, Direct, Direct>(iocb, from)?;
            iocb = direct.0;
            match direct.1 {
                Err(error) if error == ENOTBLK => {
                    iomap::buffered_write::<_, Buffered>(&mut iocb, from)?
                }
                other => other?,
            }
        } else {
            iomap::buffered_write::<_, Buffered>(&mut iocb, from)?
        };
        drop(locked);
        iocb.write_sync(written)
    }

    fn fsync(file: &File<OneFileFs>, start: u64, end: u64, _datasync: bool) -> Result {
        file.write_and_wait(start, end)
    }

    fn page_mkwrite(_: &Inode<OneFileFs>, fault: Fault<'_, OneFileFs>) -> Faulted {
        fault.make_writable::<Buffered>()
    }
}

#[vtable]
impl AddressSpaceOps<OneFileFs> for Data {
    type Read = Lookup;
    type Report = Lookup;
    type Writeback = Data;

    fn writepages(_: &Inode<OneFileFs>, control: &mut Control<'_, OneFileFs, Data>) -> Result {
        control.write_pages()
    }
}

/// Mapping to read and to report.
struct Lookup;

#[vtable]
impl IomapOps<OneFileFs> for Lookup {
    fn begin(inode: &Inode<OneFileFs>, pos: u64, length: u64, _: Flags) -> Result<Mapping> {
        let mount = inode.sb().data();
        Ok(mount.mapping(mount.run(pos, length, None)))
    }
}

/// Mapping to write to the page cache: holes become delayed.
struct Buffered;

#[vtable]
impl IomapOps<OneFileFs> for Buffered {
    fn begin(inode: &Inode<OneFileFs>, pos: u64, length: u64, flags: Flags) -> Result<Mapping> {
        let mount = inode.sb().data();
        let change = if flags.is_zero() {
            None
        } else {
            Some((State::Hole, State::Delayed))
        };
        Ok(mount.mapping(mount.run(pos, length, change)))
    }

    fn punch(inode: &Inode<OneFileFs>, start: u64, length: u64) {
        let mount = inode.sb().data();
        mount.punched.fetch_add(1, Relaxed);
        mount.set(start, start + length, |state| {
            if state == State::Delayed {
                State::Hole
            } else {
                state
            }
        });
    }
}

impl IomapWriteOps<OneFileFs> for Buffered {
    fn is_valid(inode: &Inode<OneFileFs>, mapping: &Mapping) -> bool {
        mapping.cookie == inode.sb().data().sequence.load(Relaxed)
    }
}

/// Mapping to write around the page cache: holes are in flight until the data is there.
struct Direct;

#[vtable]
impl IomapOps<OneFileFs> for Direct {
    fn begin(inode: &Inode<OneFileFs>, pos: u64, length: u64, _: Flags) -> Result<Mapping> {
        let mount = inode.sb().data();
        mount.run(pos, length, Some((State::Delayed, State::InFlight)));
        let mut mapping =
            mount.mapping(mount.run(pos, length, Some((State::Hole, State::InFlight))));
        mapping.is_new = false;
        Ok(mapping)
    }
}

impl DirectOps<OneFileFs> for Direct {
    const WAITS: bool = true;

    fn end_io(iocb: &Kiocb<'_, OneFileFs>, size: u64, error: Option<Error>, _: bool) -> Result {
        if let Some(error) = error {
            return Err(error);
        }
        let inode = iocb.inode();
        let end = iocb.pos() + size;
        inode.sb().data().set(iocb.pos(), end, |_| State::Written);
        if end > inode.size() {
            inode.set_size(end);
        }
        Ok(())
    }
}

impl WritebackOps<OneFileFs> for Data {
    fn map(inode: &Inode<OneFileFs>, pos: u64, _len: u32) -> Result<Mapping> {
        let mount = inode.sb().data();
        let mut mapping =
            mount.mapping(mount.run(pos, 64 << 20, Some((State::Delayed, State::InFlight))));
        mapping.is_new = false;
        Ok(mapping)
    }

    fn is_valid(inode: &Inode<OneFileFs>, mapping: &Mapping) -> bool {
        mapping.cookie == inode.sb().data().sequence.load(Relaxed)
    }

    fn discard(inode: &Inode<OneFileFs>, start: u64, end: u64) {
        inode.sb().data().set(start, end, |state| {
            if state == State::Delayed {
                State::Hole
            } else {
                state
            }
        });
    }

    fn submit(_: &Inode<OneFileFs>, write: &Write<'_, OneFileFs>, _: bool) -> bool {
        write.is_unwritten()
    }
}
