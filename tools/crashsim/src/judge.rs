// SPDX-License-Identifier: GPL-2.0

//! Recovers a crashed disk with our code and with e2fsck, and compares.
//!
//! Each crashed disk is mounted by us and, on a copy, replayed by e2fsprogs: the two results must be
//! the same to the byte, the journal and the superblock's statistics aside, and `e2fsck -fn` must find
//! nothing in ours. Where they are not the same, orphans were left: then what e2fsprogs has replayed is
//! mounted by us, and finished by `e2fsck -fy`, and all must agree. What is the same for many crashed
//! disks is judged once. Besides, `e2fsck -fy` does all of it by itself, for each crashed disk or for
//! some, and must come to the same.

use crate::image::{shorten, Disk};
use crate::record::options;
use crate::replayer::Replayer;
use host_core::core::mount::MountOptions;
use host_core::host::overlay::{Overlay, OverlayDevice, SECTOR};
use host_core::host::random;
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{self, mix, TempFile};
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// What a disk holds after recovery, or what is wrong with it.
pub type Verdict = Result<Rc<Tree>, Rc<str>>;

/// A disk's contents in short.
type Key = (u64, u64);

/// What our recovery makes of a replayed disk, and its tree.
type Replayed = Result<(Key, Rc<Tree>), Rc<str>>;

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Disks that differed from all before.
    pub distinct: u64,
    /// Runs of e2fsck.
    pub e2fsck: u64,
}

/// Judges the crashed disks of one kind.
pub struct Judge {
    disk: Disk,
    file: TempFile,
    image: std::fs::File,
    replayer: Replayer,
    /// A piece of the file.
    buffer: Vec<u8>,
    /// Whether it was judged by all means, and how.
    crashed: HashMap<Key, (bool, Verdict)>,
    replayed: HashMap<Key, Replayed>,
    clean: HashMap<Key, Result<(), Rc<str>>>,
    trees: HashMap<Key, Rc<Tree>>,
    /// What was counted so far.
    pub counts: Counts,
}

/// The sectors of the superblock: mounting counts and stamps there.
const SUPERBLOCK: std::ops::Range<u64> = 2..4;
/// How much of the file is read at once: what a processor's cache holds.
const PIECE: u64 = 128 << 10;
/// See [`Judge::judge`].
const SOME: u64 = 64;

/// Mounts, reads everything, unmounts.
fn read(device: OverlayDevice, options: &MountOptions) -> Result<Tree, String> {
    random::follow(1);
    let mounted = HostFs::mount(device, options);
    let mut fs = mounted.map_err(|error| format!("mount: {error}"))?;
    let tree = fs.tree();
    let damage = fs.fs.error_record().map_or(0, |record| record.count);
    let unmounted = fs.unmount();
    let mut tree = tree.map_err(|error| format!("reading: {error}"))?;
    shorten(&mut tree);
    unmounted.map_err(|error| format!("unmount: {error}"))?;
    match damage {
        0 => Ok(tree),
        count => Err(format!("{count} errors were reported")),
    }
}

impl Judge {
    /// For disks that began as this one.
    pub fn new(disk: &Disk) -> Self {
        let file = TempFile::with(&disk.begun);
        let image = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&file.0)
            .unwrap();
        Self {
            disk: disk.clone(),
            file,
            image,
            replayer: Replayer::new(),
            buffer: vec![0; PIECE as usize],
            crashed: HashMap::new(),
            replayed: HashMap::new(),
            clean: HashMap::new(),
            trees: HashMap::new(),
            counts: Counts::default(),
        }
    }

    fn is_log(&self, sector: u64) -> bool {
        self.disk.is_log(sector * SECTOR as u64)
    }

    /// The same for disks with the same contents, apart from `ignored` sectors.
    fn key(disk: &Overlay, ignored: impl Fn(u64) -> bool) -> Key {
        let mut key = (0u64, 0u64);
        for (&number, bytes) in disk.sectors() {
            let start = number as usize * SECTOR;
            if ignored(number) || disk.base()[start..start + SECTOR] == *bytes {
                continue;
            }
            let (mut a, mut b) = (mix(number + 1), mix(number + 1) ^ 0x5bd1_e995);
            for word in bytes.chunks_exact(8) {
                let word = u64::from_le_bytes(word.try_into().unwrap());
                a = (a ^ word)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29);
                b = (b.rotate_left(31) ^ word).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
            }
            key.0 = key.0.wrapping_add(mix(a));
            key.1 = key.1.wrapping_add(mix(b));
        }
        key
    }

    /// Recovers a crashed disk in all ways. `e2fsck -fy` does so for each disk if it is `thorough`, for
    /// one in [`SOME`] if not.
    pub fn judge(&mut self, crashed: &Overlay, thorough: bool) -> Verdict {
        let key = Self::key(crashed, |_| false);
        let known = self.crashed.get(&key);
        if let Some((_, verdict)) = known.filter(|(was_thorough, _)| *was_thorough || !thorough) {
            return verdict.clone();
        }
        self.counts.distinct += u64::from(known.is_none());
        let thorough = thorough || key.0 % SOME == 0;
        let verdict = self.recover(crashed, thorough).map_err(Rc::from);
        self.crashed.insert(key, (thorough, verdict.clone()));
        verdict
    }

    fn recover(&mut self, crashed: &Overlay, thorough: bool) -> Result<Rc<Tree>, String> {
        let (ours, tree) = self.mount(crashed).map_err(|why| format!("rext4: {why}"))?;
        self.clean(&ours)?;
        let replayed = self.replay(crashed)?;
        let result = self.key_of_result(&ours);
        let has_orphans = self.key_of_result(&replayed) != result;
        if has_orphans {
            let (theirs, their_tree) = self.finish(&replayed)?;
            if *tree != *their_tree {
                return Err(format!(
                    "rext4 and e2fsck recover different trees: {}",
                    difference(&tree, &their_tree)
                ));
            }
            if theirs != result {
                let (theirs, _) = self.mount(&replayed)?;
                return Err(self.compare(&ours, &theirs));
            }
        }
        if thorough {
            self.check(crashed, has_orphans, result, &tree)?;
        }
        Ok(tree)
    }

    /// Forgets what it knows if that is much.
    pub fn trim(&mut self) {
        const MUCH: usize = 20_000;
        if self.trees.len() > MUCH || self.crashed.len() > 50 * MUCH {
            self.forget();
        }
    }

    /// Forgets what it knows.
    pub fn forget(&mut self) {
        self.crashed.clear();
        self.replayed.clear();
        self.clean.clear();
        self.trees.clear();
    }

    /// Recovery by mounting, reading everything, unmounting.
    fn mount(&mut self, disk: &Overlay) -> Result<(Overlay, Rc<Tree>), String> {
        let device = OverlayDevice::new(disk.clone());
        let tree = read(device.clone(), &options())?;
        let after = device.with(|contents| contents.clone());
        let key = Self::key(&after, |sector| self.is_log(sector));
        let tree = self.trees.entry(key).or_insert_with(|| Rc::new(tree));
        Ok((after, tree.clone()))
    }

    /// `e2fsck -fn` of what we have recovered.
    fn clean(&mut self, ours: &Overlay) -> Result<(), String> {
        let key = Self::key(ours, |sector| self.is_log(sector));
        if let Some(known) = self.clean.get(&key) {
            return known.clone().map_err(|why| why.to_string());
        }
        let (code, text) = self.e2fsck(ours, &["-fn"]);
        self.restore(ours);
        let found = if code == 0 {
            Ok(())
        } else {
            Err(format!("e2fsck -fn after our recovery: {code}: {text}"))
        };
        self.clean.insert(key, found.clone().map_err(Rc::from));
        found
    }

    /// The replay of the journal by e2fsprogs, and nothing else.
    fn replay(&mut self, crashed: &Overlay) -> Result<Overlay, String> {
        self.write(crashed, |number| crashed.sector(number));
        let said = self.replayer.replay(&self.file.0);
        let replayed = self.read_back(Some(crashed));
        self.restore(&replayed);
        match said {
            Ok(said) if said.is_empty() => return Ok(replayed),
            Ok(_) => {}
            Err(_) => self.replayer = Replayer::new(),
        }
        // debugfs opens no disk whose bitmaps are not what they should be before the replay.
        let (code, text) = self.e2fsck(crashed, &["-y", "-E", "journal_only"]);
        let said = self.replayer.replay(&self.file.0);
        let replayed = self.read_back(None);
        self.restore(&replayed);
        if code & !1 != 0 || text.contains("? yes") {
            return Err(format!("e2fsck -E journal_only: {code}: {text}"));
        }
        match said {
            Ok(said) if said.is_empty() => Ok(replayed),
            said => Err(format!("debugfs after e2fsck -E journal_only: {said:?}")),
        }
    }

    /// What e2fsprogs has replayed: recovered by us and by all of e2fsck, the same tree.
    fn finish(&mut self, replayed: &Overlay) -> Result<(Key, Rc<Tree>), String> {
        let key = Self::key(replayed, |sector| self.is_log(sector));
        if let Some(known) = self.replayed.get(&key) {
            return known.clone().map_err(|why| why.to_string());
        }
        let result = self.judge_replayed(replayed);
        let known = result.clone().map_err(Rc::from);
        self.replayed.insert(key, known);
        result
    }

    fn judge_replayed(&mut self, replayed: &Overlay) -> Result<(Key, Rc<Tree>), String> {
        let (ours, tree) = self
            .mount(replayed)
            .map_err(|why| format!("rext4, after e2fsck's replay: {why}"))?;
        let result = self.key_of_result(&ours);
        self.check(replayed, false, result, &tree)?;
        Ok((result, tree))
    }

    /// All of `e2fsck -fy` must find nothing, and leave this result or at least this tree. Unless a
    /// commit block is torn: then it leaves alone what `has_orphans`, and finds them (see
    /// [`Replayer::replay`]).
    fn check(
        &mut self,
        disk: &Overlay,
        has_orphans: bool,
        result: Key,
        tree: &Tree,
    ) -> Result<(), String> {
        let (code, text) = self.e2fsck(disk, &["-fy"]);
        let checked = self.read_back(None);
        self.restore(&checked);
        if has_orphans && text.contains("was corrupt, replay was aborted") {
            return Ok(());
        }
        if code & !1 != 0 || has_findings(&text) {
            return Err(format!("e2fsck -fy: {code}: {text}"));
        }
        if self.key_of_result(&checked) == result {
            return Ok(());
        }
        let read_only = MountOptions {
            read_only: true,
            ..options()
        };
        let theirs = read(OverlayDevice::new(checked), &read_only)
            .map_err(|why| format!("after e2fsck -fy: {why}"))?;
        if theirs != *tree {
            return Err(format!(
                "e2fsck -fy leaves another tree: {}",
                difference(tree, &theirs)
            ));
        }
        Ok(())
    }

    /// Whether our recovery and e2fsck's need not agree on a sector.
    fn is_aside(&self, sector: u64) -> bool {
        let at = sector * SECTOR as u64;
        SUPERBLOCK.contains(&sector) || self.disk.journal_block(at).is_some()
    }

    fn key_of_result(&self, disk: &Overlay) -> Key {
        Self::key(disk, |sector| self.is_aside(sector))
    }

    /// Where our recovery and e2fsck's have not written the same.
    fn compare(&self, ours: &Overlay, theirs: &Overlay) -> String {
        let mut numbers = ours.sectors().keys().chain(theirs.sectors().keys());
        let differs =
            |number: u64| !self.is_aside(number) && ours.sector(number) != theirs.sector(number);
        let first = numbers.find(|number| differs(**number)).copied();
        format!(
            "our recovery and e2fsck's differ in block {}",
            first.unwrap_or(0) * SECTOR as u64 / self.disk.kind.block
        )
    }

    /// Runs e2fsck on these contents; [`Self::restore`] is to follow.
    fn e2fsck(&mut self, contents: &Overlay, args: &[&str]) -> (i32, String) {
        self.counts.e2fsck += 1;
        self.write(contents, |number| contents.sector(number));
        testing::run("e2fsck", args, &self.file.0)
    }

    /// Writes the changed sectors, as `of` gives them, to the file; neighbours in one go.
    fn write<'c>(&self, contents: &'c Overlay, of: impl Fn(u64) -> &'c [u8]) {
        let mut run: (u64, Vec<u8>) = (0, Vec::new());
        for &number in contents.sectors().keys() {
            if number * SECTOR as u64 != run.0 + run.1.len() as u64 {
                self.image.write_all_at(&run.1, run.0).unwrap();
                run = (number * SECTOR as u64, Vec::new());
            }
            run.1.extend_from_slice(of(number));
        }
        self.image.write_all_at(&run.1, run.0).unwrap();
    }

    /// What is in the file now; what `log` holds is not looked at.
    fn read_back(&mut self, log: Option<&Overlay>) -> Overlay {
        let mut found = Overlay::new(self.disk.begun.clone());
        let mut at = 0;
        let size = found.size();
        while at < size {
            // To the next boundary of the log, or as far as a processor's cache holds.
            let is_log = self.disk.is_log(at);
            let mut end = at;
            while end < size && end - at < PIECE && self.disk.is_log(end) == is_log {
                end += self.disk.kind.block;
            }
            match log {
                Some(log) if is_log => {
                    let sectors = at / SECTOR as u64..end / SECTOR as u64;
                    for (&number, bytes) in log.sectors().range(sectors) {
                        found.write(number * SECTOR as u64, bytes).unwrap();
                    }
                }
                _ => self.read_piece(at..end, &mut found),
            }
            at = end;
        }
        found
    }

    fn read_piece(&mut self, range: std::ops::Range<u64>, found: &mut Overlay) {
        let before = &self.disk.begun[range.start as usize..range.end as usize];
        let now = &mut self.buffer[..before.len()];
        self.image.read_exact_at(now, range.start).unwrap();
        if now == before {
            return;
        }
        let sectors = now.chunks(SECTOR).zip(before.chunks(SECTOR));
        for (number, (now, before)) in sectors.enumerate() {
            if now != before {
                let at = range.start + (number * SECTOR) as u64;
                found.write(at, now).unwrap();
            }
        }
    }

    /// Takes contents out of the file again.
    fn restore(&mut self, contents: &Overlay) {
        let base = contents.base();
        self.write(contents, |number| {
            let start = number as usize * SECTOR;
            &base[start..start + SECTOR]
        });
    }
}

/// Whether e2fsck asked about something else than a mounted disk has in any case: the flag, and in the
/// superblock counts as old as the last `sync` (C ext4 leaves the same); and the blocks of an orphan
/// file whose orphans it has just finished.
fn has_findings(text: &str) -> bool {
    let (mut known, mut found) = (false, false);
    let finished = text.contains("ing orphaned inode ");
    for line in text.lines() {
        if line.contains("? yes") {
            found |= !known;
        }
        known = line.starts_with("Feature orphan_present is set but orphan file is clean.")
            || line.starts_with("Free blocks count wrong (")
            || line.starts_with("Free inodes count wrong (")
            || finished
                && line.starts_with("Orphan file (inode ")
                && line.ends_with(" is not clean.");
    }
    found
}

fn difference(ours: &Tree, theirs: &Tree) -> String {
    let mut paths = ours.keys().chain(theirs.keys());
    let path = paths.find(|path| ours.get(*path) != theirs.get(*path));
    match path {
        Some(path) => {
            let about = |tree: &Tree| match tree.get(path) {
                Some(entry) => format!(
                    "mode {:o}, {} links, {} bytes",
                    entry.mode,
                    entry.links,
                    entry.contents.len()
                ),
                None => "nothing".into(),
            };
            format!("{path:?}: {} and {}", about(ours), about(theirs))
        }
        None => "none".into(),
    }
}
