// SPDX-License-Identifier: GPL-2.0

//! Mounting and unmounting, and what concerns a mount as a whole.

use super::error::OrErrno;
use super::iget::{from_vfs, iget};
use super::sysfs::Shown;
use super::{options, writeback, xattr, InodeExt, Mount, Mounted, Rext4};
use crate::core::error::Error as CoreError;
use crate::core::mount::{ErrorPolicy, Filesystem};
use crate::format::geometry::special;
use crate::linux::fs::attr::{Space, StatFs};
use crate::linux::fs::context::{Context, ContextOps};
use crate::linux::fs::inode::{dirty, Inode};
use crate::linux::fs::params::{Param, ParamTable};
use crate::linux::fs::sb::{flag, NewSuper, Rooted, SuperBlock};
use crate::linux::fs::super_ops::SuperOps;
use crate::linux::fs::writeback::Finished;
use crate::linux::mm::shrinker::{Shrink, Shrinker};
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::SetOnce;

type Result<T = ()> = kernel::error::Result<T>;

/// What `statfs` names ext4 by.
const MAGIC: u64 = 0xef53;

impl Drop for Mounted {
    fn drop(&mut self) {
        // The device is still open. Errors were logged where they happened; nobody is left to be told.
        let _ = self.0.unmount();
    }
}

impl Shrink for Filesystem {
    fn count(&self) -> usize {
        self.reclaimable()
    }

    fn scan(&self, limit: usize) -> Option<usize> {
        Some(self.reclaim(limit))
    }
}

impl ContextOps for Rext4 {
    const PARAMS: &'static ParamTable = &options::TABLE;

    fn parse_param(options: &mut options::Options, param: &Param<'_>, cx: &Context<'_>) -> Result {
        options::parse(options, param, cx)
    }

    fn fill_super(
        mut sb: NewSuper<'_, Self>,
        options: &mut options::Options,
        cx: &Context<'_>,
    ) -> Result<Rooted> {
        options.mount.read_only = cx.is_read_only();
        let device = sb.device().inspect_err(|_| {
            cx.error(format_args!(
                "the page cache of the device cannot be written"
            ));
        });
        let fs = Filesystem::mount(device?, &options.mount).inspect_err(|error| {
            // What is refused was explained in the log.
            if matches!(error, CoreError::Corrupt(..) | CoreError::Io(_)) {
                cx.error(format_args!("{error}"));
            }
        });
        let fs = Mounted(fs.errno()?);
        let mount = Mount {
            sysfs: SetOnce::new(),
            _shrinker: Shrinker::register(c"rext4-metadata", fs.0.clone())?,
            fs,
        };
        describe(&mut sb, &mount.fs)?;
        let sb = sb.attach(mount)?;
        let shown = Shown(sb.data().fs.0.clone());
        sb.data().sysfs.populate(sb.sysfs_folder(shown)?);
        let root = iget(&sb, special::ROOT)?;
        sb.set_root(root)
    }

    fn reconfigure(
        sb: &SuperBlock<Self>,
        options: &mut options::Options,
        cx: &Context<'_>,
    ) -> Result {
        options.mount.read_only = cx.is_read_only();
        let fs = &sb.data().fs;
        // After an error nothing can be written any more, and the remount is to succeed even so.
        if options.mount.read_only && !fs.is_read_only() {
            sb.sync_filesystem()?;
        }
        sb.wait_for_completions();
        fs.remount(&options.mount).errno()
    }
}

/// Tells the VFS about the file system.
fn describe(sb: &mut NewSuper<'_, Rext4>, fs: &Filesystem) -> Result {
    sb.set_block_size(fs.block_size())?;
    let (min, max) = fs.time_range();
    let granularity = if fs.has_nanoseconds() {
        1
    } else {
        1_000_000_000
    };
    sb.set_magic(MAGIC)
        .set_max_bytes(fs.max_file_size())
        .set_times(granularity, min, max)
        .set_uuid(&fs.uuid())
        .set_cgroup_writeback()
        .allow_hsm()
        .set_xattr_handlers(&xattr::HANDLERS)
        .set_export_ops()
        .set_flags(flag::POSIXACL, 0);
    if fs.is_read_only() {
        sb.set_flags(flag::RDONLY, 0);
    }
    Ok(())
}

#[vtable]
impl SuperOps for Rext4 {
    fn evict_inode(inode: &Inode<Self>) {
        if let Ok(core) = inode.core() {
            let guard = (inode.nlink() == 0).then(|| inode.sb().start_internal_write());
            // Errors were logged and recorded; the inode stays on the orphan list.
            let _ = inode.fs().evict(core);
            drop(guard);
        }
    }

    fn write_inode(inode: &Inode<Self>, wait: bool) -> Result {
        if wait {
            return inode.fs().fsync(inode.core()?, false).errno();
        }
        Ok(())
    }

    fn dirty_inode(inode: &Inode<Self>, flags: u32) {
        if flags & dirty::INODE == 0 {
            return;
        }
        if let Ok(core) = inode.core() {
            // The VFS has no way to be told; what matters was logged.
            let _ = inode.fs().take_times(core, || {
                [inode.atime(), inode.mtime(), inode.ctime()].map(from_vfs)
            });
        }
    }

    fn sync_fs(sb: &SuperBlock<Self>, wait: bool) -> Result {
        sb.wait_for_completions();
        sb.data().fs.sync(wait).errno()
    }

    fn freeze_fs(sb: &SuperBlock<Self>) -> Result {
        sb.wait_for_completions();
        sb.data().fs.freeze().errno()
    }

    fn unfreeze_fs(sb: &SuperBlock<Self>) -> Result {
        // After an error it would stay frozen, and who waits would wait for ever; as it is, they get errors.
        let _ = sb.data().fs.thaw();
        Ok(())
    }

    fn shutdown(sb: &SuperBlock<Self>) {
        let fs = &sb.data().fs;
        if !fs.is_shut_down() {
            fs.shutdown();
            sb.report_shutdown();
        }
    }

    fn statfs(sb: &SuperBlock<Self>, stat: &mut StatFs) -> Result {
        let counts = sb.data().fs.statistics();
        let (low, high) = counts.id.split_at(8);
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        stat.set(Space {
            magic: MAGIC,
            block_size: counts.block_size,
            blocks: counts.blocks,
            free: counts.free,
            available: counts.available,
            inodes: counts.inodes,
            free_inodes: counts.free_inodes,
            name_len: counts.name_max,
            id: word(low) ^ word(high),
        });
        Ok(())
    }

    fn show_options(sb: &SuperBlock<Self>, to: &SeqFile) -> Result {
        let options = sb.data().fs.options();
        match options.errors {
            Some(ErrorPolicy::Continue) => kernel::seq_print!(to, ",errors=continue"),
            Some(ErrorPolicy::RemountReadOnly) => kernel::seq_print!(to, ",errors=remount-ro"),
            Some(ErrorPolicy::Panic) => kernel::seq_print!(to, ",errors=panic"),
            None => {}
        }
        match options.commit_interval {
            None | Some(0 | 5) => {}
            Some(seconds) => kernel::seq_print!(to, ",commit={seconds}"),
        }
        match options.barrier {
            Some(true) => kernel::seq_print!(to, ",barrier"),
            Some(false) => kernel::seq_print!(to, ",nobarrier"),
            None => {}
        }
        if options.ordered {
            kernel::seq_print!(to, ",data=ordered");
        }
        if options.no_recovery {
            kernel::seq_print!(to, ",noload");
        }
        if options.verify {
            kernel::seq_print!(to, ",verify");
        }
        // Not options, but where everybody looks who wonders about a mount.
        if sb.data().fs.is_shut_down() {
            kernel::seq_print!(to, ",shutdown");
        } else if sb.data().fs.has_failed() {
            kernel::seq_print!(to, ",emergency_ro");
        }
        Ok(())
    }

    fn report_error(sb: &SuperBlock<Self>) {
        if let Some(folder) = sb.data().sysfs.as_ref() {
            folder.notify(c"errors_count");
        }
    }

    fn finish_writeback(_: &SuperBlock<Self>, ended: &Finished<'_, Self>) {
        writeback::finish(ended);
    }
}
