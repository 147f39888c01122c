// SPDX-License-Identifier: GPL-2.0

//! Unmount, remount, sync, freeze.

use super::errors::NO_INODE;
use super::options::{wants_data_journal, Effective, ErrorPolicy, MountOptions, NO_DATA_JOURNAL};
use super::superblock::free_inodes;
use super::Filesystem;
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::journal::Quiet;
use crate::core::platform::{log, Level};
use core::sync::atomic::Ordering;

impl Filesystem {
    /// Ends the mount: all is committed and in its place, the superblock says that nothing is to be
    /// recovered. No other call may follow.
    pub fn unmount(&self) -> Result {
        self.say_unmounting();
        let Some(journal) = &self.volume.journal else {
            return Ok(());
        };
        let writable = !self.is_read_only();
        let closed = journal.close();
        if !writable {
            return Ok(());
        }
        if let Some(why) = journal.aborted() {
            self.abort_noticed(&why);
        }
        let closed = closed.and_then(|quiet| self.mark_clean(&quiet));
        events::unmount(&self.volume.device, closed.is_ok());
        if let Err(error) = &closed {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("unmount: {error}; the journal is left to recovery"),
            );
        }
        closed
    }

    /// Ends all writing at once, as a power cut would: what is not durable is lost.
    pub fn shutdown(&self) {
        self.shut_down.store(true, Ordering::Release);
        self.failed.store(true, Ordering::Release);
        if let Some(journal) = &self.volume.journal {
            journal.abort(Error::Shutdown);
        }
    }

    /// [`Self::shutdown`], but what was changed in metadata so far becomes durable first.
    pub fn shutdown_after_commit(&self) {
        if let (Some(journal), false) = (&self.volume.journal, self.is_read_only()) {
            // It ends either way.
            let _ = journal.commit_all();
        }
        self.shutdown();
    }

    /// Makes what was changed durable; without `wait` only asks for it.
    ///
    /// The caller has written the files' data before.
    pub fn sync(&self, wait: bool) -> Result {
        events::sync_fs(&self.volume.device, wait);
        if self.has_failed() {
            return Err(self.stopped());
        }
        if self.is_read_only() {
            return Ok(());
        }
        let synced = self.sync_journal(wait);
        let flushed = self.report("sync", NO_INODE, synced)?;
        self.flush_data(flushed || !wait)
    }

    /// Commits, or asks for it. Whether that has flushed the device's cache.
    fn sync_journal(&self, wait: bool) -> Result<bool> {
        let journal = self.volume.journal()?;
        if !wait {
            journal.request_commit(journal.newest());
            return Ok(false);
        }
        match self.update_counts() {
            // It is frozen, which has brought them up to date.
            Ok(()) | Err(Error::ReadOnly) => {}
            Err(error) => return Err(error),
        }
        journal.commit_all()
    }

    /// Brings the counts in the superblock up to date if they are not.
    fn update_counts(&self) -> Result {
        let counts = self.volume.allocator.statistics();
        let (blocks, inodes) = (counts.settled_free_blocks, free_inodes(&counts));
        let differ = |raw: &crate::format::superblock::RawSuperblock| {
            raw.free_blocks() != blocks || raw.free_inodes_count.get() != inodes
        };
        if !self.volume.view_superblock(differ)? {
            return Ok(());
        }
        self.volume.change(1, |handle| {
            self.volume.edit_superblock(handle, |raw| {
                raw.set_free_blocks(blocks);
                raw.set_free_inodes(inodes);
            })
        })
    }

    /// Changes the options of a mount, between reading and writing too; what is not said stays as it is.
    ///
    /// Before it goes read-only, the caller has written all data. Who still changes something then either
    /// is done before the disk is marked clean, or gets [`Error::ReadOnly`].
    pub fn remount(&self, change: &MountOptions) -> Result {
        let was_read_only = self.read_only.load(Ordering::Acquire);
        let options = self.options().changed_by(change);
        if change.no_recovery && !options.no_recovery {
            log(
                Level::Warning,
                &self.volume.device,
                format_args!("noload has no effect: the journal was loaded when it was mounted"),
            );
        }
        if options.no_recovery && !options.read_only {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("cannot remount for writing: it was mounted with noload"),
            );
            return Err(Error::Invalid);
        }
        if self.has_failed() && !options.read_only {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("remount: errors have ended all writing"),
            );
            return Err(Error::ReadOnly);
        }
        match (was_read_only, options.read_only) {
            (false, true) => self.go_read_only()?,
            (true, false) => self.return_to_writing(&options)?,
            _ => {}
        }
        let effective = Effective::new(&options, &self.volume.superblock);
        if let Some(journal) = &self.volume.journal {
            journal.set_interval(u64::from(effective.commit_milliseconds));
            journal.set_barrier(effective.barrier);
            journal.set_verify(options.verify);
            journal.set_lenient(effective.errors == ErrorPolicy::Continue);
        }
        *self.options.lock() = (options, effective);
        self.say_remounted(was_read_only);
        Ok(())
    }

    fn go_read_only(&self) -> Result {
        if self.has_failed() {
            self.read_only.store(true, Ordering::Release);
            return Ok(());
        }
        let resting = self.come_to_rest().map(|quiet| {
            self.read_only.store(true, Ordering::Release);
            quiet.bar();
        });
        self.report("remount", NO_INODE, resting)
    }

    /// Brings everything into its place, and says that nothing is to be recovered. No handle starts before
    /// what this returns has ended.
    fn come_to_rest(&self) -> Result<Quiet<'_>> {
        let quiet = self.volume.journal()?.quiesce()?;
        self.mark_clean(&quiet)?;
        Ok(quiet)
    }

    fn return_to_writing(&self, options: &MountOptions) -> Result {
        let device = &self.volume.device;
        if wants_data_journal(options, &self.volume.superblock) {
            log(Level::Error, device, format_args!("{NO_DATA_JOURNAL}"));
            return Err(Error::Invalid);
        }
        if let Some(obstacle) = self.obstacle_to_writing()? {
            log(
                Level::Error,
                device,
                format_args!("cannot remount for writing: {obstacle}"),
            );
            return Err(Error::ReadOnly);
        }
        if device.is_read_only() || self.volume.journal.is_none() {
            log(Level::Error, device, format_args!("cannot remount for writing: the device is read-only or its journal was not loaded"));
            return Err(Error::ReadOnly);
        }
        if !self.orphans.is_empty() {
            log(
                Level::Error,
                device,
                format_args!(
                    "cannot remount for writing: orphans are left, unmount and mount again"
                ),
            );
            return Err(Error::Invalid);
        }
        let marked = self.go_writable();
        self.report("remount", NO_INODE, marked)
    }

    /// Brings the disk into a state that could be mounted anywhere: everything in its place, the
    /// journal empty. The caller keeps writers out until [`Self::thaw`]; who comes nevertheless gets
    /// [`Error::ReadOnly`].
    pub fn freeze(&self) -> Result {
        if self.is_read_only() {
            return Ok(());
        }
        let frozen = self.come_to_rest().map(Quiet::bar);
        self.report("freeze", NO_INODE, frozen)
    }

    /// Ends [`Self::freeze`]. If that fails it ends all writing: what is written below a superblock that
    /// says "clean" might not be recovered.
    pub fn thaw(&self) -> Result {
        if self.is_read_only() {
            return Ok(());
        }
        let journal = self.volume.journal()?;
        let thawed = journal.quiesce().and_then(|quiet| {
            self.mark_in_use(&quiet)?;
            quiet.admit();
            Ok(())
        });
        if let Err(error) = &thawed {
            journal.abort(*error);
        }
        self.report("thaw", NO_INODE, thawed)
    }

    /// Whether [`Self::record_mount_path`] is due, when something in it is used: says so once for each
    /// mount, so that a path that cannot be recorded is not made again.
    pub fn mount_path_is_due(&self) -> bool {
        !self.path_recorded.load(Ordering::Relaxed)
            && !self.is_read_only()
            && !self.path_recorded.swap(true, Ordering::Relaxed)
    }

    /// Remembers in the superblock where it is mounted (cut to 64 bytes), for a person who finds the disk.
    /// A disk that is always mounted at one place costs no write.
    pub fn record_mount_path(&self, path: &[u8]) {
        let volume = &self.volume;
        let known = volume.view_superblock(|raw| raw.was_mounted_at(path));
        let recorded = known.and_then(|known| match known {
            true => Ok(()),
            false => volume.change(1, |handle| {
                volume.edit_superblock(handle, |raw| raw.set_last_mounted(path))
            }),
        });
        // Nothing depends on it: while it is frozen, say, it stays unrecorded. Damage was reported.
        let _ = self.report("record_mount_path", NO_INODE, recorded);
    }
}
