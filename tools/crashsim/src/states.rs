// SPDX-License-Identifier: GPL-2.0

//! The states in which a power cut may leave the disk.
//!
//! After each event of the device: every write that is durable is there, in its order; of the others,
//! each of their sectors may be there or not. So a state is a choice for each write that is not
//! durable: all of it, nothing, or some of its sectors. An order in which an older write of the same
//! sectors reaches the disk last is the choice without the newer one; only writes that were on their
//! way at the same time can overtake each other besides.

use crate::record::History;
use host_core::host::overlay::{Overlay, SECTOR};
use host_core::host::recording::{durable, Event};
use host_core::testing::Random;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Choice {
    arrived: Vec<Arrived>,
    /// Writes that were on their way land last.
    late: bool,
}

impl Choice {
    fn of(arrived: Vec<Arrived>) -> Self {
        Self {
            arrived,
            late: false,
        }
    }
}

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
        let mut choices = vec![Choice::of(vec![Arrived::All; count])];
        if self.overtakes() {
            choices.push(Choice {
                late: true,
                ..choices[0].clone()
            });
        }
        if count == 0 {
            return choices;
        }
        choices.push(Choice::of(vec![Arrived::None; count]));
        let mut random = Random::new(effort.seed ^ ((self.cut as u64) << 32));
        self.subsets(effort, &mut random, &mut choices);
        self.torn(effort, &mut random, &mut choices);
        let mut seen = std::collections::HashSet::new();
        choices.retain(|choice| seen.insert(choice.clone()));
        choices
    }

    /// Whether a write was on its way while another of the same sectors was.
    fn overtakes(&self) -> bool {
        let span = |at: usize| {
            let write = self.history.events[at].write();
            write.map(|(offset, data)| offset..offset + data.len() as u64)
        };
        let events = &self.history.events[..self.cut];
        let submitted = events.iter().enumerate();
        let mut submitted = submitted.filter(|(_, event)| matches!(event, Event::Submit(..)));
        submitted.any(|(at, _)| {
            let end = events
                .iter()
                .position(|event| matches!(event, Event::Complete(write) if *write == at))
                .unwrap_or(self.cut);
            let mine = span(at).unwrap_or(0..0);
            (at + 1..end).any(|other| {
                span(other).is_some_and(|other| other.start < mine.end && mine.start < other.end)
            })
        })
    }

    fn subsets(&self, effort: &Effort, random: &mut Random, choices: &mut Vec<Choice>) {
        let count = self.pending.len();
        let subset = |has: &mut dyn FnMut(usize) -> bool| {
            let arrived = |n| if has(n) { Arrived::All } else { Arrived::None };
            Choice::of((0..count).map(arrived).collect())
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
                choices.push(Choice::of(arrived.clone()));
                // And without some of what came before and after.
                for (n, other) in arrived.iter_mut().enumerate() {
                    if n != one && random.below(2) == 0 {
                        *other = Arrived::None;
                    }
                }
                if effort.random > 0 {
                    choices.push(Choice::of(arrived));
                }
            }
        }
    }

    fn build(&self, choice: &Choice) -> Overlay {
        let mut disk = self.history.before.clone();
        let mut late = Vec::new();
        let mut pending = self.pending.iter().zip(&choice.arrived).peekable();
        for (at, event) in self.history.events[..self.cut].iter().enumerate() {
            let Some((offset, data)) = event.write() else {
                continue;
            };
            let mut arrived = Arrived::All;
            if pending.peek().is_some_and(|(&write, _)| write == at) {
                arrived = *pending.next().unwrap().1;
            }
            debug_assert!(self.durable[at] || self.pending.contains(&at));
            if choice.late && matches!(event, Event::Submit(..)) {
                late.push((offset, data, arrived));
            } else {
                put(&mut disk, offset, data, arrived);
            }
        }
        for (offset, data, arrived) in late {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Events before the cut.
    pub cut: usize,
    /// The number of the choice.
    pub choice: usize,
}

/// Calls `each` with the states of a history, from the first event of its last action on, until it
/// answers `false`.
pub fn for_each(history: &History, effort: &Effort, mut each: impl FnMut(Place, Overlay) -> bool) {
    for cut in history.last..=history.events.len() {
        let point = Point::new(history, cut);
        for (choice, chosen) in point.choices(effort).iter().enumerate() {
            if !each(Place { cut, choice }, point.build(chosen)) {
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
    point.build(&Choice::of(all))
}

/// One state again, and what it consists of.
pub fn at(history: &History, effort: &Effort, place: Place) -> Option<(Overlay, String)> {
    if place.cut > history.events.len() {
        return None;
    }
    let point = Point::new(history, place.cut);
    let choices = point.choices(effort);
    let choice = choices.get(place.choice)?;
    let mut text = String::new();
    for (write, arrived) in point.pending.iter().zip(&choice.arrived) {
        let (offset, data) = history.events[*write].write()?;
        text += &format!(
            "  write {write}, {} bytes at {offset}: {arrived:x?}\n",
            data.len()
        );
    }
    Some((point.build(choice), text))
}
