// SPDX-License-Identifier: GPL-2.0

//! What may be there after a crash.
//!
//! Names: those after some number of steps, at least as many as were made durable. Data: each byte of
//! a file is one that it had at some time since it was made durable; a size is one that it had, or
//! on the way from one to the next. A truncation that is seen has happened: nothing is seen of what
//! it cut off. One that is not seen may have zeroed what it takes away. A file that has taken another's name has all its data. So a byte of another file, of
//! a block's former life, or of before a durable change is a violation, as is a name too many or
//! too few.

use crate::model::{parent_of, Kind, Node, Snapshot, DEVICE};
use crate::record::History;
use crate::workload::Step;
use host_core::hostfs::{Entry, Tree, Xattrs};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// What must be there after a cut.
struct Promises<'h> {
    history: &'h History,
    /// The steps whose names must be there, and those that may.
    names: RangeInclusive<usize>,
    /// The step after which each file's data is durable; 0 if not named.
    data: BTreeMap<Node, usize>,
}

/// What is durable of a node when it is.
#[derive(PartialEq)]
struct View<'s> {
    /// Its links: directory and name.
    links: Vec<(Option<Node>, &'s str)>,
    mode: Option<u16>,
    xattrs: Option<&'s Xattrs>,
    contents: Option<&'s Rc<Vec<u8>>>,
    /// The names in it.
    names: Vec<(&'s str, Node)>,
}

impl<'s> View<'s> {
    fn new(snapshot: &'s Snapshot, node: Node) -> Self {
        let last = |path: &'s str| path.rsplit('/').next().unwrap_or(path);
        let (mut links, mut names) = (Vec::new(), Vec::new());
        for (path, &other) in snapshot.names.iter().filter(|(path, _)| !path.is_empty()) {
            let parent = snapshot.find(parent_of(path));
            if other == node {
                links.push((parent, last(path)));
            }
            if parent == Some(node) {
                names.push((last(path), other));
            }
        }
        Self {
            links,
            mode: snapshot.objects.get(&node).map(|object| object.mode),
            xattrs: snapshot.objects.get(&node).map(|object| &object.xattrs),
            contents: snapshot.contents(node),
            names,
        }
    }
}

fn creates_or_cuts(step: &Step) -> bool {
    matches!(
        step,
        Step::Create(_) | Step::Temporary(_) | Step::Truncate(..)
    )
}

impl<'h> Promises<'h> {
    fn new(history: &'h History, cut: usize) -> Self {
        let steps = &history.steps;
        let done = steps
            .iter()
            .take_while(|taken| taken.events.end <= cut)
            .count();
        let begun = steps
            .get(done)
            .is_some_and(|taken| taken.events.start < cut);
        let mut promises = Self {
            history,
            names: 0..=done + usize::from(begun),
            data: BTreeMap::new(),
        };
        for step in 0..done {
            promises.add(step);
        }
        promises
    }

    /// The last of the first `count` steps that did something to a node, counted from 1.
    fn last_change(&self, node: Node, count: usize, of: impl Fn(&Step) -> bool) -> usize {
        let snapshots = &self.history.snapshots;
        let changed = |step: &usize| {
            View::new(&snapshots[*step], node) != View::new(&snapshots[*step + 1], node)
        };
        (0..count)
            .rev()
            .find(|step| of(&self.history.steps[*step].step) && changed(step))
            .map_or(0, |step| step + 1)
    }

    fn add(&mut self, at: usize) {
        let now = &self.history.snapshots[at];
        let (node, names) = match &self.history.steps[at].step {
            Step::Sync => {
                self.data = now.objects.keys().map(|&node| (node, at)).collect();
                self.names = at..=*self.names.end();
                return;
            }
            Step::Fsync(path) => {
                let node = now.find(path).unwrap();
                (node, self.last_change(node, at, |_| true))
            }
            Step::Fdatasync(path) => {
                let node = now.find(path).unwrap();
                // The names in a directory are its data.
                let is_dir = now.objects[&node].kind == Kind::Dir;
                let needed = |step: &Step| is_dir || creates_or_cuts(step);
                (node, self.last_change(node, at, needed))
            }
            _ => return,
        };
        self.data.insert(node, at);
        self.names = names.max(*self.names.start())..=*self.names.end();
    }

    /// Whether this is what `count` steps leave, and data that may be there.
    fn check(&self, count: usize, tree: &Tree, block: u64) -> Result<(), String> {
        let names = &self.history.snapshots[count];
        same_names(names, tree)?;
        for (path, &node) in &names.names {
            let entry = &tree[path];
            same_inode(names, path, node, entry)?;
            if names.contents(node).is_some() {
                self.data_of(node, count, block)
                    .check(&entry.contents)
                    .map_err(|why| format!("{path:?}: {why}"))?;
            }
        }
        Ok(())
    }

    /// What the data of a file may be if the names are those after `count` steps.
    fn data_of(&self, node: Node, count: usize, block: u64) -> Data {
        let (steps, snapshots) = (&self.history.steps, &self.history.snapshots);
        let mut first = self.data.get(&node).copied().unwrap_or(0);
        let (mut cuts, mut end, mut strict) = (Vec::new(), *self.names.end(), true);
        let mut zeroed = usize::MAX;
        for (at, taken) in steps.iter().enumerate().take(*self.names.end()) {
            let before = &snapshots[at];
            let is_it = |path: &str| before.find(path) == Some(node);
            match &taken.step {
                // What has taken another's place is whole.
                Step::Rename(old, new)
                    if is_it(old)
                        && before.find(new).is_some_and(|there| there != node)
                        && at < count =>
                {
                    first = first.max(at);
                }
                Step::Truncate(path, size) if is_it(path) && at < count => {
                    cuts.push((at + 1, *size as usize));
                }
                // It is not seen, so neither is a size that came after it. But what it takes
                // away in the last block may be zeroes already, as in C ext4.
                Step::Truncate(path, size) if is_it(path) => {
                    end = end.min(at);
                    zeroed = zeroed.min(*size as usize);
                }
                Step::Direct(path, ..) if is_it(path) => strict = false,
                Step::Submit | Step::Scatter => strict = false,
                _ => {}
            }
        }
        let truncated = cuts.last().map_or(0, |(step, _)| *step);
        let all = first..=*self.names.end();
        let version = |step: usize| snapshots[step].contents(node).cloned();
        Data {
            sizes: (first.max(truncated)..=end.max(first.max(truncated)))
                .filter_map(version)
                .map(|contents| contents.len())
                .collect(),
            versions: all
                .filter_map(|step| Some((step, version(step)?)))
                .collect(),
            first,
            strict: strict && cuts.is_empty(),
            cuts,
            zeroed,
            block: block as usize,
        }
    }
}

/// What a file may hold.
struct Data {
    /// The sizes it had, in order.
    sizes: Vec<usize>,
    /// Its contents after each step that counts.
    versions: Vec<(usize, Rc<Vec<u8>>)>,
    first: usize,
    /// Truncations that have happened: after which step, and to what size.
    cuts: Vec<(usize, usize)>,
    /// From here on there may be zeroes.
    zeroed: usize,
    /// All data that a size covers arrives with it: there are no holes where there were none.
    strict: bool,
    block: usize,
}

impl Data {
    fn check(&self, found: &[u8]) -> Result<(), String> {
        let size = found.len();
        let between = |pair: &[usize]| pair[0] < size && size < pair[1] && size % self.block == 0;
        if !self.sizes.contains(&size) && !self.sizes.windows(2).any(between) {
            return Err(format!("{size} bytes, and it had {:?}", self.sizes));
        }
        if self
            .versions
            .iter()
            .any(|(_, version)| ***version == *found)
            && self.cuts.is_empty()
        {
            return Ok(());
        }
        for (at, &byte) in found.iter().enumerate() {
            if !self.allows(at, byte) {
                let end = found.iter().skip(at).position(|&other| other != byte);
                return Err(format!(
                    "byte {at} of {size} is {byte:#04x} ({} of these), which it was not since step {}",
                    end.unwrap_or(size - at),
                    self.first
                ));
            }
        }
        Ok(())
    }

    fn allows(&self, at: usize, byte: u8) -> bool {
        let cut = self.cuts.iter().filter(|(_, size)| *size <= at);
        let from = cut.map(|(step, _)| *step).max().unwrap_or(0);
        let mut versions = self.versions.iter().filter(|(step, _)| *step >= from);
        versions.any(|(_, version)| match version.get(at) {
            Some(&was) => was == byte,
            None => byte == 0 && (!self.strict || at >= self.zeroed),
        })
    }
}

fn same_names(names: &Snapshot, tree: &Tree) -> Result<(), String> {
    let missing = names.names.keys().find(|path| !tree.contains_key(*path));
    let extra = tree.keys().find(|path| !names.names.contains_key(*path));
    match (missing, extra) {
        (Some(path), _) => Err(format!("{path:?} is not there")),
        (_, Some(path)) => Err(format!("{path:?} is there")),
        _ => Ok(()),
    }
}

fn same_inode(names: &Snapshot, path: &str, node: Node, entry: &Entry) -> Result<(), String> {
    let object = &names.objects[&node];
    let kind = match object.kind {
        Kind::File(_) => 0o100_000,
        Kind::Dir => 0o040_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::Device => 0o020_000,
    };
    let (mode, links) = (kind | object.mode, names.links(node));
    if entry.mode != mode || entry.links != links {
        return Err(format!(
            "{path:?}: mode {:o} and {} links instead of {mode:o} and {links}",
            entry.mode, entry.links
        ));
    }
    if entry.xattrs != object.xattrs {
        let (found, wanted) = (entry.xattrs.keys(), object.xattrs.keys());
        return Err(format!(
            "{path:?}: attributes {found:?} instead of {wanted:?}, or other values"
        ));
    }
    match &object.kind {
        Kind::Symlink(target) if **target != entry.contents => {
            Err(format!("{path:?}: it points elsewhere"))
        }
        Kind::Device if format!("{DEVICE:?}").as_bytes() != entry.contents => {
            Err(format!("{path:?}: another device"))
        }
        _ => Ok(()),
    }
}

/// Whether a tree is exactly this.
pub fn exactly(snapshot: &Snapshot, tree: &Tree) -> Result<(), String> {
    same_names(snapshot, tree)?;
    for (path, &node) in &snapshot.names {
        let entry = &tree[path];
        same_inode(snapshot, path, node, entry)?;
        match snapshot.contents(node) {
            Some(contents) if **contents != entry.contents => {
                return Err(format!("{path:?}: other contents"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a tree may be there if power failed after `cut` events.
pub fn check(history: &History, cut: usize, tree: &Tree, block: u64) -> Result<(), String> {
    let promises = Promises::new(history, cut);
    let mut why = Vec::new();
    for count in promises.names.clone().rev() {
        match promises.check(count, tree, block) {
            Ok(()) => return Ok(()),
            Err(reason) => why.push(format!("not what {count} steps leave: {reason}")),
        }
    }
    Err(why.join("; "))
}
