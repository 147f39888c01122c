// SPDX-License-Identifier: GPL-2.0

//! What must be on the disk before the size of a file may change there.
//!
//! Nothing orders data with the commit of a size but this: what the size on disk will cover must be
//! there before, and so must the zeroes in a block that is cut, for nothing waits for them when the
//! file grows again later. Each step gives the value that the next one needs, and the last one is the
//! only way to [`Filesystem::truncate`](crate::core::mount::Filesystem::truncate).

use super::Inode;
use core::ops::Range;

/// A new size for a file whose page cache is as it was.
#[derive(Debug)]
#[must_use = "the size does not change by itself"]
pub struct Resize<'i> {
    inode: &'i Inode,
    /// The size until now, in memory, and the new one, in bytes.
    old: u64,
    new: u64,
    block_size: u64,
}

/// The page cache has zeroes where the file ends, or ended.
#[derive(Debug)]
#[must_use = "the size does not change by itself"]
pub struct Zeroed<'i>(Resize<'i>);

/// The disk holds all that the new size needs.
#[derive(Debug)]
#[must_use = "the size does not change by itself"]
pub struct Settled<'i> {
    pub(in crate::core) inode: &'i Inode,
    pub(in crate::core) size: u64,
    /// The file does not grow: blocks behind its end are freed. One that does may have got them beforehand
    /// (`fallocate`).
    pub(in crate::core) frees: bool,
}

impl<'i> Resize<'i> {
    pub(in crate::core) fn new(inode: &'i Inode, old: u64, new: u64, block_size: u32) -> Self {
        Self {
            inode,
            old,
            new,
            block_size: block_size.into(),
        }
    }

    /// What is to be zeroed: the rest of the block in which the file will end, or in which it ends
    /// before it grows (a mapping may have left bytes there).
    fn end(&self) -> Range<u64> {
        let kept = self.old.min(self.new);
        let end = kept
            .checked_next_multiple_of(self.block_size)
            .unwrap_or(u64::MAX);
        match self.new {
            new if new > self.old => kept..end.min(new),
            new if new < self.old => kept..end,
            _ => kept..kept,
        }
    }

    /// Lets `zero` zero these bytes in the page cache, if there are any.
    pub fn zero<E>(self, zero: impl FnOnce(Range<u64>) -> Result<(), E>) -> Result<Zeroed<'i>, E> {
        let end = self.end();
        if !end.is_empty() {
            zero(end)?;
        }
        Ok(Zeroed(self))
    }
}

impl<'i> Zeroed<'i> {
    /// The first and the last byte that must be written, with `disk_size` as the size on disk.
    fn needed(&self, disk_size: u64) -> Option<(u64, u64)> {
        let Resize { old, new, .. } = self.0;
        let kept = old.min(new);
        let is_cut = new < old && kept.checked_rem(self.0.block_size) != Some(0);
        (disk_size < kept || new > old || is_cut).then_some((disk_size.min(kept), kept))
    }

    /// Lets `write` write the page cache back, from one byte up to and with another, and wait for it,
    /// if the disk lacks some of it.
    pub fn write<E>(self, write: impl FnOnce(u64, u64) -> Result<(), E>) -> Result<Settled<'i>, E> {
        if let Some((first, last)) = self.needed(self.0.inode.disk_size()) {
            write(first, last)?;
        }
        Ok(Settled {
            inode: self.0.inode,
            size: self.0.new,
            frees: self.0.new <= self.0.old,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mount::{Landed, MountOptions, State};
    use crate::format::units::FileBlock;
    use crate::host::recording::Recording;
    use crate::hostfs::HostFs;
    use crate::testing;

    /// What is zeroed and what is written when a file of `old` bytes, `disk` of them on disk, gets `new`.
    fn asked(old: u64, new: u64, disk: u64) -> (Option<Range<u64>>, Option<(u64, u64)>) {
        let image = testing::mkfs(4 << 20, &["-b", "1024"]);
        let mut fs = HostFs::mount(Recording::new(image), &MountOptions::default()).unwrap();
        fs.create("/file", 0o644).unwrap();
        fs.truncate("/file", disk).unwrap();
        let inode = fs.resolve("/file").unwrap();
        let (mut zeroed, mut written) = (None, None);
        let settled = fs
            .fs
            .resize(&inode, old, new)
            .zero(|end| {
                zeroed = Some(end);
                Ok::<(), ()>(())
            })
            .unwrap()
            .write(|first, last| {
                written = Some((first, last));
                Ok::<(), ()>(())
            })
            .unwrap();
        fs.fs.truncate(settled).unwrap();
        assert_eq!(inode.disk_size(), new);
        fs.unmount().unwrap();
        (zeroed, written)
    }

    #[test]
    fn what_a_new_size_needs() {
        // Cut inside a block: its zeroes, and they are written.
        assert_eq!(
            asked(3000, 1500, 3000),
            (Some(1500..2048), Some((1500, 1500)))
        );
        // Cut between blocks: nothing.
        assert_eq!(asked(3000, 2048, 3000), (None, None));
        assert_eq!(asked(3000, 0, 3000), (None, None));
        // Neither is there anything to write of what was never on the disk and is dropped.
        assert_eq!(asked(3000, 0, 0), (None, None));
        assert_eq!(asked(5000, 1024, 1024), (None, None));
        // What is not on the disk, and will be covered, is written.
        assert_eq!(asked(5000, 4096, 1024), (None, Some((1024, 4096))));
        assert_eq!(asked(5000, 5000, 1024), (None, Some((1024, 5000))));
        // The block that the file ended in has zeroes behind it before it grows.
        assert_eq!(
            asked(3000, 9000, 3000),
            (Some(3000..3072), Some((3000, 3000)))
        );
        assert_eq!(
            asked(3000, 3010, 3000),
            (Some(3000..3010), Some((3000, 3000)))
        );
        assert_eq!(asked(2048, 9000, 2048), (None, Some((2048, 2048))));
    }

    #[test]
    fn what_was_allocated_beforehand_stays_when_the_file_grows_into_it() {
        let image = testing::TempFile::with(&testing::mkfs(4 << 20, &["-b", "1024"]));
        for request in ["write /dev/null file", "fallocate /file 0 9"] {
            testing::run("debugfs", &["-w", "-R", request], &image.0);
        }
        let device = Recording::new(std::fs::read(&image.0).unwrap());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let mut resized = |size| {
            fs.truncate("/file", size).unwrap();
            fs.resolve("/file").unwrap().attributes().blocks / 2
        };
        assert_eq!(resized(1024), 10);
        assert_eq!(resized(4000), 10);
        assert_eq!(resized(4000), 4);
        fs.unmount().unwrap();
        testing::assert_clean(&device.contents());
    }

    /// A truncation has set the size in memory when writes of what it cuts off end, and its own handle
    /// comes in a later transaction.
    #[test]
    fn what_lands_behind_the_new_end_is_left_out() {
        let image = testing::mkfs(4 << 20, &["-b", "1024"]);
        let recording = Recording::new(image);
        let mut fs = HostFs::mount(recording.clone(), &MountOptions::default()).unwrap();
        fs.create("/file", 0o644).unwrap();
        fs.write("/file", 0, &[7; 8192]).unwrap();
        let inode = fs.resolve("/file").unwrap();
        fs.submit(inode.ino()).unwrap();
        let first = fs.fs.map(&inode, FileBlock(0), 8).unwrap();
        let State::InFlight(block) = first.state else {
            panic!("{first:?}");
        };
        assert_eq!(first.len, 8);
        let landed = Landed {
            pos: 0,
            len: 8192,
            place: Some(block),
        };
        let resize = fs.fs.resize(&inode, 8192, 1500);
        fs.fs.data_landed(&inode, &[landed], 1500).unwrap();
        assert_eq!(inode.disk_size(), 1500);
        let rest = fs.fs.map(&inode, FileBlock(0), 8).unwrap();
        assert_eq!((rest.state, rest.len), (State::Written(block), 2));
        fs.fs.sync(true).unwrap();
        // Power fails here.
        let cut = Recording::new(recording.contents_after(recording.event_count()));
        let after = HostFs::mount(cut.clone(), &MountOptions::default()).unwrap();
        after.unmount().unwrap();
        testing::assert_clean(&cut.contents());
        let zeroed = resize.zero(|_| Ok::<(), ()>(())).unwrap();
        let settled = zeroed.write(|_, _| Ok::<(), ()>(())).unwrap();
        fs.fs.truncate(settled).unwrap();
        let hole = fs.fs.map(&inode, FileBlock(2), 6).unwrap();
        assert_eq!((hole.state, hole.len), (State::Hole, 6));
        drop(inode);
        fs.unmount().unwrap();
        testing::assert_clean(&recording.contents());
    }
}
