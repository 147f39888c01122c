// SPDX-License-Identifier: GPL-2.0

//! The smallest file system on `rust/linux`: a read-only one in memory, with one file in it.
//!
//! It is the tutorial of that layer, and the proof that it is made for no file system in particular:
//!
//! ```sh
//! make SAMPLES=1 modules && insmod minimal_fs.ko && mount -t minimal_fs -o name=greeting none /mnt
//! cat /mnt/greeting
//! ```
//!
//! Read it from the top: the types ([`MinimalFs`]), mounting, the directory, the file.

#![deny(unsafe_code)]
// `pub` says that an item is for other layers, and a sample does not use all of them.
#![allow(unreachable_pub, dead_code, unused_macros, unused_imports)]

use kernel::prelude::*;
use kernel::sync::aref::ARef;
use linux::fs::attr::{Space, StatFs};
use linux::fs::context::{Context, ContextOps, Registration};
use linux::fs::file::{File, FileOps, Seek};
use linux::fs::inode::Inode;
use linux::fs::inode_ops::InodeOps;
use linux::fs::iter::{DirContext, EntryKind, IovIter};
use linux::fs::kiocb::Kiocb;
use linux::fs::new_inode::Iget;
use linux::fs::params::{Param, ParamSpec, ParamTable};
use linux::fs::sb::{flag, NewSuper, Rooted, SuperBlock};
use linux::fs::super_ops::SuperOps;
use linux::fs::FileSystem;

#[allow(unsafe_code)]
#[path = "../../rust/linux/mod.rs"]
mod linux;

/// This file system has no trace events.
#[path = "../no_events.rs"]
mod trace_table;

module! {
    type: MinimalModule,
    name: "minimal_fs",
    authors: ["The rext4 contributors"],
    description: "A read-only file system in memory, with one file",
    license: "GPL v2",
}

/// What is loaded: the file system's name is known for as long as this lives.
struct MinimalModule {
    _registration: Registration<MinimalFs>,
}

impl kernel::Module for MinimalModule {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let mut registration = Registration::new(c"minimal_fs_inode", module)?;
        registration.register(c"minimal_fs")?;
        Ok(Self {
            _registration: registration,
        })
    }
}

/// The file system as a type: it names the types of its parts.
struct MinimalFs;

/// What one mount knows.
#[derive(Default)]
struct Mount {
    name: KVec<u8>,
}

impl FileSystem for MinimalFs {
    const ON_DEVICE: bool = false;

    type Super = Mount;
    type Inode = ();
    type Options = Mount;

    fn new_inode_data() -> impl PinInit<(), Error> {
        Ok::<(), Error>(())
    }
}

const ROOT: u64 = 1;
const FILE: u64 = 2;
const CONTENTS: &[u8] = b"Hello from Rust.\n";

static PARAMS: ParamTable = ParamTable::new(&[ParamSpec::string(c"name", 0), ParamSpec::END]);

impl ContextOps for MinimalFs {
    const PARAMS: &'static ParamTable = &PARAMS;

    fn parse_param(options: &mut Mount, param: &Param<'_>, cx: &Context<'_>) -> Result {
        if param.text().contains(&b'/') {
            cx.error(fmt!("a name has no slash in it"));
            return Err(EINVAL);
        }
        options.name.clear();
        options.name.extend_from_slice(param.text(), GFP_KERNEL)?;
        Ok(())
    }

    fn fill_super(
        mut sb: NewSuper<'_, Self>,
        options: &mut Mount,
        _: &Context<'_>,
    ) -> Result<Rooted> {
        sb.set_block_size(4096)?;
        sb.set_magic(0x6d69_6e69).set_flags(flag::RDONLY, 0);
        let mut name = core::mem::replace(&mut options.name, KVec::new());
        if name.is_empty() {
            name.extend_from_slice(b"hello", GFP_KERNEL)?;
        }
        let sb = sb.attach(Mount { name })?;
        let root = iget(&sb, ROOT)?;
        sb.set_root(root)
    }

    fn reconfigure(_: &SuperBlock<Self>, _: &mut Mount, cx: &Context<'_>) -> Result {
        if cx.is_read_only() {
            Ok(())
        } else {
            Err(EROFS)
        }
    }
}

#[vtable]
impl SuperOps for MinimalFs {
    fn statfs(_: &SuperBlock<Self>, stat: &mut StatFs) -> Result {
        stat.set(Space {
            magic: 0x6d69_6e69,
            block_size: 4096,
            inodes: 2,
            name_len: 255,
            ..Space::default()
        });
        Ok(())
    }
}

/// Finds an inode in memory, or makes it from what is known of it: nothing but its number.
fn iget(sb: &SuperBlock<MinimalFs>, ino: u64) -> Result<ARef<Inode<MinimalFs>>> {
    let mut inode = match sb.iget(ino)? {
        Iget::Cached(inode) => return Ok(inode),
        Iget::New(inode) => inode,
    };
    inode.init_times_now();
    if ino == ROOT {
        inode.init_mode(0o040_555).set_ops::<Directory, Directory>();
        inode.set_nlink(2);
    } else {
        inode
            .init_mode(0o100_444)
            .init_size(CONTENTS.len() as u64)
            .set_ops::<Regular, Regular>();
    }
    Ok(inode.finish())
}

/// The operations on the directory, and on it when it is open.
struct Directory;

#[vtable]
impl InodeOps<MinimalFs> for Directory {
    fn lookup(dir: &Inode<MinimalFs>, name: &[u8]) -> Result<Option<ARef<Inode<MinimalFs>>>> {
        if name != &dir.sb().data().name[..] {
            return Ok(None);
        }
        iget(dir.sb(), FILE).map(Some)
    }
}

#[vtable]
impl FileOps<MinimalFs> for Directory {
    fn llseek(file: &File<MinimalFs>, to: Seek) -> Result<u64> {
        file.seek(to, u64::MAX, 3)
    }

    fn iterate_shared(file: &File<MinimalFs>, into: &mut DirContext<'_>) -> Result {
        let name = &file.inode().sb().data().name;
        let entries: [(&[u8], u64, EntryKind); 3] = [
            (b".", ROOT, EntryKind::Directory),
            (b"..", ROOT, EntryKind::Directory),
            (name, FILE, EntryKind::Regular),
        ];
        for (index, (name, ino, kind)) in (0u64..).zip(entries) {
            if index < into.pos() {
                continue;
            }
            if !into.emit(name, ino, kind) {
                break;
            }
            into.set_pos(index + 1);
        }
        Ok(())
    }
}

/// The operations on the file, and on it when it is open.
struct Regular;

#[vtable]
impl InodeOps<MinimalFs> for Regular {}

#[vtable]
impl FileOps<MinimalFs> for Regular {
    fn llseek(file: &File<MinimalFs>, to: Seek) -> Result<u64> {
        file.seek(to, u64::MAX, CONTENTS.len() as u64)
    }

    fn read_iter(mut iocb: Kiocb<'_, MinimalFs>, to: &mut IovIter<'_>) -> Result<usize> {
        let pos = usize::try_from(iocb.pos()).unwrap_or(usize::MAX);
        let bytes = to.copy_to(CONTENTS.get(pos..).unwrap_or(&[]));
        iocb.set_pos(iocb.pos() + bytes as u64);
        Ok(bytes)
    }
}
