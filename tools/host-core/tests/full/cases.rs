// SPDX-License-Identifier: GPL-2.0

//! The operations, and what they need.

use host_core::core::error::{Error, Result};
use host_core::core::mount::AttributeChanges;
use host_core::hostfs::HostFs;

/// What may have changed when there was no space.
pub enum Failure {
    /// Nothing, not even a time of a directory.
    Nothing,
    /// As many blocks as there were are written.
    Part,
}

use Failure::{Nothing, Part};

pub struct Case {
    pub name: &'static str,
    /// What `mkfs` is told besides.
    pub args: &'static [&'static str],
    /// What was there before.
    pub setup: fn(&mut HostFs) -> Result,
    pub op: fn(&mut HostFs) -> Result,
    pub failure: Failure,
    /// The least blocks and inodes that must be free for it.
    pub blocks: u32,
    pub inodes: u32,
}

const PLAIN: &[&str] = &[];
const LINEAR: &[&str] = &["-O", "^dir_index"];
const ORPHAN_FILE: &[&str] = &["-O", "orphan_file"];

type Step = fn(&mut HostFs) -> Result;

const fn case(
    name: &'static str,
    setup: Step,
    op: Step,
    failure: Failure,
    needs: (u32, u32),
) -> Case {
    Case {
        name,
        args: PLAIN,
        setup,
        op,
        failure,
        blocks: needs.0,
        inodes: needs.1,
    }
}

const fn on(args: &'static [&'static str], case: Case) -> Case {
    Case { args, ..case }
}

/// What most operations are about: files, a directory, a file in pieces.
fn some_files(fs: &mut HostFs) -> Result {
    fs.mkdir("/d", 0o755)?;
    fs.mkdir("/d/sub", 0o755)?;
    fs.mkdir("/e", 0o755)?;
    fs.create("/f", 0o644)?;
    fs.write("/f", 0, &[7; 5000])?;
    fs.create("/g", 0o644)?;
    fs.write("/g", 0, &[8; 3000])?;
    fs.create("/empty", 0o644)?;
    fs.symlink("/s", b"target")
}

/// A long name: three or four of them fill a block.
fn long(dir: &str, n: u32) -> String {
    format!("{dir}/{n:0>250}")
}

/// Gives `/names` names until `stop` says of the next one that it is enough: of the blocks by which it
/// makes the directory larger, and how often names did so by several before.
fn names_until(fs: &mut HostFs, stop: fn(u64, u32) -> bool) -> Result {
    for dir in ["/names", "/probe", "/d"] {
        fs.mkdir(dir, 0o755)?;
    }
    fs.create("/f", 0o644)?;
    // The hash has the disk's seed: what names do to one directory they do to another.
    let (mut count, mut deeper) = (0, 0);
    loop {
        let before = fs.resolve("/probe")?.disk_size();
        fs.link("/f", &long("/probe", count))?;
        let grown = (fs.resolve("/probe")?.disk_size() - before) >> 10;
        if stop(grown, deeper) {
            break;
        }
        deeper += u32::from(grown > 1);
        count += 1;
    }
    for n in 0..=count {
        fs.unlink(&long("/probe", n))?;
        if n < count {
            fs.link("/f", &long("/names", n))?;
        }
    }
    fs.rmdir("/probe")?;
    fs.symlink("/next", long("/names", count).as_bytes())
}

fn full_first_block(fs: &mut HostFs) -> Result {
    names_until(fs, |grown, _| grown > 0)
}

fn full_leaf(fs: &mut HostFs) -> Result {
    names_until(fs, |grown, deeper| grown == 1 && deeper == 1)
}

fn full_root(fs: &mut HostFs) -> Result {
    names_until(fs, |grown, deeper| grown > 1 && deeper == 1)
}

fn full_node(fs: &mut HostFs) -> Result {
    names_until(fs, |grown, deeper| grown > 1 && deeper == 2)
}

/// The name that makes `/names` grow.
fn next(fs: &mut HostFs) -> Result<String> {
    let link = fs.resolve("/next")?;
    let target = fs.fs.read_link(&link)?;
    Ok(String::from_utf8_lossy(&target).into_owned())
}

fn link_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.link("/f", &name)
}

fn rename_to_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.rename("/f", &name)
}

fn move_to_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.rename("/d", &name)
}

fn mkdir_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.mkdir(&name, 0o755)
}

fn create_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.create(&name, 0o600).map(drop)
}

fn symlink_next(fs: &mut HostFs) -> Result {
    let name = next(fs)?;
    fs.symlink(&name, &[b'y'; 500])
}

/// A file of `count` pieces with a hole behind each.
fn pieces(fs: &mut HostFs, count: u64) -> Result {
    fs.create("/p", 0o644)?;
    for n in 0..count {
        fs.write("/p", n << 12, &[n as u8 | 1; 1024])?;
        if n % 50 == 0 {
            fs.flush_all()?;
        }
    }
    fs.sync()
}

/// One extent more and the inode has no room for it.
fn full_inode(fs: &mut HostFs) -> Result {
    pieces(fs, 4)
}

/// One more and its only leaf has none: 84 fit.
fn full_extent_leaf(fs: &mut HostFs) -> Result {
    pieces(fs, 84)
}

/// One more and the root, which names four leaves, has none.
fn full_extent_root(fs: &mut HostFs) -> Result {
    pieces(fs, 4 * 84)
}

fn one_piece_more(fs: &mut HostFs) -> Result {
    let end = fs.resolve("/p")?.disk_size();
    fs.write("/p", (end + 4095) & !4095, &[0xee; 1024])
}

/// The operations. Directories and files of other forms than their names say are made by the setups.
pub const CASES: &[Case] = &[
    case(
        "create",
        some_files,
        |fs| fs.create("/d/new", 0o600).map(drop),
        Nothing,
        (0, 1),
    ),
    case(
        "mkdir",
        some_files,
        |fs| fs.mkdir("/d/new", 0o700),
        Nothing,
        (1, 1),
    ),
    case(
        "fast symlink",
        some_files,
        |fs| fs.symlink("/d/new", &[b'x'; 59]),
        Nothing,
        (0, 1),
    ),
    case(
        "slow symlink",
        some_files,
        |fs| fs.symlink("/d/new", &[b'x'; 60]),
        Nothing,
        (1, 1),
    ),
    case(
        "link",
        some_files,
        |fs| fs.link("/f", "/d/new"),
        Nothing,
        (0, 0),
    ),
    case(
        "rename",
        some_files,
        |fs| fs.rename("/f", "/e/new"),
        Nothing,
        (0, 0),
    ),
    case(
        "rename over a file",
        some_files,
        |fs| fs.rename("/f", "/g"),
        Nothing,
        (0, 0),
    ),
    case(
        "rename over a directory",
        some_files,
        |fs| fs.rename("/d/sub", "/e"),
        Nothing,
        (0, 0),
    ),
    case(
        "move a directory",
        some_files,
        |fs| fs.rename("/d", "/e/d"),
        Nothing,
        (0, 0),
    ),
    case("unlink", some_files, |fs| fs.unlink("/f"), Nothing, (0, 0)),
    case(
        "rmdir",
        some_files,
        |fs| fs.rmdir("/d/sub"),
        Nothing,
        (0, 0),
    ),
    case(
        "unlink of an open file",
        some_files,
        unlink_open,
        Nothing,
        (0, 0),
    ),
    on(
        ORPHAN_FILE,
        case(
            "unlink of an open file, orphan file",
            some_files,
            unlink_open,
            Nothing,
            (0, 0),
        ),
    ),
    case("attributes", some_files, attributes, Nothing, (0, 0)),
    on(
        LINEAR,
        case(
            "name in a new block",
            full_first_block,
            link_next,
            Nothing,
            (1, 0),
        ),
    ),
    case(
        "name that makes an index",
        full_first_block,
        link_next,
        Nothing,
        (2, 0),
    ),
    case(
        "name that splits a leaf",
        full_leaf,
        link_next,
        Nothing,
        (1, 0),
    ),
    case(
        "name that makes an index deeper",
        full_root,
        link_next,
        Nothing,
        (2, 0),
    ),
    case(
        "name that splits a node",
        full_node,
        link_next,
        Nothing,
        (2, 0),
    ),
    on(
        LINEAR,
        case(
            "rename to a name in a new block",
            full_first_block,
            rename_to_next,
            Nothing,
            (1, 0),
        ),
    ),
    case(
        "rename that makes an index",
        full_first_block,
        rename_to_next,
        Nothing,
        (2, 0),
    ),
    case(
        "rename that makes an index deeper",
        full_root,
        rename_to_next,
        Nothing,
        (2, 0),
    ),
    case(
        "directory moved, a node split",
        full_node,
        move_to_next,
        Nothing,
        (2, 0),
    ),
    case(
        "mkdir that makes an index",
        full_first_block,
        mkdir_next,
        Nothing,
        (3, 1),
    ),
    case(
        "mkdir that splits a node",
        full_node,
        mkdir_next,
        Nothing,
        (3, 1),
    ),
    case(
        "create that splits a leaf",
        full_leaf,
        create_next,
        Nothing,
        (1, 1),
    ),
    case(
        "slow symlink that makes an index",
        full_first_block,
        symlink_next,
        Nothing,
        (3, 1),
    ),
    case(
        "first write",
        some_files,
        |fs| fs.write("/empty", 0, &[1; 5000]),
        Part,
        (11, 0),
    ),
    case(
        "append",
        some_files,
        |fs| fs.write("/f", 5000, &[1; 5000]),
        Part,
        (11, 0),
    ),
    case(
        "far write",
        some_files,
        |fs| fs.write("/f", 1 << 20, &[1; 1500]),
        Part,
        (2, 0),
    ),
    case(
        "overwrite",
        some_files,
        |fs| fs.write("/f", 10, &[1; 4000]),
        Nothing,
        (0, 0),
    ),
    case("write by a mapping", full_inode, mapped_hole, Part, (7, 0)),
    case(
        "piece with which the tree gets a node",
        full_inode,
        one_piece_more,
        Part,
        (7, 0),
    ),
    case(
        "piece that splits a leaf",
        full_extent_leaf,
        one_piece_more,
        Part,
        (8, 0),
    ),
    case(
        "piece with which the tree gets deeper",
        full_extent_root,
        one_piece_more,
        Part,
        (9, 0),
    ),
    case(
        "pieces inside",
        full_extent_root,
        pieces_inside,
        Part,
        (18, 0),
    ),
    case(
        "direct first write",
        some_files,
        |fs| fs.write_direct("/empty", 0, &[1; 4096]),
        Part,
        (4, 0),
    ),
    case(
        "direct overwrite",
        some_files,
        |fs| fs.write_direct("/f", 0, &[1; 4096]),
        Nothing,
        (0, 0),
    ),
    case(
        "direct far write",
        some_files,
        |fs| fs.write_direct("/f", 1 << 20, &[1; 2048]),
        Part,
        (2, 0),
    ),
    case(
        "direct piece, deeper tree",
        full_extent_root,
        direct_piece,
        Part,
        (9, 0),
    ),
    case(
        "truncate up",
        some_files,
        |fs| fs.truncate("/f", 1 << 20),
        Nothing,
        (0, 0),
    ),
    case(
        "truncate down",
        some_files,
        |fs| fs.truncate("/f", 1500),
        Nothing,
        (0, 0),
    ),
    case(
        "truncate to nothing",
        full_extent_root,
        |fs| fs.truncate("/p", 0),
        Nothing,
        (0, 0),
    ),
    case(
        "truncate in a hole",
        full_extent_root,
        |fs| fs.truncate("/p", 3 << 10),
        Nothing,
        (0, 0),
    ),
    case(
        "unlink of a file with a tree",
        full_extent_root,
        |fs| fs.unlink("/p"),
        Nothing,
        (0, 0),
    ),
    case(
        "delayed data, then names",
        delayed_and_full_block,
        delayed_then_names,
        Part,
        (13, 0),
    ),
];

fn unlink_open(fs: &mut HostFs) -> Result {
    let ino = fs.hold("/f")?;
    fs.unlink("/f")?;
    fs.write_inode(ino, 0, &[3; 2000])?;
    fs.sync()?;
    fs.release(ino)
}

fn attributes(fs: &mut HostFs) -> Result {
    let changes = AttributeChanges {
        mode: Some(0o4711),
        uid: Some(70_000),
        gid: Some(5),
        ..AttributeChanges::default()
    };
    fs.set_attributes("/f", &changes)
}

/// A page of the hole behind the first piece.
fn mapped_hole(fs: &mut HostFs) -> Result {
    fs.write_mapped("/p", 1 << 10, &[5; 1024])
}

fn pieces_inside(fs: &mut HostFs) -> Result {
    [2, 60, 120, 180]
        .into_iter()
        .try_for_each(|n| fs.write("/p", (n << 12) + 2048, &[9; 1024]))
}

fn direct_piece(fs: &mut HostFs) -> Result {
    let end = fs.resolve("/p")?.disk_size();
    fs.write_direct("/p", (end + 4095) & !4095, &[0xee; 1024])
}

fn delayed_and_full_block(fs: &mut HostFs) -> Result {
    full_first_block(fs)?;
    fs.create("/empty", 0o644).map(drop)
}

/// Data that is not written back yet keeps its space from what comes after it.
fn delayed_then_names(fs: &mut HostFs) -> Result {
    fs.write("/empty", 0, &[6; 5000])?;
    match link_next(fs) {
        // The second time, when there was no space for something else.
        Err(Error::Exists) => Ok(()),
        done => done,
    }
}
