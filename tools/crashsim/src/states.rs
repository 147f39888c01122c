// SPDX-License-Identifier: GPL-2.0

//! The states in which a power cut may leave the disk.
//!
//! After each event of the device: every write that is durable is there, in its order; of the others,
//! each of their sectors may be there or not. So a state is a choice for each write that is not
//! durable: all of it, nothing, or some of its sectors. An order in which an older write of the same
//! sectors reaches the disk last is the choice without the newer one: of two writes that are on their
//! way to the same sectors at once the device would not know the newer one, but the recorder reports
//! them.

use crate::record::History;
use host_core::host::overlay::{Overlay, SECTOR};
use host_core::host::recording::durable;
use host_core::testing::Random;
use std::fmt;

/// How many states of each point are built.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Up to this many writes, every subset of them.
    pub subsets: usize,
    /// Above that, subsets that miss one write, or have only one, up to this many of each.
    pub single: usize,
    /// Random subsets.
    pub random: usize,
    /// Writes that are torn, each in a few ways.
    pub torn: usize,
    /// For the random ones.
    pub seed: u64,
}

/// Which sectors of a write have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Arrived {
    All,
    None,
    /// A bit for each, up to 64 of them.
    Some(u64),
}

/// One state: for each write that is not durable, what of it has arrived.
type Choice = Vec<Arrived>;

/// The point after some events.
struct Point<'h> {
    history: &'h History,
    cut: usize,
    durable: Vec<bool>,
    /// The writes that are not durable.
    pending: Vec<usize>,
}

impl<'h> Point<'h> {
    fn new(history: &'h History, cut: usize) -> Self {
        let durable = durable(&history.events, cut);
        let pending = (0..cut)
            .filter(|&at| !durable[at] && history.events[at].write().is_some())
            .collect();
        Self {
            history,
            cut,
            durable,
            pending,
        }
    }

    fn sectors(&self, write: usize) -> u32 {
        let (_, data) = self.history.events[write].write().unwrap();
        (data.len() / SECTOR) as u32
    }

    fn choices(&self, effort: &Effort) -> Vec<Choice> {
        let count = self.pending.len();
        let mut choices = vec![vec![Arrived::All; count]];
        if count == 0 {
            return choices;
        }
        choices.push(vec![Arrived::None; count]);
        let mut random = Random::new(effort.seed ^ ((self.cut as u64) << 32));
        self.subsets(effort, &mut random, &mut choices);
        self.torn(effort, &mut random, &mut choices);
        let mut seen = std::collections::HashSet::new();
        choices.retain(|choice| seen.insert(choice.clone()));
        choices
    }

    fn subsets(&self, effort: &Effort, random: &mut Random, choices: &mut Vec<Choice>) {
        let count = self.pending.len();
        let subset = |has: &mut dyn FnMut(usize) -> bool| {
            let arrived = |n| if has(n) { Arrived::All } else { Arrived::None };
            (0..count).map(arrived).collect::<Choice>()
        };
        if count <= effort.subsets {
            for mask in 0..1usize << count {
                choices.push(subset(&mut |n| mask & (1 << n) != 0));
            }
            return;
        }
        // The newest are the most telling: commit blocks come last.
        for one in (0..count).rev().take(effort.single) {
            choices.push(subset(&mut |n| n != one));
            choices.push(subset(&mut |n| n == one));
        }
        for _ in 0..effort.random {
            choices.push(subset(&mut |_| random.below(2) == 0));
        }
    }

    fn torn(&self, effort: &Effort, random: &mut Random, choices: &mut Vec<Choice>) {
        let count = self.pending.len();
        for one in (0..count).rev().take(effort.torn) {
            let sectors = self.sectors(self.pending[one]).min(64);
            if sectors < 2 {
                continue;
            }
            let all = u64::MAX >> (64 - sectors);
            let head = all >> (sectors - 1 - random.index(sectors as usize - 1) as u32);
            for mask in [head, all & !head, random.number() & all] {
                let mut arrived = vec![Arrived::All; count];
                arrived[one] = Arrived::Some(mask);
                choices.push(arrived.clone());
                // And without some of what came before and after.
                for (n, other) in arrived.iter_mut().enumerate() {
                    if n != one && random.below(2) == 0 {
                        *other = Arrived::None;
                    }
                }
                if effort.random > 0 {
                    choices.push(arrived);
                }
            }
        }
    }

    fn build(&self, choice: &Choice) -> Overlay {
        let mut disk = self.history.before.clone();
        let mut pending = self.pending.iter().zip(choice).peekable();
        for (at, event) in self.history.events[..self.cut].iter().enumerate() {
            let Some((offset, data)) = event.write() else {
                continue;
            };
            let mut arrived = Arrived::All;
            if pending.peek().is_some_and(|(&write, _)| write == at) {
                arrived = *pending.next().unwrap().1;
            }
            debug_assert!(self.durable[at] || self.pending.contains(&at));
            put(&mut disk, offset, data, arrived);
        }
        disk
    }
}

fn put(disk: &mut Overlay, offset: u64, data: &[u8], arrived: Arrived) {
    for (n, sector) in data.chunks(SECTOR).enumerate() {
        let is_there = match arrived {
            Arrived::All => true,
            Arrived::None => false,
            Arrived::Some(mask) => n >= 64 || mask & (1 << n) != 0,
        };
        if is_there {
            disk.write(offset + (n * SECTOR) as u64, sector).unwrap();
        }
    }
}

/// Which state of a history: after how many events, and which of the choices there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Events before the cut.
    pub cut: usize,
    /// The number of the choice.
    pub choice: usize,
    /// Writes that have arrived, whatever the choice says of them.
    pub arrived: Vec<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cut, self.choice)?;
        self.arrived.iter().try_for_each(|at| write!(f, "+{at}"))
    }
}

impl Place {
    /// What [`Self::fmt`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let (cut, rest) = text.split_once('.')?;
        let mut numbers = rest.split('+').map(str::parse);
        Some(Self {
            cut: cut.parse().ok()?,
            choice: numbers.next()?.ok()?,
            arrived: numbers.collect::<Result<_, _>>().ok()?,
        })
    }
}

/// Calls `each` with the states of a history, from the first event of its last action on, until it
/// answers `false`.
pub fn for_each(history: &History, effort: &Effort, mut each: impl FnMut(Place, Overlay) -> bool) {
    for cut in history.last..=history.events.len() {
        let point = Point::new(history, cut);
        for (choice, chosen) in point.choices(effort).iter().enumerate() {
            let arrived = Vec::new();
            let place = Place {
                cut,
                choice,
                arrived,
            };
            if !each(place, point.build(chosen)) {
                return;
            }
        }
    }
}

#[cfg(test)]
/// The state in which all that was written before the cut has arrived.
pub fn whole(history: &History, cut: usize) -> Overlay {
    let point = Point::new(history, cut);
    let all = vec![Arrived::All; point.pending.len()];
    point.build(&all)
}

/// The point of a place, and what has arrived there.
fn find<'h>(history: &'h History, effort: &Effort, place: &Place) -> Option<(Point<'h>, Choice)> {
    if place.cut > history.events.len() {
        return None;
    }
    let point = Point::new(history, place.cut);
    let mut choice = point.choices(effort).into_iter().nth(place.choice)?;
    for write in &place.arrived {
        let at = point.pending.iter().position(|pending| pending == write)?;
        choice[at] = Arrived::All;
    }
    Some((point, choice))
}

/// The writes that have not arrived as a whole in a state.
pub fn missing(history: &History, effort: &Effort, place: &Place) -> Vec<usize> {
    let Some((point, choice)) = find(history, effort, place) else {
        return Vec::new();
    };
    let writes = point.pending.iter().zip(choice);
    let missing = writes.filter(|(_, arrived)| *arrived != Arrived::All);
    missing.map(|(write, _)| *write).collect()
}

/// One state again, and what it consists of.
pub fn at(history: &History, effort: &Effort, place: &Place) -> Option<(Overlay, String)> {
    let (point, choice) = find(history, effort, place)?;
    let mut text = String::new();
    for (write, arrived) in point.pending.iter().zip(&choice) {
        let (offset, data) = history.events[*write].write()?;
        text += &format!(
            "  write {write}, {} bytes at {offset}: {arrived:x?}\n",
            data.len()
        );
    }
    Some((point.build(&choice), text))
}
