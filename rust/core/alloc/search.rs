// SPDX-License-Identifier: GPL-2.0

//! Finding a run for a request: the inode's window, the block right behind the last one, a free
//! area of the size the file is going to have, any long run, and at last anything.

use super::blocks::Locked;
use super::runs;
use super::window::{Goal, Request, Window};
use super::Allocator;
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::journal::Run;
use crate::format::units::{DiskBlock, Group};
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

/// Areas of this size and above begin at a multiple of their size.
const ALIGNED: u32 = 512;
/// Areas of this size and above are looked for in all groups before a smaller one is taken nearby.
const FAR: u32 = 2048;
/// A shorter rest behind the last block is not worth a run of its own.
const LEAST_REST: u32 = 16;
/// How often to look everywhere before giving up.
const PATIENCE: u32 = 4;

/// What a search in one group is after.
#[derive(Clone, Copy, Debug)]
struct Want {
    /// The least free run to accept.
    size: u32,
    /// How much of it to take.
    len: u32,
}

impl Allocator {
    /// Takes a run of at most `len` blocks for the request.
    pub(super) fn search(&self, request: &mut Request<'_>, len: u32) -> Result<Run> {
        let (ino, goal) = (request.ino, request.goal);
        let places = |run: Run| {
            let place = |block, len| {
                let (group, bit) = self.geometry().group_of(block).unwrap_or_default();
                (group, bit, len)
            };
            (place(goal.block(), len), place(run.start, run.len))
        };
        if let Some(run) = self.inside_window(request, len, |start| goal == Goal::Next(start))? {
            events::mballoc_prealloc(&self.device, ino, || places(run));
            return Ok(run);
        }
        if let Some(run) = self.behind(request, len)? {
            events::mballoc_alloc(&self.device, ino, || places(run));
            return Ok(run);
        }
        if let Some(run) = self.inside_window(request, len, |_| true)? {
            events::mballoc_prealloc(&self.device, ino, || places(run));
            return Ok(run);
        }
        let run = self.anew(request, len)?;
        events::mballoc_alloc(&self.device, ino, || places(run));
        Ok(run)
    }

    /// Takes blocks from the inode's window if `fits` says so of its start.
    fn inside_window(
        &self,
        request: &mut Request<'_>,
        len: u32,
        fits: impl Fn(DiskBlock) -> bool,
    ) -> Result<Option<Run>> {
        let Some(window) = request.window.as_deref_mut() else {
            return Ok(None);
        };
        let Some(kept) = window.run.filter(|kept| fits(kept.start)) else {
            return Ok(None);
        };
        let Some((group, bit)) = self.geometry().group_of(kept.start) else {
            return Ok(None);
        };
        let Some(mut locked) = self.lock_or_skip(group)? else {
            window.run = None;
            return Ok(None);
        };
        let got = runs::free_from(&locked.state.busy, bit, len.min(kept.len));
        if got == 0 {
            // Somebody in need took it.
            self.leave(&mut locked, window);
            return Ok(None);
        }
        let range = bit..bit.saturating_add(got);
        locked.take(&range)?;
        let rest = Run {
            start: DiskBlock(kept.start.get().saturating_add(u64::from(got))),
            len: kept.len.saturating_sub(got),
        };
        window.run = Some(rest);
        if rest.len == 0 {
            self.leave(&mut locked, window);
        }
        locked.run(self, &range).map(Some)
    }

    /// Takes blocks right behind the file's last one.
    fn behind(&self, request: &mut Request<'_>, len: u32) -> Result<Option<Run>> {
        let Goal::Next(goal) = request.goal else {
            return Ok(None);
        };
        let Some((group, bit)) = self.geometry().group_of(goal) else {
            return Ok(None);
        };
        let Some(mut locked) = self.lock_or_skip(group)? else {
            return Ok(None);
        };
        let got = runs::free_from(locked.state.bits(), bit, len);
        if got < len.min(LEAST_REST) {
            return Ok(None);
        }
        let area = request.area(len, locked.len);
        let run = self.take_area(&mut locked, request.window.as_deref_mut(), bit, got, area)?;
        Ok(Some(run))
    }

    /// Takes `len` blocks from `bit` on, and keeps the free ones behind them, up to `area` in all,
    /// for the inode's window if it has none.
    fn take_area(
        &self,
        locked: &mut Locked<'_>,
        window: Option<&mut Window>,
        bit: u32,
        len: u32,
        area: u32,
    ) -> Result<Run> {
        let range = bit..bit.saturating_add(len);
        locked.take(&range)?;
        let run = locked.run(self, &range)?;
        let rest = runs::free_from(locked.state.bits(), range.end, area.saturating_sub(len));
        if let (Some(window), true) = (window, rest > 0) {
            let kept = range.end..range.end.saturating_add(rest);
            // A wish only: the blocks are taken already, and want of memory must not lose them.
            if window.run.is_none() && locked.claim(&kept).is_ok() {
                window.run = locked.run(self, &kept).ok();
            }
        }
        Ok(run)
    }

    /// Takes a run in a new place.
    fn anew(&self, request: &mut Request<'_>, len: u32) -> Result<Run> {
        let home = self
            .geometry()
            .group_of(request.goal.block())
            .map_or(Group(0), |(group, _)| group);
        let area = request.area(len, self.geometry().blocks_per_group().get());
        let mut window = request.window.as_deref_mut();
        let mut size = area;
        loop {
            let want = Want { size, len };
            let found = if area >= FAR {
                self.anywhere(home, want, &mut window)?
            } else {
                self.try_group(home, want, &mut window)?
            };
            if let Some(run) = found {
                return Ok(run);
            }
            if size <= len {
                break;
            }
            size = (size / 2).max(len);
        }
        // Nearby there is no place for it in one piece.
        while size > 0 {
            let want = Want {
                size,
                len: size.min(len),
            };
            if let Some(run) = self.anywhere(home, want, &mut window)? {
                return Ok(run);
            }
            size /= 2;
        }
        self.scrape(home, len)
    }

    /// Searches all groups that may have a run, from `home` on.
    fn anywhere(
        &self,
        home: Group,
        want: Want,
        window: &mut Option<&mut Window>,
    ) -> Result<Option<Run>> {
        for (from, end) in [(home.get(), self.groups.count()), (0, home.get())] {
            let mut at = Group(from);
            while let Some(group) = self
                .groups
                .sizes
                .next(at, want.size)
                .filter(|group| group.get() < end)
            {
                if let Some(run) = self.try_group(group, want, window)? {
                    return Ok(Some(run));
                }
                at = Group(group.get().saturating_add(1));
            }
        }
        Ok(None)
    }

    /// Takes a run in this group if it has a long enough one.
    fn try_group(
        &self,
        group: Group,
        want: Want,
        window: &mut Option<&mut Window>,
    ) -> Result<Option<Run>> {
        let info = self.groups.get(group);
        if info.is_none_or(|info| info.longest.load(Relaxed) < want.size) {
            return Ok(None);
        }
        let Some(mut locked) = self.lock_or_skip(group)? else {
            return Ok(None);
        };
        let aligned = if want.size >= ALIGNED {
            runs::aligned(locked.state.bits(), locked.len, want.size)
        } else {
            None
        };
        let Some(bit) = aligned.or_else(|| locked.find(want.size)) else {
            locked.measure();
            return Ok(None);
        };
        self.take_area(&mut locked, window.as_deref_mut(), bit, want.len, want.size)
            .map(Some)
    }

    /// Takes what there is, other inodes' windows included: they are wishes only.
    fn scrape(&self, home: Group, len: u32) -> Result<Run> {
        // What was promised is there, but others' comings and goings may hide it for a moment.
        for _ in 0..PATIENCE {
            if let Some(run) = self.scrape_once(home, len)? {
                return Ok(run);
            }
        }
        Err(Error::NoSpace)
    }

    fn scrape_once(&self, home: Group, len: u32) -> Result<Option<Run>> {
        let count = self.groups.count();
        for group in (home.get()..count).chain(0..home.get()).map(Group) {
            if self
                .groups
                .get(group)
                .is_none_or(|info| info.free.load(Relaxed) == 0)
            {
                continue;
            }
            let Some(mut locked) = self.lock_or_skip(group)? else {
                continue;
            };
            let Range { start, end } = runs::longest(&locked.state.busy, locked.len);
            let range = start..end.min(start.saturating_add(len));
            if !range.is_empty() {
                locked.take(&range)?;
                return locked.run(self, &range).map(Some);
            }
        }
        Ok(None)
    }

    /// Locks a group; `None` if it cannot be used, which is remembered for the facade.
    pub(super) fn lock_or_skip(&self, group: Group) -> Result<Option<Locked<'_>>> {
        match self.lock(group) {
            Ok(locked) => Ok(Some(locked)),
            Err(Error::NoMemory) => Err(Error::NoMemory),
            Err(Error::NoSpace) => Ok(None),
            Err(error) => {
                self.note_fault(error);
                Ok(None)
            }
        }
    }

    /// Lets others take what is left of a window in the locked group.
    fn leave(&self, locked: &mut Locked<'_>, window: &mut Window) {
        let Some(kept) = window.run.take() else {
            return;
        };
        events::release_window(&self.device, kept);
        // An empty rest may begin in the next group, or past the last one.
        let bit = self
            .geometry()
            .group_of(kept.start)
            .map_or(0, |(_, bit)| bit);
        locked.unclaim(&(bit..bit.saturating_add(kept.len)));
    }

    /// Gives an inode's window up: its last writer closed it, or it leaves memory.
    pub fn release_window(&self, window: &mut Window) {
        let Some(kept) = window.run else {
            return;
        };
        let locked = self
            .geometry()
            .group_of(kept.start)
            .map(|(group, _)| self.lock(group));
        match locked {
            Some(Ok(mut locked)) => self.leave(&mut locked, window),
            _ => window.run = None,
        }
    }
}
