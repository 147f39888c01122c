// SPDX-License-Identifier: GPL-2.0

//! What is tried, and in which order; of all that, one part.

use crate::arguments::Arguments;
use crate::campaign::{Campaign, Deadline, Depth, Totals, Ways};
use crate::image::KINDS;
use crate::workload::Workload;
use host_core::testing::Random;
use std::fmt;
use std::time::{Duration, Instant};

/// The part of a bounded time that workloads of one action may take.
const MOST_FOR_SINGLES: f64 = 0.7;
/// Violations after which there is no point in going on.
const ENOUGH: u64 = 10;
/// Workloads by chance, if the time is not bounded.
const SAMPLE: usize = 4000;

/// Kinds of disks on which each way to make two actions durable is tried.
const PLAIN: [&str; 2] = ["1k", "4k"];

/// Workloads that were found hard once, and on which disks.
pub const HARD: &[(&str, &[&str])] = &[
    // Blocks are used again, each in another role.
    (
        "1k-full",
        &[
            "mkdir_rmdir+sync,write_new+fsync",
            "mkdir_rmdir+parent,append+fdatasync",
            "symlink_unlink+sync,append+fsync",
            "tree_gone+none,append+none,scatter",
            "removexattr+none,append+none,scatter",
            "removexattr+sync,mkdir+fsync",
            "tree_gone+fsync,direct_append+fdatasync",
            "unlink+sync,mkdir+fsync",
            "unlink+sync,tree+sync",
            "truncate_zero+fsync,symlink_long+parent",
            "replace+none,mkdir+sync,scatter",
            "unlink+sync,mkdir_rmdir+sync,write_new+fsync",
            // And data is on its way meanwhile.
            "unlink_written+none,write_new+fsync",
            "unlink_written+sync,mkdir+fsync",
            "append+submit,mkdir_rmdir+parent",
            "write_new+submit,symlink_unlink+none,mkdir+sync",
        ],
    ),
    // The block that a truncation cuts is zeroed before the file may grow again.
    (
        "1k",
        &[
            "truncate+commit,write_far+none,scatter",
            "truncate+none,truncate_up+none,scatter",
            "truncate+commit,direct_far+fsync",
        ],
    ),
    // A file without a name stays an orphan as long as it is open.
    (
        "1k",
        &[
            "truncate_unlinked+none",
            "truncate_unlinked+parent,mkdir+sync",
        ],
    ),
    ("1k-orphan-file", &["truncate_unlinked+none"]),
];

/// What came of some of the work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// What was counted.
    pub counts: Totals,
    /// Workloads there was no time for.
    pub left: u64,
    /// How long it took.
    pub seconds: f64,
}

impl std::ops::Add for Report {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            counts: self.counts + other.counts,
            left: self.left + other.left,
            seconds: self.seconds + other.seconds,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(
            f,
            "{} workloads ({} impossible), {} states, {} distinct disks, {} runs of e2fsck, {} violations",
            counts.workloads, counts.impossible, counts.states, counts.distinct, counts.e2fsck, counts.violations,
        )
    }
}

impl Report {
    /// Prints a line that [`Self::parse`] reads.
    fn send(&self, name: &str) {
        let counts = &self.counts;
        println!(
            "@\t{name}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            counts.workloads,
            counts.impossible,
            counts.states,
            counts.distinct,
            counts.e2fsck,
            counts.violations,
            self.left,
            self.seconds,
        );
    }

    /// What was reported, and its name.
    pub fn parse(line: &str) -> Option<(String, Self)> {
        let fields: Vec<&str> = line.split('\t').collect();
        let ["@", name, numbers @ .., seconds] = &fields[..] else {
            return None;
        };
        let numbers: Option<Vec<u64>> = numbers.iter().map(|text| text.parse().ok()).collect();
        let [workloads, impossible, states, distinct, e2fsck, violations, left] = numbers?[..]
        else {
            return None;
        };
        let counts = Totals {
            workloads,
            impossible,
            states,
            distinct,
            e2fsck,
            violations,
        };
        let report = Self {
            counts,
            left,
            seconds: seconds.parse().ok()?,
        };
        Some(((*name).into(), report))
    }

    /// Prints a line of KTAP about what all processes have done; answers whether it is good.
    pub fn print(&self, number: usize, name: &str, arguments: &Arguments) -> bool {
        let is_whole = arguments.seconds.is_none() && arguments.part.of == 1;
        let good = self.counts.violations == 0 && (self.counts.workloads > 0 || !is_whole);
        let result = if good { "ok" } else { "not ok" };
        if good && self.counts.workloads == 0 {
            println!("ok {number} - {name} # SKIP nothing of it, or no time is left");
            return true;
        }
        let rate = self.counts.states as f64 * arguments.jobs as f64 / self.seconds;
        let left = match self.left {
            0 => String::new(),
            left => format!(", no time for {left} workloads"),
        };
        println!("{result} {number} - {name}: {self}, {rate:.0} states/s{left}");
        good
    }
}

/// One part of the work.
pub struct Run {
    arguments: Arguments,
    deadline: Deadline,
    campaigns: Vec<Campaign>,
    begun: Instant,
}

impl Run {
    /// What the arguments ask for.
    pub fn new(arguments: Arguments) -> Self {
        let begun = Instant::now();
        let end = arguments
            .seconds
            .map(|seconds| begun + Duration::from_secs(seconds));
        let wanted = |name: &str| {
            arguments.kinds.is_empty() || arguments.kinds.iter().any(|kind| kind == name)
        };
        let kinds = KINDS.iter().filter(|kind| wanted(kind.name));
        Self {
            campaigns: kinds
                .map(|kind| Campaign::new(kind, arguments.seed, Deadline(end)))
                .collect(),
            deadline: Deadline(end),
            arguments,
            begun,
        }
    }

    fn total(&self) -> Totals {
        let totals = self.campaigns.iter().map(|campaign| campaign.totals);
        totals.fold(Totals::default(), |sum, one| sum + one)
    }

    fn is_over(&self) -> bool {
        self.total().violations >= ENOUGH || self.deadline.is_over()
    }

    /// The part of the time that has passed, 0 if it is not bounded.
    fn elapsed(&self) -> f64 {
        let all = self.arguments.seconds.unwrap_or(u64::MAX);
        self.begun.elapsed().as_secs_f64() / all.max(1) as f64
    }

    fn try_one(&mut self, campaign: usize, workload: &Workload, depth: Depth) {
        if let Err(violation) = self.campaigns[campaign].run(workload, depth) {
            println!("# violation: {}", violation.why);
            println!(
                "# see it again: tools/crashsim/run --replay '{}'",
                violation.id
            );
        }
    }

    /// Does `work`, which answers how many workloads it had no time for, and reports.
    fn report(&mut self, name: &str, work: impl FnOnce(&mut Self) -> usize) {
        let (before, begun) = (self.total(), Instant::now());
        let left = work(self) as u64;
        let report = Report {
            counts: self.total() - before,
            left,
            seconds: begun.elapsed().as_secs_f64(),
        };
        report.send(name);
    }

    /// What was found hard once.
    fn hard(&mut self) -> usize {
        let part = self.arguments.part;
        let all = HARD
            .iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| (*kind, *name)));
        for (_, (kind, name)) in all.enumerate().filter(|(number, _)| part.has(*number)) {
            let Some(at) = self.campaigns.iter().position(|one| one.name() == kind) else {
                continue;
            };
            let workload = Workload::parse(name, &self.campaigns[at].actions);
            if let (Some(workload), false) = (workload, self.is_over()) {
                self.try_one(at, &workload, Depth::Full);
            }
        }
        0
    }

    /// Those of one action in a bounded time: a few states of each point, in an order by chance.
    fn some_singles(&mut self) -> usize {
        let part = self.arguments.part;
        let mut left = Vec::new();
        for (at, campaign) in self.campaigns.iter().enumerate() {
            let all = campaign.singles().into_iter().enumerate();
            let mine = all.filter(|(n, _)| part.has(*n));
            left.extend(mine.map(|(_, workload)| (at, workload)));
        }
        let mut random = Random::new(self.arguments.seed);
        while !left.is_empty() && !self.is_over() && self.elapsed() < MOST_FOR_SINGLES {
            let (at, workload) = left.swap_remove(random.index(left.len()));
            self.try_one(at, &workload, Depth::Quick);
        }
        left.len()
    }

    /// All workloads of one or of two actions on one kind of disk. Those with the same first action
    /// have many disks in common, so they are in one part.
    fn all(&mut self, at: usize, workloads: Vec<Workload>, depth: Depth) -> usize {
        let part = self.arguments.part;
        let count = self.campaigns[at].actions.len();
        let is_here = |one: &Workload| part.has(at * count + one.parts[0].0);
        let mut mine = workloads.into_iter().filter(is_here);
        for workload in mine.by_ref() {
            if self.is_over() {
                return mine.count() + 1;
            }
            self.try_one(at, &workload, depth);
        }
        0
    }

    /// Workloads of two and three actions by chance, as long as there is time, or `most`.
    fn sample(&mut self, most: usize) -> usize {
        let mut random = Random::new(self.arguments.seed);
        for number in 0..most {
            if self.is_over() {
                break;
            }
            let at = number % self.campaigns.len();
            let count = match self.arguments.seconds {
                Some(_) => 2 + number / self.campaigns.len() % 2,
                None => 3,
            };
            let workload = self.campaigns[at].any(count, &mut random);
            if self.arguments.part.has(number) {
                self.try_one(at, &workload, Depth::Full);
            }
        }
        0
    }

    fn named(&mut self) -> usize {
        for name in self.arguments.only.clone() {
            for at in 0..self.campaigns.len() {
                match Workload::parse(&name, &self.campaigns[at].actions) {
                    Some(workload) if self.arguments.part.has(at) => {
                        self.try_one(at, &workload, Depth::Full);
                    }
                    Some(_) => {}
                    None => eprintln!("{name}: no such workload"),
                }
            }
        }
        0
    }

    /// Writes crashed disks by chance into a folder, and a file `ids` that says what they are.
    pub fn export(&mut self, folder: &std::path::Path) -> std::io::Result<()> {
        let mut random = Random::new(self.arguments.seed);
        let (mut ids, mut written) = (String::new(), 0);
        while written < self.arguments.count {
            // Mostly small disks.
            let at = (written * 3 + random.index(2)) % self.campaigns.len();
            let campaign = &self.campaigns[at];
            let workload = campaign.any(1 + random.index(3), &mut random);
            if let Some((id, disk)) = campaign.crash(&workload, &mut random) {
                std::fs::write(folder.join(format!("{written:03}.img")), disk.contents())?;
                ids += &format!("{written:03}.img {id}\n");
                written += 1;
            }
        }
        std::fs::write(folder.join("ids"), ids)
    }

    /// Does the work and reports; every part reports under the same names.
    pub fn everything(&mut self) {
        if !self.arguments.only.is_empty() {
            return self.report("named workloads", Self::named);
        }
        self.report("blocks used again, blocks cut", Self::hard);
        let seed = self.arguments.seed;
        if self.arguments.seconds.is_some() {
            self.report("one action, some states", Self::some_singles);
            let name = format!("two and three actions by chance, seed {seed}, all states");
            return self.report(&name, |run| run.sample(usize::MAX));
        }
        for at in 0..self.campaigns.len() {
            let kind = self.campaigns[at].name();
            let singles = self.campaigns[at].singles();
            self.report(&format!("one action on {kind}, all states"), |run| {
                run.all(at, singles, Depth::Full)
            });
            let pairs = self.campaigns[at].pairs(match PLAIN.contains(&kind) {
                true => Ways::All,
                false => Ways::InTurn(at),
            });
            self.report(&format!("two actions on {kind}"), |run| {
                run.all(at, pairs, Depth::Quick)
            });
            self.campaigns[at].forget();
        }
        let name = format!("three actions by chance, seed {seed}, all states");
        self.report(&name, |run| run.sample(SAMPLE));
    }
}
