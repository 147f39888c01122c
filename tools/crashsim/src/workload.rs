// SPDX-License-Identifier: GPL-2.0

//! What is done before power fails: every sequence of a few actions, each followed by a way to make
//! it durable, or by none. The bounds are those of CrashMonkey's ACE: few operations on a young
//! file system, few files in few directories.

use host_core::hostfs::HELD;
use std::fmt;

/// One call, or one thing that the kernel does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes an empty file.
    Create(String),
    /// As [`Self::Create`], unless there is one.
    Ensure(String),
    /// Makes a directory.
    Mkdir(String),
    /// Makes a symbolic link with this target.
    Symlink(String, Vec<u8>),
    /// Makes a character device.
    Mknod(String),
    /// Makes a file without a name in a directory (`O_TMPFILE`), and holds it.
    Temporary(String),
    /// Opens a file: until [`Self::Release`] it outlives its names, and is found as [`HELD`].
    Hold(String),
    /// Closes the file that was opened last.
    Release,
    /// Gives the first path's file the second as a name.
    Link(String, String),
    /// Takes a name away.
    Unlink(String),
    /// Removes an empty directory.
    Rmdir(String),
    /// Renames, replacing what is there.
    Rename(String, String),
    /// Writes that many bytes at an offset, through the page cache.
    Write(String, u64, usize),
    /// Writes that many bytes behind the end.
    Append(String, usize),
    /// As [`Self::Write`], through a mapping of the file.
    Mapped(String, u64, usize),
    /// As [`Self::Write`], around the page cache.
    Direct(String, u64, usize),
    /// Sets the size.
    Truncate(String, u64),
    /// Sets the permissions.
    Chmod(String, u16),
    /// Removes this extended attribute of the user's.
    RemoveXattr(String, &'static str),
    /// Makes a file or directory durable.
    Fsync(String),
    /// Makes a file's data durable.
    Fdatasync(String),
    /// Makes everything durable.
    Sync,
    /// The journal commits by itself; data stays in memory.
    Commit,
    /// All dirty data is written back; nobody waits for its durability.
    Writeback,
    /// All dirty data is on its way to the device, and arrives when somebody waits for it.
    Submit,
    /// As [`Self::Writeback`], with all writes of a file on their way at once, ending in reverse
    /// order, and a commit after each.
    Scatter,
}

/// How an action is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persist {
    /// Not at all.
    None,
    /// `fsync` of the file.
    Fsync,
    /// `fdatasync` of the file.
    Fdatasync,
    /// `fsync` of the directory that has the name.
    Parent,
    /// `fdatasync` of that directory.
    ParentData,
    /// `fsync` of the directory that had the name before.
    OldParent,
    /// `sync`.
    Sync,
    /// Nobody asks, but the journal commits.
    Commit,
    /// Nobody asks, but the data is written back.
    Writeback,
    /// Nobody asks, but the data is on its way.
    Submit,
}

impl Persist {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Fsync,
        Self::Fdatasync,
        Self::Parent,
        Self::ParentData,
        Self::OldParent,
        Self::Sync,
        Self::Commit,
        Self::Writeback,
        Self::Submit,
    ];

    /// Those that programs can ask for.
    pub const CALLS: [Self; 7] = [
        Self::None,
        Self::Fsync,
        Self::Fdatasync,
        Self::Parent,
        Self::ParentData,
        Self::OldParent,
        Self::Sync,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fsync => "fsync",
            Self::Fdatasync => "fdatasync",
            Self::Parent => "parent",
            Self::ParentData => "parentdata",
            Self::OldParent => "oldparent",
            Self::Sync => "sync",
            Self::Commit => "commit",
            Self::Writeback => "writeback",
            Self::Submit => "submit",
        }
    }
}

/// A few calls that belong together, and what to make durable after them.
#[derive(Clone, Debug)]
pub struct Action {
    /// What it is called.
    pub name: &'static str,
    /// The calls.
    pub steps: Vec<Step>,
    /// The file or directory that it changed, if it is still there.
    file: Option<&'static str>,
    /// The directory with its name, and the one that had it before if that is another.
    parent: &'static str,
    old_parent: Option<&'static str>,
}

impl Action {
    /// The ways to make it durable that programs have.
    pub fn calls(&self) -> Vec<Persist> {
        let mut calls = Persist::CALLS.to_vec();
        calls.retain(|how| self.persist(*how).is_some());
        calls
    }

    fn persist(&self, how: Persist) -> Option<Option<Step>> {
        let file = || self.file.map(String::from);
        Some(match how {
            Persist::None => None,
            Persist::Fsync => Some(Step::Fsync(file()?)),
            Persist::Fdatasync => Some(Step::Fdatasync(file()?)),
            Persist::Parent => Some(Step::Fsync(self.parent.into())),
            Persist::ParentData => Some(Step::Fdatasync(self.parent.into())),
            Persist::OldParent => Some(Step::Fsync(self.old_parent?.into())),
            Persist::Sync => Some(Step::Sync),
            Persist::Commit => Some(Step::Commit),
            Persist::Writeback => Some(Step::Writeback),
            Persist::Submit => Some(Step::Submit),
        })
    }
}

/// The name of a link in the large directory.
pub fn many(n: usize) -> String {
    format!("/many/{n:03}{}", "-long-name".repeat(19))
}

fn action(
    name: &'static str,
    steps: Vec<Step>,
    file: impl Into<Option<&'static str>>,
    parent: &'static str,
) -> Action {
    Action {
        name,
        steps,
        file: file.into(),
        parent,
        old_parent: None,
    }
}

fn moves(name: &'static str, old: &str, new: &'static str, dirs: [&'static str; 2]) -> Action {
    Action {
        old_parent: (dirs[0] != dirs[1]).then_some(dirs[0]),
        ..action(
            name,
            vec![Step::Rename(old.into(), new.into())],
            new,
            dirs[1],
        )
    }
}

fn name_actions() -> Vec<Action> {
    use Step::{Chmod, Create, Link, Mkdir, RemoveXattr, Rmdir, Symlink, Unlink};
    let s = String::from;
    // A block of metadata that begins with the journal's magic number has to be escaped in the log.
    let mut long = vec![0xc0, 0x3b, 0x39, 0x98];
    long.extend_from_slice(&[b'x'; 700]);
    vec![
        action("creat", vec![Create(s("/new"))], "/new", ""),
        action("creat_in", vec![Create(s("/A/new"))], "/A/new", "/A"),
        action("mkdir", vec![Mkdir(s("/dir"))], "/dir", ""),
        action("mkdir_in", vec![Mkdir(s("/A/dir"))], "/A/dir", "/A"),
        action(
            "symlink",
            vec![Symlink(s("/ln"), s("foo").into())],
            "/ln",
            "",
        ),
        action(
            "symlink_long",
            vec![Symlink(s("/A/ln"), long.clone())],
            "/A/ln",
            "/A",
        ),
        action("link", vec![Link(s("/foo"), s("/hard"))], "/hard", ""),
        action(
            "link_in",
            vec![Link(s("/foo"), s("/A/hard"))],
            "/A/hard",
            "/A",
        ),
        action(
            "link_across",
            vec![Link(s("/A/foo"), s("/B/hard"))],
            "/B/hard",
            "/B",
        ),
        action(
            "link_many",
            vec![Link(s("/bar"), many(100))],
            "/bar",
            "/many",
        ),
        action("unlink", vec![Unlink(s("/foo"))], None, ""),
        action("unlink_small", vec![Unlink(s("/bar"))], None, ""),
        action("unlink_in", vec![Unlink(s("/A/foo"))], None, "/A"),
        action("unlink_symlink", vec![Unlink(s("/sym"))], None, ""),
        action("unlink_many", vec![Unlink(many(4))], None, "/many"),
        action("rmdir", vec![Rmdir(s("/B"))], None, ""),
        action("rmdir_in", vec![Rmdir(s("/A/sub"))], None, "/A"),
        // Blocks of metadata that are in the log when they are freed.
        action(
            "mkdir_rmdir",
            vec![Mkdir(s("/dir")), Step::Commit, Rmdir(s("/dir"))],
            None,
            "",
        ),
        action(
            "symlink_unlink",
            vec![Symlink(s("/A/ln"), long), Step::Commit, Unlink(s("/A/ln"))],
            None,
            "/A",
        ),
        action("mknod", vec![Step::Mknod(s("/A/dev"))], None, "/A"),
        action("chmod", vec![Chmod(s("/foo"), 0o600)], "/foo", ""),
        // A block of attributes goes with the last of them, and one that two files share is copied.
        action(
            "removexattr",
            vec![RemoveXattr(s("/foo"), "large")],
            "/foo",
            "",
        ),
        action(
            "removexattr_shared",
            vec![RemoveXattr(s("/bar"), "large")],
            "/bar",
            "",
        ),
        moves("rename", "/foo", "/moved", ["", ""]),
        moves("rename_over", "/foo", "/bar", ["", ""]),
        action(
            "rename_same",
            vec![
                Link(s("/foo"), s("/hard")),
                Step::Rename(s("/foo"), s("/hard")),
            ],
            "/hard",
            "",
        ),
        moves("rename_up_over", "/A/foo", "/foo", ["/A", ""]),
        moves("rename_down", "/foo", "/B/foo", ["", "/B"]),
        moves("rename_many", "/foo", "/many/short", ["", "/many"]),
        moves("rename_dir", "/A", "/Z", ["", ""]),
        moves("rename_dir_across", "/A/sub", "/B/sub", ["/A", "/B"]),
        moves("rename_dir_over", "/A/sub", "/B", ["/A", ""]),
    ]
}

/// Files that are open while their names go or come.
fn open_actions(block: u64) -> Vec<Action> {
    use Step::{Commit, Hold, Link, Release, Rename, Submit, Temporary, Truncate, Unlink, Write};
    let (b, n) = (block, block as usize);
    let old = || String::from("/foo");
    let small = || String::from("/bar");
    let held = || String::from(HELD);
    let replaced = vec![Hold(small()), Rename(old(), small())];
    let temporary = vec![Temporary("/A".into()), Write(held(), 0, n + 9)];
    let named = vec![Link(held(), "/A/tmp".into())];
    vec![
        action(
            "unlink_open",
            vec![Hold(old()), Unlink(old()), Commit, Release],
            None,
            "",
        ),
        action(
            "unlink_held",
            vec![Hold("/A/foo".into()), Unlink("/A/foo".into())],
            HELD,
            "/A",
        ),
        action(
            "write_unlinked",
            vec![Hold(old()), Unlink(old()), Write(held(), b + 100, 2 * n)],
            HELD,
            "",
        ),
        action(
            "truncate_unlinked",
            vec![
                Hold(old()),
                Unlink(old()),
                Truncate(held(), b + 17),
                Commit,
                Release,
            ],
            None,
            "",
        ),
        // As the file's name goes, its data is on its way; its blocks are freed when that has arrived.
        action(
            "unlink_written",
            vec![
                Hold(old()),
                Write(old(), b + 100, 2 * n),
                Submit,
                Unlink(old()),
                Commit,
                Release,
            ],
            None,
            "",
        ),
        action("rename_over_held", replaced.clone(), "/bar", ""),
        action(
            "rename_over_open",
            [replaced, vec![Commit, Release]].concat(),
            "/bar",
            "",
        ),
        action("temporary", temporary.clone(), HELD, "/A"),
        action(
            "temporary_link",
            [temporary, named].concat(),
            "/A/tmp",
            "/A",
        ),
    ]
}

fn data_actions(block: u64) -> Vec<Action> {
    use Step::{Append, Direct, Ensure, Mapped, Rename, Truncate, Write};
    let (b, n) = (block, block as usize);
    let old = || String::from("/foo");
    let file = |name, steps| action(name, steps, "/foo", "");
    let new = || String::from("/new");
    let s = String::from;
    // More pieces than the inode has room for: a node of the extent tree, in the log.
    let mut tree = vec![Ensure(s("/tree"))];
    tree.extend((0..6).map(|at| Write(s("/tree"), 2 * at * b, n)));
    tree.extend([Step::Writeback, Step::Commit]);
    vec![
        file("write_aligned", vec![Write(old(), 0, n)]),
        file("write_unaligned", vec![Write(old(), 100, n + 200)]),
        file("write_over_end", vec![Write(old(), 2 * b + 200, 2 * n)]),
        file(
            "write_twice",
            vec![Write(old(), 50, n), Write(old(), b - 100, n)],
        ),
        file("append", vec![Append(old(), n * 3 / 2)]),
        file("write_far", vec![Write(old(), 6 * b + 17, n)]),
        action("append_small", vec![Append("/bar".into(), 77)], "/bar", ""),
        action(
            "write_new",
            vec![Ensure(new()), Write(new(), 0, 2 * n + 9)],
            "/new",
            "",
        ),
        file(
            "replace",
            vec![Ensure(new()), Write(new(), 0, n + 33), Rename(new(), old())],
        ),
        file("truncate", vec![Truncate(old(), b + 17)]),
        file("truncate_zero", vec![Truncate(old(), 0)]),
        file("truncate_up", vec![Truncate(old(), 5 * b + 5)]),
        file(
            "rewrite",
            vec![Truncate(old(), 0), Write(old(), 0, n + 100)],
        ),
        action("tree", tree.clone(), "/tree", ""),
        action(
            "tree_gone",
            [tree, vec![Truncate(s("/tree"), 0)]].concat(),
            "/tree",
            "",
        ),
        file("direct", vec![Direct(old(), 0, n)]),
        file("direct_append", vec![Direct(old(), 3 * b, 2 * n)]),
        file("direct_far", vec![Direct(old(), 8 * b, n)]),
        file("mmap", vec![Mapped(old(), 50, 300)]),
        file(
            "mmap_hole",
            vec![
                Truncate(old(), 5 * b + 5),
                Mapped(old(), 3 * b + 100, n + 50),
            ],
        ),
        file("mmap_tail", vec![Mapped(old(), 2 * b + 50, 300)]),
    ]
}

/// Every action, on files made of blocks of `block` bytes.
pub fn actions(block: u64) -> Vec<Action> {
    let mut all = name_actions();
    all.extend(open_actions(block));
    all.extend(data_actions(block));
    all
}

/// How the kernel goes on by itself after the last action, until everything is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The journal commits before the data is written.
    CommitFirst,
    /// All data is on its way at once; see [`Step::Scatter`].
    Scattered,
}

/// A sequence of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The actions, by their place in [`actions`], and how each is made durable.
    pub parts: Vec<(usize, Persist)>,
    /// What comes after them.
    pub ending: Ending,
}

/// The calls of a workload.
#[derive(Clone, Debug)]
pub struct Steps {
    /// All of them.
    pub steps: Vec<Step>,
    /// The first one of the last action.
    pub last: usize,
}

impl Workload {
    /// The calls; `None` if an action cannot be made durable that way.
    pub fn steps(&self, actions: &[Action]) -> Option<Steps> {
        let (mut steps, mut last) = (Vec::new(), 0);
        for (index, persist) in &self.parts {
            let action = actions.get(*index)?;
            last = steps.len();
            steps.extend(action.steps.iter().cloned());
            steps.extend(action.persist(*persist)?);
        }
        steps.extend(match self.ending {
            Ending::CommitFirst => vec![Step::Commit, Step::Writeback, Step::Commit],
            Ending::Scattered => vec![Step::Scatter, Step::Commit],
        });
        Some(Steps { steps, last })
    }

    /// What [`Self::parse`] reads.
    pub fn name(&self, actions: &[Action]) -> String {
        let part = |(index, persist): &(usize, Persist)| {
            format!("{}+{}", actions[*index].name, persist.name())
        };
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        let ending = match self.ending {
            Ending::CommitFirst => "",
            Ending::Scattered => ",scatter",
        };
        format!("{}{ending}", parts.join(","))
    }

    /// The workload of this name.
    pub fn parse(name: &str, actions: &[Action]) -> Option<Self> {
        let (mut parts, mut ending) = (Vec::new(), Ending::CommitFirst);
        for part in name.split(',') {
            if part == "scatter" {
                ending = Ending::Scattered;
                continue;
            }
            let (action, persist) = part.split_once('+')?;
            let index = actions.iter().position(|known| known.name == action)?;
            let persist = Persist::ALL.into_iter().find(|how| how.name() == persist)?;
            parts.push((index, persist));
        }
        Some(Self { parts, ending })
    }

    /// What is left when some of the actions are left out: fewer first.
    pub fn smaller(&self) -> Vec<Self> {
        let count = self.parts.len();
        let mut masks: Vec<u32> = (1..(1 << count) - 1).collect();
        masks.sort_by_key(|mask| mask.count_ones());
        let chosen = |mask: u32| {
            let parts = self.parts.iter().enumerate();
            let kept = parts.filter(|(n, _)| mask & (1 << n) != 0);
            Self {
                parts: kept.map(|(_, part)| *part).collect(),
                ending: self.ending,
            }
        };
        masks.into_iter().map(chosen).collect()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symlink(path, target) => write!(f, "Symlink({path:?}, {} bytes)", target.len()),
            other => write!(f, "{other:?}"),
        }
    }
}
