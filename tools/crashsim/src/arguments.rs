// SPDX-License-Identifier: GPL-2.0

//! The command line.

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The time it may take.
    pub seconds: Option<u64>,
    /// For all that is done by chance.
    pub seed: u64,
    /// Kinds of disks by name; none means all.
    pub kinds: Vec<String>,
    /// A state to look at again.
    pub replay: Option<String>,
    /// Workloads by name.
    pub only: Vec<String>,
    /// A folder for crashed disks.
    pub export: Option<String>,
    /// How many of them.
    pub count: usize,
    /// Processes that share the work; 0 is one of them.
    pub jobs: usize,
    /// Which part of the work.
    pub part: Part,
}

/// One of some equal parts of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Part {
    /// Whether a piece of the work is in it.
    pub const fn has(self, piece: usize) -> bool {
        piece % self.of == self.number
    }

    /// One of `jobs` parts of it.
    pub const fn split(self, job: usize, jobs: usize) -> Self {
        Self {
            number: self.number + job * self.of,
            of: self.of * jobs,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&number).then(|| Self {
            number: number - 1,
            of,
        })
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number + 1, self.of)
    }
}

/// What it understands.
pub const USAGE: &str = "crashsim [--seconds N] [--seed N] [--disks NAME,...] [--jobs N] [--part N/M] [--only WORKLOAD]...
crashsim --replay ID
crashsim --export FOLDER [--count N] [--seed N]";

impl Arguments {
    /// Reads the command line; `None` if it is wrong.
    pub fn parse(words: &[String]) -> Option<Self> {
        let mut found = Self {
            seconds: None,
            seed: 1,
            kinds: Vec::new(),
            replay: None,
            only: Vec::new(),
            export: None,
            count: 50,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            part: Part { number: 0, of: 1 },
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--seconds" => found.seconds = Some(value.parse().ok()?),
                "--seed" => found.seed = value.parse().ok()?,
                "--disks" => found.kinds = value.split(',').map(String::from).collect(),
                "--replay" => found.replay = Some(value.clone()),
                "--only" => found.only.push(value.clone()),
                "--export" => found.export = Some(value.clone()),
                "--count" => found.count = value.parse().ok()?,
                "--jobs" => found.jobs = value.parse().ok()?,
                "--part" => found.part = Part::parse(value)?,
                _ => return None,
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn parts_cover_all_once() {
        let third = Part::parse("3/4").unwrap();
        assert_eq!(third, Part { number: 2, of: 4 });
        for piece in 0..48 {
            let jobs = (0..3).filter(|&job| third.split(job, 3).has(piece));
            assert_eq!(jobs.count(), usize::from(third.has(piece)));
        }
        assert!(Part::parse("0/4").is_none() && Part::parse("5/4").is_none());
    }
}
