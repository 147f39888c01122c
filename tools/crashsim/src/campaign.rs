// SPDX-License-Identifier: GPL-2.0

//! Runs workloads on one kind of disk, judges every state, and makes a violation small.

use crate::image::{Disk, DiskKind};
use crate::judge::Judge;
use crate::oracle;
use crate::record::{record, History, NoHistory};
use crate::states::{self, Effort, Place};
use crate::workload::{actions, Action, Ending, Persist, Steps, Workload};
use host_core::host::overlay::Overlay;
use host_core::testing::Random;
use std::collections::HashMap;
use std::time::Instant;

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Workloads that ran.
    pub workloads: u64,
    /// Workloads that make no sense on the disk.
    pub impossible: u64,
    /// States that were held against the oracle.
    pub states: u64,
    /// See [`crate::judge::Counts`].
    pub distinct: u64,
    /// See [`crate::judge::Counts`].
    pub e2fsck: u64,
    /// What must not be.
    pub violations: u64,
}

impl Totals {
    fn both(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            workloads: of(self.workloads, other.workloads),
            impossible: of(self.impossible, other.impossible),
            states: of(self.states, other.states),
            distinct: of(self.distinct, other.distinct),
            e2fsck: of(self.e2fsck, other.e2fsck),
            violations: of(self.violations, other.violations),
        }
    }
}

impl std::ops::Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.both(other, |a, b| a + b)
    }
}

impl std::ops::Sub for Totals {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.both(other, |a, b| a - b)
    }
}

/// How thoroughly each workload is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every subset of up to five writes, many torn ones.
    Full,
    /// A few states of each point.
    Quick,
}

impl Depth {
    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
        }
    }

    const fn effort(self, seed: u64) -> Effort {
        match self {
            Self::Full => Effort {
                subsets: 5,
                single: 6,
                random: 8,
                torn: 3,
                seed,
            },
            Self::Quick => Effort {
                subsets: 1,
                single: 1,
                random: 1,
                torn: 1,
                seed,
            },
        }
    }
}

/// Which ways to make two actions durable are tried with each pair of them.
#[derive(Clone, Copy, Debug)]
pub enum Ways {
    /// Each.
    All,
    /// A few, in turn, so that over all pairs each comes as often; with another number others.
    InTurn(usize),
}

/// See [`Ways::InTurn`].
const FEW: usize = 3;

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// How to see it again.
    pub id: String,
    /// What is wrong.
    pub why: String,
}

/// One kind of disk, and the judge of its crashes.
pub struct Campaign {
    disk: Disk,
    judge: Judge,
    /// What can be done on it.
    pub actions: Vec<Action>,
    seed: u64,
    deadline: Deadline,
    /// What was counted.
    pub totals: Totals,
}

impl Campaign {
    /// A campaign on disks of this kind.
    pub fn new(kind: &DiskKind, seed: u64, deadline: Deadline) -> Self {
        let disk = Disk::new(kind);
        Self {
            judge: Judge::new(&disk),
            actions: actions(kind.block),
            disk,
            seed,
            deadline,
            totals: Totals::default(),
        }
    }

    /// The name of the kind.
    pub fn name(&self) -> &'static str {
        self.disk.kind.name
    }

    /// All workloads of one action.
    pub fn singles(&self) -> Vec<Workload> {
        let mut all = Vec::new();
        for index in 0..self.actions.len() {
            for persist in Persist::ALL {
                all.push(vec![(index, persist)]);
            }
        }
        let both = |parts: Vec<_>| {
            [Ending::CommitFirst, Ending::Scattered].map(|ending| Workload {
                parts: parts.clone(),
                ending,
            })
        };
        all.into_iter().flat_map(both).collect()
    }

    /// All workloads of two actions, each made durable in these of the ways that programs have. Each pair of
    /// actions is seen with both endings.
    pub fn pairs(&self, ways: Ways) -> Vec<Workload> {
        let count = self.actions.len();
        // How many pairs there were with as many ways.
        let mut before = HashMap::<usize, usize>::new();
        let mut all = Vec::new();
        for pair in 0..count * count {
            let (first, second) = (pair / count, pair % count);
            let calls = |index: usize| self.actions[index].calls();
            let after = |a| calls(second).into_iter().map(move |b| (a, b));
            let both: Vec<_> = calls(first).into_iter().flat_map(after).collect();
            let nth = before.entry(both.len()).or_default();
            let chosen = match ways {
                Ways::All => 0..both.len(),
                Ways::InTurn(turn) => (*nth + turn) * FEW..(*nth + turn + 1) * FEW,
            };
            *nth += 1;
            all.extend(chosen.map(|number| {
                let (a, b) = both[number % both.len()];
                Workload {
                    parts: vec![(first, a), (second, b)],
                    ending: [Ending::CommitFirst, Ending::Scattered][(number + pair) % 2],
                }
            }));
        }
        all
    }

    /// Any workload of `count` actions.
    pub fn any(&self, count: usize, random: &mut Random) -> Workload {
        let mut part = || {
            let how = Persist::ALL[random.index(Persist::ALL.len())];
            (random.index(self.actions.len()), how)
        };
        let parts = (0..count).map(|_| part()).collect();
        Workload {
            parts,
            ending: [Ending::CommitFirst, Ending::Scattered][random.index(2)],
        }
    }

    /// Forgets what was judged; memory is for others now.
    pub fn forget(&mut self) {
        self.judge.forget();
    }

    /// Runs a workload and judges its states; a violation is made small.
    pub fn run(&mut self, workload: &Workload, depth: Depth) -> Result<(), Violation> {
        let Err(found) = self.judge_all(workload, depth) else {
            return Ok(());
        };
        self.totals.violations += 1;
        for smaller in workload.smaller() {
            self.judge_all(&smaller, Depth::Full)?;
        }
        Err(found)
    }

    fn id(&self, workload: &Workload, place: &Place, depth: Depth) -> String {
        format!(
            "{}/{}/{place}/{}/{}",
            self.name(),
            workload.name(&self.actions),
            depth.name(),
            self.seed
        )
    }

    /// Any state of a workload, and its ID; `None` if the workload does not run.
    pub fn crash(&self, workload: &Workload, random: &mut Random) -> Option<(String, Overlay)> {
        let history = record(&self.disk, &workload.steps(&self.actions)?).ok()?;
        let mut places = Vec::new();
        states::for_each(&history, &Depth::Quick.effort(self.seed), |place, _| {
            places.push(place);
            true
        });
        let place = places.get(random.index(places.len().max(1)))?;
        let (disk, _) = states::at(&history, &Depth::Quick.effort(self.seed), place)?;
        Some((self.id(workload, place, Depth::Quick), disk))
    }

    fn judge_all(&mut self, workload: &Workload, depth: Depth) -> Result<(), Violation> {
        let Some(steps) = workload.steps(&self.actions) else {
            self.totals.impossible += 1;
            return Ok(());
        };
        let history = match record(&self.disk, &steps) {
            Ok(history) => history,
            Err(NoHistory::Impossible) => {
                self.totals.impossible += 1;
                return Ok(());
            }
            Err(NoHistory::Wrong(why)) => {
                let id = self.id(workload, &Place::default(), depth);
                return Err(Violation { id, why });
            }
        };
        self.totals.workloads += 1;
        let effort = depth.effort(self.seed);
        let mut found = None;
        states::for_each(&history, &effort, |place, crashed| {
            self.totals.states += 1;
            let verdict = self.verdict(&history, &place, &crashed, depth == Depth::Full);
            found = verdict.err().map(|why| (place, why));
            found.is_none() && !self.deadline.is_over()
        });
        let found = found.map(|found| self.smallest(&history, &effort, found));
        self.judge.trim();
        self.totals.distinct = self.judge.counts.distinct;
        self.totals.e2fsck = self.judge.counts.e2fsck;
        match found {
            Some((place, why)) => Err(Violation {
                id: self.id(workload, &place, depth),
                why,
            }),
            None => Ok(()),
        }
    }

    fn verdict(
        &mut self,
        history: &History,
        place: &Place,
        crashed: &Overlay,
        thorough: bool,
    ) -> Result<(), String> {
        let tree = self.judge.judge(crashed, thorough);
        let tree = tree.map_err(|why| why.to_string())?;
        oracle::check(history, place.cut, &tree, self.disk.kind.block)
    }

    /// A state that is as wrong, with as few writes missing or torn as need be.
    fn smallest(
        &mut self,
        history: &History,
        effort: &Effort,
        (mut place, mut why): (Place, String),
    ) -> (Place, String) {
        for write in states::missing(history, effort, &place) {
            let mut fuller = place.clone();
            fuller.arrived.push(write);
            let state = states::at(history, effort, &fuller);
            let verdict = state.map(|(disk, _)| self.verdict(history, &fuller, &disk, true));
            if let Some(Err(still)) = verdict {
                (place, why) = (fuller, still);
            }
        }
        (place, why)
    }
}

/// The disk, the workload's steps and the state that an ID names, and how states are made.
fn parse_id<'k>(
    id: &str,
    kinds: &'k [DiskKind],
) -> Result<(&'k DiskKind, Steps, Place, Effort), String> {
    let parts: Vec<&str> = id.split('/').collect();
    let [kind, name, place, depth, seed] = parts[..] else {
        return Err("an ID has five parts: DISK/WORKLOAD/CUT.CHOICE[+WRITE...]/DEPTH/SEED".into());
    };
    let kind = kinds.iter().find(|known| known.name == kind);
    let kind = kind.ok_or("no such kind of disk")?;
    let actions = actions(kind.block);
    let workload = Workload::parse(name, &actions).ok_or("no such workload")?;
    let steps = workload.steps(&actions).ok_or("no such workload")?;
    let place = Place::parse(place).ok_or("no such state")?;
    let depth = [Depth::Full, Depth::Quick]
        .into_iter()
        .find(|known| known.name() == depth);
    let seed = seed.parse().map_err(|_| "no such seed")?;
    let effort = depth.ok_or("no such depth")?.effort(seed);
    Ok((kind, steps, place, effort))
}

fn print_history(history: &History, disk: &Disk) {
    for (number, taken) in history.steps.iter().enumerate() {
        println!("step {number}: {} (events {:?})", taken.step, taken.events);
    }
    for (number, event) in history.events.iter().enumerate() {
        let Some((at, data)) = event.write() else {
            println!("event {number}: {event:?}");
            continue;
        };
        let (len, block) = (data.len(), at / disk.kind.block);
        let journal = disk.journal_block(at).map_or("", |_| ", journal");
        println!("event {number}: {len} bytes at {at} (block {block}{journal})");
    }
}

/// Shows one state and what is wrong with it. `Ok(true)` if nothing is.
pub fn replay(id: &str, kinds: &[DiskKind]) -> Result<bool, String> {
    let (kind, steps, place, effort) = parse_id(id, kinds)?;
    let disk = Disk::new(kind);
    let history = match record(&disk, &steps) {
        Ok(history) => history,
        Err(NoHistory::Impossible) => return Err("this workload does not run on this disk".into()),
        Err(NoHistory::Wrong(why)) => {
            println!("{why}");
            return Ok(false);
        }
    };
    print_history(&history, &disk);
    let (crashed, text) = states::at(&history, &effort, &place).ok_or("no such state")?;
    println!(
        "power fails after event {}; not durable then:\n{text}",
        place.cut
    );
    if let Some(path) = std::env::var_os("CRASHSIM_SAVE") {
        std::fs::write(path, crashed.contents()).map_err(|error| error.to_string())?;
    }
    let verdict = Judge::new(&disk)
        .judge(&crashed, true)
        .map_err(|why| why.to_string());
    match verdict.and_then(|tree| oracle::check(&history, place.cut, &tree, kind.block)) {
        Ok(()) => println!("nothing is wrong"),
        Err(why) => {
            println!("{why}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// The time that is left.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Option<Instant>);

impl Deadline {
    /// Whether there is none left.
    pub fn is_over(&self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}
