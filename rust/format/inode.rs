// SPDX-License-Identifier: GPL-2.0

//! Inode records: 128 bytes, and in larger records `i_extra_isize` bytes more, then xattrs.
//!
//! Source: `Documentation/filesystems/ext4/inodes.rst`, `inode_table.rst`.

use super::{
    fault::{Fault, InodeFault as I, Record},
    features::bit_set,
    geometry::Geometry,
    units::DiskBlock,
    xattr::Attrs,
};
use zerocopy::{
    little_endian::{U16, U32},
    FromBytes,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Length of the part every record has.
pub const BASE_LEN: usize = 128;
/// Extra bytes this format knows (up to and with `i_projid`).
pub const KNOWN_EXTRA: u16 = 32;
/// Length of `i_block`: the map's root, or a short symbolic link.
pub const I_BLOCK_LEN: usize = 60;

/// The part every inode record has.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawInode {
    mode: U16,
    uid: U16,
    size_lo: U32,
    atime: U32,
    ctime: U32,
    mtime: U32,
    dtime: U32,
    gid: U16,
    links: U16,
    blocks_lo: U32,
    flags: U32,
    version: U32,
    block: [u8; I_BLOCK_LEN],
    generation: U32,
    file_acl_lo: U32,
    size_high: U32,
    obsolete_faddr: U32,
    blocks_high: U16,
    file_acl_high: U16,
    uid_high: U16,
    gid_high: U16,
    checksum_lo: U16,
    reserved: U16,
}

/// The extra part, as long as it is known. Only its first `extra_isize` bytes are valid.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawExtra {
    extra_isize: U16,
    checksum_hi: U16,
    ctime_extra: U32,
    mtime_extra: U32,
    atime_extra: U32,
    crtime: U32,
    crtime_extra: U32,
    version_hi: U32,
    projid: U32,
}

const _: () = assert!(size_of::<RawInode>() == BASE_LEN);
const _: () = assert!(size_of::<RawExtra>() == KNOWN_EXTRA as usize);

/// Declares the flags of an inode.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl InodeFlags {
            $($(#[$doc])* pub const $name: Self = Self($bit);)*
        }
    };
}

/// Flags of an inode (`i_flags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InodeFlags(pub u32);

flags! {
    /// Overwrite when deleted (ignored).
    SECRM = 0x1;
    /// Keep for undeletion (ignored).
    UNRM = 0x2;
    /// Compress (ignored).
    COMPR = 0x4;
    /// Write synchronously.
    SYNC = 0x8;
    /// May not change.
    IMMUTABLE = 0x10;
    /// May only grow.
    APPEND = 0x20;
    /// Not for dump(8).
    NODUMP = 0x40;
    /// No access times.
    NOATIME = 0x80;
    /// Never compress (ignored).
    NOCOMPR = 0x400;
    /// Encrypted.
    ENCRYPT = 0x800;
    /// A directory with a hash index.
    INDEX = 0x1000;
    /// Data goes through the journal.
    JOURNAL_DATA = 0x4000;
    /// No tail merging (ignored).
    NOTAIL = 0x8000;
    /// Directory changes are synchronous.
    DIRSYNC = 0x1_0000;
    /// Top of a directory hierarchy: subdirectories are spread.
    TOPDIR = 0x2_0000;
    /// `i_blocks` counts file system blocks.
    HUGE_FILE = 0x4_0000;
    /// Mapped by extents.
    EXTENTS = 0x8_0000;
    /// fs-verity.
    VERITY = 0x10_0000;
    /// Holds the value of an extended attribute.
    EA_INODE = 0x20_0000;
    /// Blocks past the end (no longer used).
    EOFBLOCKS = 0x40_0000;
    /// Direct access to persistent memory.
    DAX = 0x200_0000;
    /// Data lies in the inode.
    INLINE_DATA = 0x1000_0000;
    /// Children inherit the project.
    PROJINHERIT = 0x2000_0000;
    /// A directory that ignores case.
    CASEFOLD = 0x4000_0000;
}

bit_set!(InodeFlags);

/// What an inode is, from its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InodeKind {
    /// A file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A pipe with a name.
    Fifo,
    /// A socket.
    Socket,
}

/// The bits of a mode that tell the kind.
pub const MODE_KIND: u16 = 0o170_000;

impl InodeKind {
    /// The kind a mode tells, or `None` when it is none.
    pub const fn of_mode(mode: u16) -> Option<Self> {
        match mode & MODE_KIND {
            0o100_000 => Some(Self::Regular),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            0o020_000 => Some(Self::CharDevice),
            0o060_000 => Some(Self::BlockDevice),
            0o010_000 => Some(Self::Fifo),
            0o140_000 => Some(Self::Socket),
            _ => None,
        }
    }

    /// The bits of a mode that tell this kind.
    pub const fn mode_bits(self) -> u16 {
        match self {
            Self::Regular => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u32,
}

/// The first and the last second an inode can hold: with the two epoch bits, and without.
pub const TIME_MIN: i64 = i32::MIN as i64;
/// See [`TIME_MIN`].
pub const TIME_MAX_EXTRA: i64 = 0x3_7fff_ffff;
/// See [`TIME_MIN`].
pub const TIME_MAX_BASE: i64 = i32::MAX as i64;

impl Timestamp {
    /// From the signed low 32 bits of the seconds and, if there, the extra word: two bits of
    /// epoch and 30 of nanoseconds.
    fn decode(low: U32, extra: Option<U32>) -> Self {
        let sec = i64::from(low.get() as i32);
        match extra {
            None => Self { sec, nsec: 0 },
            Some(extra) => Self {
                sec: sec.saturating_add(i64::from(extra.get() & 3) << 32),
                nsec: (extra.get() >> 2).min(999_999_999),
            },
        }
    }

    /// The low seconds and the extra word; a time out of range becomes the nearest in range.
    fn encode(self, with_extra: bool) -> (U32, U32) {
        let max = if with_extra {
            TIME_MAX_EXTRA
        } else {
            TIME_MAX_BASE
        };
        let sec = self.sec.clamp(TIME_MIN, max);
        let low = sec as i32;
        let epoch = sec.saturating_sub(i64::from(low)) >> 32;
        let extra = (epoch as u32 & 3) | (self.nsec.min(999_999_999) << 2);
        (U32::new(low as u32), U32::new(extra))
    }
}

/// How many bytes of a record that was decoded are extra fields.
pub fn extra_isize(raw: &[u8]) -> u16 {
    super::bytes::le16(raw, BASE_LEN).unwrap_or(0)
}

/// The meaning of an inode record; [`InodeFields::decode`] and [`InodeFields::encode`] are inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeFields {
    /// Kind and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Space used, in sectors of 512 bytes.
    pub blocks: u64,
    /// Links; 1 on a directory may mean "more than can be counted".
    pub links: u16,
    /// Flags, without [`InodeFlags::HUGE_FILE`], which is about the record only.
    pub flags: InodeFlags,
    /// Generation, for NFS and for the seed of checksums.
    pub generation: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Creation, where the record has room for it.
    pub crtime: Option<Timestamp>,
    /// Deletion time in seconds; on an orphan the next one's number.
    pub dtime: u32,
    /// The block of extended attributes, or 0.
    pub file_acl: DiskBlock,
    /// Project, where the record has room for it (else 0).
    pub project: u32,
    /// Valid extra bytes of the record; 0 in records of 128 bytes.
    pub extra_isize: u16,
    /// Root of the map, or a short symbolic link.
    pub i_block: [u8; I_BLOCK_LEN],
    /// Version (change counter): 64 bits where the record has room for it, else 32.
    pub version: u64,
}

/// End of each extra field, counted from the start of the extra part.
mod end {
    pub(super) const CTIME: u16 = 8;
    pub(super) const MTIME: u16 = 12;
    pub(super) const ATIME: u16 = 16;
    pub(super) const CRTIME: u16 = 20;
    pub(super) const CRTIME_EXTRA: u16 = 24;
    pub(super) const VERSION: u16 = 28;
    pub(super) const PROJECT: u16 = 32;
}

impl InodeFields {
    /// Reads a record; `raw` is all of it (`s_inode_size` bytes). The checksum is the caller's to
    /// check before. An unused record (mode and links 0) is fine here.
    ///
    /// # Errors
    ///
    /// A length of the extra part, a size, or an xattr block that cannot be.
    pub fn decode(raw: &[u8], geometry: &Geometry) -> Result<Self, Fault> {
        let short = Fault::short(Record::Inode, BASE_LEN, raw.len());
        let (base, tail) = RawInode::ref_from_prefix(raw).map_err(|_| short)?;
        let (extra_isize, extra) = Self::read_extra(tail)?;
        let has = |end: u16| extra_isize >= end;
        let extra_of = |word: U32, end: u16| has(end).then_some(word);
        let mode = base.mode.get();
        let (flags, blocks) = Self::read_blocks(base, geometry);
        let fields = Self {
            mode,
            uid: (u32::from(base.uid_high.get()) << 16) | u32::from(base.uid.get()),
            gid: (u32::from(base.gid_high.get()) << 16) | u32::from(base.gid.get()),
            size: Self::read_size(base, geometry)?,
            blocks,
            links: base.links.get(),
            flags,
            generation: base.generation.get(),
            atime: Timestamp::decode(base.atime, extra_of(extra.atime_extra, end::ATIME)),
            ctime: Timestamp::decode(base.ctime, extra_of(extra.ctime_extra, end::CTIME)),
            mtime: Timestamp::decode(base.mtime, extra_of(extra.mtime_extra, end::MTIME)),
            crtime: has(end::CRTIME).then(|| {
                Timestamp::decode(
                    extra.crtime,
                    extra_of(extra.crtime_extra, end::CRTIME_EXTRA),
                )
            }),
            dtime: base.dtime.get(),
            file_acl: DiskBlock(
                (u64::from(base.file_acl_high.get()) << 32) | u64::from(base.file_acl_lo.get()),
            ),
            project: if has(end::PROJECT) {
                extra.projid.get()
            } else {
                0
            },
            extra_isize,
            i_block: base.block,
            version: (u64::from(if has(end::VERSION) {
                extra.version_hi.get()
            } else {
                0
            }) << 32)
                | u64::from(base.version.get()),
        };
        if fields.file_acl.get() != 0 && !geometry.has_blocks(fields.file_acl, 1) {
            return Err(Fault::Inode(I::XattrBlock, fields.file_acl.get(), 0));
        }
        Ok(fields)
    }

    /// The extra part: its valid length, and a copy padded with zeros.
    fn read_extra(tail: &[u8]) -> Result<(u16, RawExtra), Fault> {
        let Ok((extra, _)) = RawExtra::ref_from_prefix(tail) else {
            return Ok((0, RawExtra::default()));
        };
        let len = extra.extra_isize.get();
        if usize::from(len) > tail.len() || len % 4 != 0 {
            let limit = super::bytes::wide(tail.len());
            return Err(Fault::Inode(I::ExtraSize, u64::from(len), limit));
        }
        Ok((len, *extra))
    }

    fn read_size(base: &RawInode, geometry: &Geometry) -> Result<u64, Fault> {
        let regular = matches!(
            InodeKind::of_mode(base.mode.get()),
            Some(InodeKind::Regular)
        );
        // In others the high word once had another meaning.
        let high = if regular || geometry.large_dir() {
            base.size_high.get()
        } else {
            0
        };
        let size = (u64::from(high) << 32) | u64::from(base.size_lo.get());
        // The last logical block is never used, so that the block after the last has a number too.
        if size > u64::from(u32::MAX) << geometry.block_bits() {
            return Err(Fault::Inode(I::Size, size, 0));
        }
        Ok(size)
    }

    fn read_blocks(base: &RawInode, geometry: &Geometry) -> (InodeFlags, u64) {
        let flags = InodeFlags(base.flags.get());
        let low = u64::from(base.blocks_lo.get());
        if !geometry.huge_file() {
            return (flags.without(InodeFlags::HUGE_FILE), low);
        }
        let count = (u64::from(base.blocks_high.get()) << 32) | low;
        if flags.has(InodeFlags::HUGE_FILE) {
            let sectors = count << geometry.block_bits().saturating_sub(9);
            return (flags.without(InodeFlags::HUGE_FILE), sectors);
        }
        (flags, count)
    }

    /// Writes the record in place. What these fields do not own (the checksum, the reserved
    /// words, xattrs) stays; what the record has no room for is not written. Seal afterwards.
    ///
    /// # Errors
    ///
    /// When the extra length does not fit, or the blocks cannot be counted in this format.
    pub fn encode(&self, raw: &mut [u8], geometry: &Geometry) -> Result<(), Fault> {
        let short = Fault::short(Record::Inode, BASE_LEN, raw.len());
        let tail_len = raw.len().saturating_sub(BASE_LEN);
        if usize::from(self.extra_isize) > tail_len || self.extra_isize % 4 != 0 {
            let limit = super::bytes::wide(tail_len);
            return Err(Fault::Inode(
                I::ExtraSize,
                u64::from(self.extra_isize),
                limit,
            ));
        }
        let (flags, blocks) = self.write_blocks(geometry)?;
        let (base, tail) = RawInode::mut_from_prefix(raw).map_err(|_| short)?;
        let has = |end: u16| self.extra_isize >= end;
        let (atime, atime_extra) = self.atime.encode(has(end::ATIME));
        let (ctime, ctime_extra) = self.ctime.encode(has(end::CTIME));
        let (mtime, mtime_extra) = self.mtime.encode(has(end::MTIME));
        base.mode.set(self.mode);
        base.uid.set(self.uid as u16);
        base.uid_high.set((self.uid >> 16) as u16);
        base.gid.set(self.gid as u16);
        base.gid_high.set((self.gid >> 16) as u16);
        base.size_lo.set(self.size as u32);
        base.size_high.set((self.size >> 32) as u32);
        (base.atime, base.ctime, base.mtime) = (atime, ctime, mtime);
        base.dtime.set(self.dtime);
        base.links.set(self.links);
        base.blocks_lo.set(blocks as u32);
        base.blocks_high.set((blocks >> 32) as u16);
        base.flags.set(flags.0);
        base.version.set(self.version as u32);
        base.block = self.i_block;
        base.generation.set(self.generation);
        base.file_acl_lo.set(self.file_acl.get() as u32);
        base.file_acl_high.set((self.file_acl.get() >> 32) as u16);
        let Ok((extra, _)) = RawExtra::mut_from_prefix(tail) else {
            return Ok(());
        };
        extra.extra_isize.set(self.extra_isize);
        let times = [
            (end::CTIME, &mut extra.ctime_extra, ctime_extra),
            (end::MTIME, &mut extra.mtime_extra, mtime_extra),
            (end::ATIME, &mut extra.atime_extra, atime_extra),
        ];
        for (end, field, word) in times {
            if has(end) {
                *field = word;
            }
        }
        if has(end::CRTIME) {
            let crtime = self.crtime.unwrap_or_default();
            let (low, word) = crtime.encode(has(end::CRTIME_EXTRA));
            extra.crtime = low;
            if has(end::CRTIME_EXTRA) {
                extra.crtime_extra = word;
            }
        }
        if has(end::VERSION) {
            extra.version_hi.set((self.version >> 32) as u32);
        }
        if has(end::PROJECT) {
            extra.projid.set(self.project);
        }
        Ok(())
    }

    /// Makes the extra part `wanted` bytes long, if it is shorter and there are no attributes behind it:
    /// without it times lose their nanoseconds and end in 2038. `raw` is the record, which [`Self::encode`]
    /// has to be called for next.
    pub fn grow_extra(&mut self, raw: &mut [u8], wanted: u16) {
        let used = BASE_LEN.saturating_add(usize::from(self.extra_isize));
        let end = BASE_LEN.saturating_add(usize::from(wanted));
        if used >= end || !matches!(Attrs::in_body(raw, self.extra_isize), Ok(None)) {
            return;
        }
        // What was not in use may hold anything.
        let Some(unused) = raw.get_mut(used..end) else {
            return;
        };
        unused.fill(0);
        self.extra_isize = wanted;
        if wanted >= end::CRTIME {
            self.crtime.get_or_insert_with(Timestamp::default);
        }
    }

    /// Forgets what the record has no room for.
    pub fn fit(&mut self) {
        let times = [
            (end::CTIME, &mut self.ctime),
            (end::MTIME, &mut self.mtime),
            (end::ATIME, &mut self.atime),
        ];
        for (end, time) in times {
            if self.extra_isize < end {
                time.nsec = 0;
                time.sec = time.sec.min(TIME_MAX_BASE);
            }
        }
        if self.extra_isize < end::CRTIME {
            self.crtime = None;
        }
        if self.extra_isize < end::PROJECT {
            self.project = 0;
        }
    }

    /// How the blocks are counted in the record: flags, and the number of up to 48 bits.
    fn write_blocks(&self, geometry: &Geometry) -> Result<(InodeFlags, u64), Fault> {
        const WIDE: u64 = (1 << 48) - 1;
        let flags = self.flags.without(InodeFlags::HUGE_FILE);
        let limit = if geometry.huge_file() {
            WIDE
        } else {
            u64::from(u32::MAX)
        };
        if self.blocks <= limit {
            return Ok((flags, self.blocks));
        }
        let shift = geometry.block_bits().saturating_sub(9);
        let fs_blocks = self.blocks >> shift;
        if !geometry.huge_file() || fs_blocks > WIDE || fs_blocks << shift != self.blocks {
            return Err(Fault::Inode(I::Blocks, self.blocks, 0));
        }
        Ok((flags.with(InodeFlags::HUGE_FILE), fs_blocks))
    }

    /// Whether the record was never used. (A deleted inode keeps its mode: it has no links, and
    /// whether it is free or an orphan only the bitmap and the list of orphans tell.)
    pub const fn is_free(&self) -> bool {
        self.links == 0 && self.mode == 0
    }

    /// Whether a symbolic link's target is in `i_block` itself: it is short, and no block but
    /// that of the xattrs is the inode's.
    pub fn is_fast_symlink(&self, geometry: &Geometry) -> bool {
        let sectors = 1u64 << geometry.block_bits().saturating_sub(9);
        let xattrs = if self.file_acl.get() != 0 { sectors } else { 0 };
        matches!(self.kind(), Ok(InodeKind::Symlink))
            && self.blocks == xattrs
            && self.size < super::bytes::wide(I_BLOCK_LEN)
    }

    /// What the inode is.
    pub fn kind(&self) -> Result<InodeKind, Fault> {
        InodeKind::of_mode(self.mode).ok_or(Fault::Inode(I::Mode, u64::from(self.mode), 0))
    }

    /// The device of a special file: in `i_block`'s first word in the old form (8 bits each), or
    /// in the second in the new one (12 and 20 bits). Gives (major, minor).
    pub fn device(&self) -> (u32, u32) {
        let word = |at: usize| super::bytes::le32(&self.i_block, at).unwrap_or(0);
        match word(0) {
            0 => {
                let new = word(4);
                ((new >> 8) & 0xfff, new & 0xff | (new >> 12) & 0xf_ff00)
            }
            old => ((old >> 8) & 0xff, old & 0xff),
        }
    }

    /// Sets the device of a special file, in the old form where it fits.
    pub fn set_device(&mut self, major: u32, minor: u32) {
        let (old, new) = if major <= 0xff && minor <= 0xff {
            ((major << 8) | minor, 0)
        } else {
            let new = minor & 0xff | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12);
            (0, new)
        };
        self.i_block = [0; I_BLOCK_LEN];
        // The two words are inside the 60 bytes.
        let _ = super::bytes::put_le32(&mut self.i_block, 0, old);
        let _ = super::bytes::put_le32(&mut self.i_block, 4, new);
    }
}

#[cfg(test)]
pub(in crate::format) mod tests;
