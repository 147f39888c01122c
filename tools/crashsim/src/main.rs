// SPDX-License-Identifier: GPL-2.0

//! Every crash state of small workloads, recovered and judged.
//!
//! `core` runs on a recording device; from what it did to the device the states are built in which a
//! power cut may leave the disk; each is recovered by our code and by e2fsck and held against what
//! had to be there. `Documentation/testing.md` has the command lines.

mod campaign;
mod image;
mod judge;
mod model;
mod oracle;
mod random;
mod record;
mod states;
#[cfg(test)]
mod tests;
mod workload;

use campaign::{replay, Campaign, Deadline, Depth, Totals, Violation};
use image::KINDS;
use random::Random;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use workload::Workload;

/// The part of a bounded time that workloads of one action may take.
const MOST_FOR_SINGLES: f64 = 0.7;
/// Violations after which there is no point in going on.
const ENOUGH: usize = 10;

/// Workloads that were found hard once, and on which disks.
const HARD: &[(&str, &[&str])] = &[
    // Blocks are used again, each in another role.
    (
        "1k-full",
        &[
            "mkdir_rmdir+sync,write_new+fsync",
            "mkdir_rmdir+parent,append+fdatasync",
            "symlink_unlink+sync,append+fsync",
            "tree_gone+none,append+none,scatter",
            "tree_gone+fsync,direct_append+fdatasync",
            "unlink+sync,mkdir+fsync",
            "unlink+sync,tree+sync",
            "truncate_zero+fsync,symlink_long+parent",
            "replace+none,mkdir+sync,scatter",
            "unlink+sync,mkdir_rmdir+sync,write_new+fsync",
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
];

/// The command line.
struct Arguments {
    seconds: Option<u64>,
    seed: u64,
    kinds: Vec<String>,
    replay: Option<String>,
    /// Workloads by name.
    only: Vec<String>,
    full: bool,
    /// A folder for crashed disks, and how many.
    export: Option<String>,
    count: usize,
}

const USAGE: &str = "crashsim [--seconds N] [--seed N] [--disks NAME,...] [--full-pairs] [--only WORKLOAD]... | --replay ID | --export FOLDER [--count N]";

fn arguments() -> Option<Arguments> {
    let mut found = Arguments {
        seconds: None,
        seed: 1,
        kinds: Vec::new(),
        replay: None,
        only: Vec::new(),
        full: false,
        export: None,
        count: 50,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => found.seconds = Some(words.next()?.parse().ok()?),
            "--seed" => found.seed = words.next()?.parse().ok()?,
            "--disks" => found.kinds = words.next()?.split(',').map(String::from).collect(),
            "--replay" => found.replay = Some(words.next()?),
            "--only" => found.only.push(words.next()?),
            "--export" => found.export = Some(words.next()?),
            "--count" => found.count = words.next()?.parse().ok()?,
            "--full-pairs" => found.full = true,
            _ => return None,
        }
    }
    Some(found)
}

/// The whole run.
struct Run {
    arguments: Arguments,
    deadline: Deadline,
    campaigns: Vec<Campaign>,
    violations: Vec<Violation>,
    results: usize,
    begun: Instant,
}

impl Run {
    fn new(arguments: Arguments) -> Self {
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
            violations: Vec::new(),
            results: 0,
            begun,
        }
    }

    fn is_over(&self) -> bool {
        self.violations.len() >= ENOUGH || self.deadline.is_over()
    }

    /// The part of the time that has passed, 0 if it is not bounded.
    fn elapsed(&self) -> f64 {
        let all = self.arguments.seconds.unwrap_or(u64::MAX);
        self.begun.elapsed().as_secs_f64() / all.max(1) as f64
    }

    fn total(&self) -> Totals {
        let mut sum = Totals::default();
        for campaign in &self.campaigns {
            sum += campaign.totals;
        }
        sum
    }

    fn try_one(&mut self, campaign: usize, workload: &Workload, depth: Depth) {
        if let Err(violation) = self.campaigns[campaign].run(workload, depth) {
            println!("# violation: {}", violation.why);
            println!(
                "# see it again: tools/crashsim/run --replay {}",
                violation.id
            );
            self.violations.push(violation);
        }
    }

    /// One line of KTAP about what was done since `before`.
    fn result(&mut self, name: &str, before: (Totals, usize, Instant)) {
        let now = self.total();
        self.results += 1;
        if now.workloads == before.0.workloads && self.elapsed() > MOST_FOR_SINGLES {
            println!("ok {} - {name} # SKIP no time is left", self.results);
            return;
        }
        let good = self.violations.len() == before.1 && now.workloads > before.0.workloads;
        let states = now.states - before.0.states;
        println!(
            "{} {} - {name}: {} workloads ({} impossible), {states} states ({} distinct disks, {:.0} states/s, {} runs of e2fsck), {} violations",
            if good { "ok" } else { "not ok" },
            self.results,
            now.workloads - before.0.workloads,
            now.impossible - before.0.impossible,
            now.distinct - before.0.distinct,
            states as f64 / before.2.elapsed().as_secs_f64(),
            now.e2fsck - before.0.e2fsck,
            self.violations.len() - before.1,
        );
    }

    fn mark(&self) -> (Totals, usize, Instant) {
        (self.total(), self.violations.len(), Instant::now())
    }

    /// All workloads of one action, in an order by chance. When the time is bounded: on the two plain
    /// disks, what programs can ask for, one ending of each, a few states of each point.
    fn singles(&mut self) {
        let bounded = self.arguments.seconds.is_some() && self.arguments.kinds.is_empty();
        let most = if bounded { 2 } else { self.campaigns.len() };
        let before = self.mark();
        let mut random = Random::new(self.arguments.seed);
        let mut left = Vec::new();
        for (at, campaign) in self.campaigns.iter().enumerate().take(most) {
            let all = campaign.singles().into_iter().enumerate();
            let chosen = |(n, one): &(usize, Workload)| {
                !bounded || one.is_asked_for() && (n / 2 + n) % 2 == 0
            };
            left.extend(all.filter(chosen).map(|(_, workload)| (at, workload)));
        }
        while !left.is_empty() && !self.is_over() && self.elapsed() < MOST_FOR_SINGLES {
            let (at, workload) = left.swap_remove(random.below(left.len()));
            let depth = if bounded { Depth::Quick } else { Depth::Full };
            self.try_one(at, &workload, depth);
        }
        let rest = match left.len() {
            0 => String::new(),
            more => format!(", no time for {more} more"),
        };
        self.result(
            &format!("one action on {most} kinds of disks{rest}"),
            before,
        );
    }

    /// What was found hard once.
    fn hard(&mut self) {
        let before = self.mark();
        for (kind, names) in HARD {
            let Some(at) = self.campaigns.iter().position(|one| one.name() == *kind) else {
                continue;
            };
            for name in *names {
                let workload = Workload::parse(name, &self.campaigns[at].actions);
                if let (Some(workload), false) = (workload, self.is_over()) {
                    self.try_one(at, &workload, Depth::Full);
                }
            }
        }
        self.result("blocks used again, blocks cut", before);
    }

    /// All workloads of two actions.
    fn pairs(&mut self) {
        for at in 0..self.campaigns.len() {
            let before = self.mark();
            for workload in self.campaigns[at].pairs() {
                if self.is_over() {
                    break;
                }
                self.try_one(at, &workload, Depth::Quick);
            }
            let name = format!("two actions on {}", self.campaigns[at].name());
            self.result(&name, before);
        }
    }

    /// Workloads of two and three actions by chance, as long as there is time, or `most`.
    fn sample(&mut self, most: usize) {
        let before = self.mark();
        let mut random = Random::new(self.arguments.seed);
        for number in 0..most {
            if self.is_over() {
                break;
            }
            let at = number % self.campaigns.len();
            let workload =
                self.campaigns[at].any(2 + number / self.campaigns.len() % 2, &mut random);
            self.try_one(at, &workload, Depth::Full);
        }
        let name = format!(
            "two and three actions by chance, seed {}",
            self.arguments.seed
        );
        self.result(&name, before);
    }

    fn named(&mut self) {
        let before = self.mark();
        for name in self.arguments.only.clone() {
            for at in 0..self.campaigns.len() {
                match Workload::parse(&name, &self.campaigns[at].actions) {
                    Some(workload) => self.try_one(at, &workload, Depth::Full),
                    None => eprintln!("{name}: no such workload"),
                }
            }
        }
        self.result("named workloads", before);
    }

    /// Writes crashed disks by chance into a folder, and a file `ids` that says what they are.
    fn export(&mut self, folder: &std::path::Path) -> std::io::Result<()> {
        let mut random = Random::new(self.arguments.seed);
        let (mut ids, mut written) = (String::new(), 0);
        while written < self.arguments.count {
            // Mostly small disks.
            let at = (written * 3 + random.below(2)) % self.campaigns.len();
            let campaign = &self.campaigns[at];
            let workload = campaign.any(1 + random.below(3), &mut random);
            if let Some((id, disk)) = campaign.crash(&workload, &mut random) {
                std::fs::write(folder.join(format!("{written:03}.img")), disk.contents())?;
                ids += &format!("{written:03}.img {id}\n");
                written += 1;
            }
        }
        std::fs::write(folder.join("ids"), ids)
    }

    fn everything(&mut self) {
        if !self.arguments.only.is_empty() {
            return self.named();
        }
        self.hard();
        self.singles();
        if self.arguments.full {
            self.pairs();
        }
        let most = if self.arguments.seconds.is_some() {
            usize::MAX
        } else {
            20_000
        };
        self.sample(most);
    }
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if std::env::var_os("TMPDIR").is_none() && std::path::Path::new("/dev/shm").is_dir() {
        std::env::set_var("TMPDIR", "/dev/shm");
    }
    image::stop_time();
    if let Some(id) = &arguments.replay {
        return match replay(id, KINDS) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(2)
            }
        };
    }
    let mut run = Run::new(arguments);
    if let Some(folder) = run.arguments.export.clone() {
        return match run.export(std::path::Path::new(&folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{folder}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    println!("KTAP version 1");
    run.everything();
    let total = run.total();
    println!("1..{}", run.results);
    println!(
        "# in all: {} workloads, {} states, {} distinct disks, {} runs of e2fsck, {:.0} s, {} violations",
        total.workloads,
        total.states,
        total.distinct,
        total.e2fsck,
        run.begun.elapsed().as_secs_f64(),
        run.violations.len()
    );
    ExitCode::from(u8::from(!run.violations.is_empty()))
}
