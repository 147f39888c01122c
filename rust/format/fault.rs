// SPDX-License-Identifier: GPL-2.0

//! What was wrong on the disk, with the numbers that show it.
//!
//! A [`Fault`] says what; where (block, inode) is added by the caller, which knows it. One list of
//! faults per record: each has one sentence, with up to two operands.

use core::fmt;

/// The record a fault was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Record {
    /// The superblock.
    Superblock,
    /// A group descriptor.
    GroupDesc,
    /// A block bitmap.
    BlockBitmap,
    /// An inode bitmap.
    InodeBitmap,
    /// An inode's record.
    Inode,
    /// A node of an extent tree.
    ExtentNode,
    /// A block of a directory.
    DirBlock,
    /// A root or node of a directory's hash index.
    HtreeNode,
    /// A block of extended attributes.
    XattrBlock,
    /// Extended attributes in an inode's record.
    XattrBody,
    /// A block of the orphan file.
    OrphanBlock,
    /// The journal's superblock.
    JournalSuperblock,
    /// A descriptor block of the journal.
    JournalDescriptor,
    /// A revoke block of the journal.
    JournalRevoke,
    /// A commit block of the journal.
    JournalCommit,
    /// A block that went through the journal.
    JournalBlock,
    /// A block of block numbers.
    IndirectBlock,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superblock => "superblock",
            Self::GroupDesc => "group descriptor",
            Self::BlockBitmap => "block bitmap",
            Self::InodeBitmap => "inode bitmap",
            Self::Inode => "inode",
            Self::ExtentNode => "extent node",
            Self::DirBlock => "directory block",
            Self::HtreeNode => "directory index node",
            Self::XattrBlock => "xattr block",
            Self::XattrBody => "xattrs in the inode",
            Self::OrphanBlock => "orphan file block",
            Self::JournalSuperblock => "journal superblock",
            Self::JournalDescriptor => "journal descriptor block",
            Self::JournalRevoke => "journal revoke block",
            Self::JournalCommit => "journal commit block",
            Self::JournalBlock => "journaled block",
            Self::IndirectBlock => "indirect block",
        })
    }
}

/// Declares the faults of one record: a name, its operands, its sentence.
macro_rules! faults {
    ($(#[$doc:meta])* $kind:ident { $($name:ident($a:pat, $b:pat) => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $kind {
            $(#[doc = $text] $name,)*
        }

        impl $kind {
            /// Writes the sentence with its operands.
            fn say(self, f: &mut fmt::Formatter<'_>, a: u64, b: u64) -> fmt::Result {
                match self {
                    $(Self::$name => {
                        let ($a, $b) = (a, b);
                        write!(f, $text)
                    })*
                }
            }
        }
    };
}

faults! {
    /// Faults of the superblock.
    SuperblockFault {
        Magic(found, _) => "the magic number is {found:#x}, not 0xef53: not an ext4 file system",
        BlockSize(log, _) => "the block size exponent {log} is above 6",
        ClusterSize(log, block) => "the cluster size exponent {log} does not fit the block size exponent {block}",
        InodeSize(size, block) => "the inode size {size} is not a power of two between 128 and the block size {block}",
        FirstInode(first, _) => "the first free inode number {first} is below 11",
        DescSize(size, _) => "the group descriptor size {size} is not a power of two between 64 and 1024",
        BlocksPerGroup(count, limit) => "{count} blocks per group are not between 1 and {limit}",
        ClustersPerGroup(clusters, blocks) => "{clusters} clusters per group do not match {blocks} blocks per group",
        InodesPerGroup(count, limit) => "{count} inodes per group are not a multiple of the inodes in a block, at most {limit}",
        InodeTable(blocks, group) => "an inode table of {blocks} blocks does not fit a group of {group} blocks",
        InodeCount(count, groups) => "{count} inodes do not match {groups} groups",
        FirstDataBlock(first, count) => "the first data block {first} does not fit {count} blocks",
        BlockCount(count, device) => "{count} blocks do not fit the device of {device} blocks",
        GroupCount(count, limit) => "{count} groups are more than {limit}",
        ReservedGdt(count, limit) => "{count} reserved descriptor blocks are more than {limit}",
        DescriptorTable(blocks, group) => "a superblock and its descriptors of {blocks} blocks do not fit a group of {group} blocks",
        FirstMetaBg(first, count) => "the first meta block group {first} is above {count}",
        ChecksumType(kind, _) => "the checksum type {kind} is unknown",
        ExtraSize(extra, limit) => "{extra} extra bytes of inodes are not a multiple of 4 up to {limit}",
        HashVersion(version, _) => "the default hash version {version} is unknown",
        EncryptionLevel(level, _) => "the encryption level {level} is unknown",
        TwoJournals(ino, dev) => "both a journal inode ({ino}) and a journal device ({dev:#x}) are set",
        JournalInode(ino, _) => "the journal inode {ino} is no inode number a journal can have",
        OrphanFileInode(ino, _) => "the orphan file inode {ino} is no inode number",
    }
}

faults! {
    /// Faults of a group descriptor or of what it says about its group.
    GroupFault {
        BlockBitmap(block, group) => "the block bitmap of group {group} at block {block} lies outside its place",
        InodeBitmap(block, group) => "the inode bitmap of group {group} at block {block} lies outside its place",
        InodeTable(block, group) => "the inode table of group {group} at block {block} lies outside its place",
        Overlap(block, group) => "block {block} has two uses in the metadata of group {group}",
        FreeBlocks(count, limit) => "{count} free blocks are more than the group's {limit}",
        FreeInodes(count, limit) => "{count} free inodes are more than the group's {limit}",
        UnusedInodes(count, limit) => "{count} unused inodes are more than the group's {limit}",
        UsedDirs(count, limit) => "{count} directories are more than the group's {limit} inodes",
        Uninit(flags, group) => "the flags {flags:#x} say that group {group} was never written, which is in use from the start",
        NoGroup(group, count) => "group {group} is not one of the {count} groups",
    }
}

faults! {
    /// Faults of a bitmap.
    BitmapFault {
        AlreadySet(bit, count) => "bit {bit} of a range of {count} to be set was set",
        AlreadyClear(bit, count) => "bit {bit} of a range of {count} to be cleared was clear",
        Range(start, count) => "{count} bits from bit {start} are not inside the bitmap",
        Padding(bit, _) => "bit {bit} past the end of the group is clear",
        Metadata(block, _) => "metadata block {block} is marked free",
        Reserved(ino, _) => "inode {ino}, which is reserved, is marked free",
        FreeCount(counted, said) => "{counted} free bits are counted but the descriptor says {said}",
    }
}

faults! {
    /// Faults of an inode.
    InodeFault {
        ExtraSize(extra, limit) => "{extra} extra bytes are not a multiple of 4 up to {limit}",
        Size(size, _) => "the size {size:#x} is out of range",
        Blocks(blocks, _) => "{blocks} sectors cannot be stored",
        Mode(mode, _) => "the mode {mode:#o} is no file type",
        Number(ino, count) => "inode {ino} is not one of {count}",
        XattrBlock(block, _) => "the xattr block {block} is not a data block of the file system",
        Deleted(ino, _) => "a name leads to inode {ino}, which is deleted",
        TakenTwice(ino, _) => "inode {ino} was free in its bitmap but is in use",
        Flags(flags, _) => "the flags {flags:#x} do not go together, or not with the features",
        SymlinkZero(at, size) => "the symbolic link's target of {size} bytes has a zero at {at}",
        SymlinkHole(size, _) => "the symbolic link's target of {size} bytes has no place on the disk",
        SymlinkSize(size, limit) => "a symbolic link of {size} bytes is above {limit}",
        OrphanMany(ino, limit) => "inode {ino} follows {limit} others in the chain of orphans",
        OrphanTwice(ino, _) => "inode {ino} is an orphan twice",
        OrphanFree(ino, _) => "inode {ino} is an orphan but not in use",
        OrphanWhole(ino, links) => "inode {ino} is an orphan with {links} links and nothing to cut off",
    }
}

faults! {
    /// Faults of a node of an extent tree.
    ExtentFault {
        Magic(found, _) => "the magic number is {found:#x}, not 0xf30a",
        Depth(found, want) => "the depth is {found} where {want} belongs",
        Max(max, limit) => "room for {max} entries is not between 1 and {limit}",
        Overfull(entries, max) => "{entries} entries are more than the room for {max}",
        EmptyIndex(depth, _) => "an index node of depth {depth} has no entries",
        Length(lblk, len) => "the extent at logical block {lblk} has length {len}",
        Wraps(lblk, len) => "the extent at logical block {lblk} of length {len} passes the last block",
        Order(lblk, before) => "the entry at logical block {lblk} comes before {before}",
        OutsideParent(lblk, bound) => "the entry at logical block {lblk} is outside what its parent covers ({bound})",
        Physical(pblk, len) => "disk blocks {pblk} (length {len}) are not data blocks of the file system",
        NoRoom(entries, max) => "no room for one more entry in a node with {entries} of {max}",
        Position(at, entries) => "entry {at} is not one of {entries}",
    }
}

faults! {
    /// Faults of a linear directory block.
    DirFault {
        RecordTooShort(len, at) => "the record length {len} at offset {at} is too short",
        RecordUnaligned(len, at) => "the record length {len} at offset {at} is no multiple of 4",
        RecordPastEnd(len, at) => "the record of length {len} at offset {at} passes the end of the block",
        NameTooLong(name, at) => "the name of {name} bytes does not fit the record at offset {at}",
        EmptyName(at, _) => "the entry at offset {at} is in use but has no name",
        BadName(at, byte) => "the name at offset {at} has the byte {byte:#x} in it",
        Inode(ino, at) => "the entry at offset {at} names inode {ino}, which cannot be",
        NoTail(at, _) => "there is no checksum entry at offset {at}",
        NoDot(at, _) => "the entry at offset {at} is not the dot entry that belongs there",
        NoEntry(at, _) => "there is no entry in use at offset {at}",
        BlockSize(size, _) => "a directory block of {size} bytes cannot be",
        Hole(block, _) => "block {block} of the directory has no place on the disk",
        Itself(ino, _) => "a name leads to the directory itself, inode {ino}",
    }
}

faults! {
    /// Faults of a directory's hash index.
    HtreeFault {
        HashVersion(version, _) => "the hash version {version} is unknown",
        InfoLength(len, _) => "the information length {len} is not 8",
        Flags(flags, _) => "the flags {flags:#x} are unknown",
        Levels(levels, limit) => "{levels} levels are above the limit of {limit}",
        Limit(found, want) => "room for {found} entries where {want} belongs",
        Count(count, limit) => "{count} entries are not between 1 and {limit}",
        Order(hash, before) => "the hash {hash:#x} comes after {before:#x}",
        Block(block, count) => "block {block} is not one of the directory's {count}",
        NoRoom(count, limit) => "no room for one more entry in a node with {count} of {limit}",
        NotRoot(at, _) => "the directory does not begin with its dot entries (offset {at})",
        Position(at, count) => "entry {at} is not one of {count}",
    }
}

faults! {
    /// Faults of extended attributes.
    XattrFault {
        Magic(found, _) => "the magic number is {found:#x}, not 0xea020000",
        Blocks(blocks, _) => "{blocks} blocks are not 1",
        RefCount(count, limit) => "{count} references are not between 1 and {limit}",
        EntryPastEnd(at, end) => "the entry at offset {at} passes the end at {end}",
        NameIndex(index, at) => "the name index {index} at offset {at} is unknown",
        ValuePastEnd(at, len) => "the value of {len} bytes at offset {at} passes the end",
        ValueInEntries(at, end) => "the value at offset {at} begins inside the entries, which end at {end}",
        ValueShared(at, other) => "the value at offset {at} overlaps the one at {other}",
        EaInode(ino, at) => "the value of the entry at offset {at} is in inode {ino}, which is not supported",
        EntryHash(found, want) => "the entry hash is {found:#x}, not {want:#x}",
        AclVersion(version, _) => "the access control list has version {version}",
        AclSize(size, _) => "an access control list of {size} bytes cannot be",
        AclTag(tag, _) => "the access control list tag {tag:#x} is unknown",
        AclNoGroup(_, _) => "the access control list has neither a mask nor an entry of the owning group",
        AclRoom(need, have) => "the access control list needs {need} bytes, there are {have}",
    }
}

faults! {
    /// Faults of the journal.
    JournalFault {
        Magic(found, _) => "the magic number is {found:#x}, not 0xc03b3998",
        BlockType(found, want) => "the block type is {found} where {want} belongs",
        NoRecord(at, tid) => "log block {at} is no record of transaction {tid}",
        BlockSize(found, want) => "the block size is {found}, the file system's is {want}",
        Length(blocks, limit) => "a length of {blocks} blocks is not between 1024 and {limit}",
        FirstBlock(first, len) => "the first log block {first} does not fit a journal of {len} blocks",
        Start(start, len) => "the start block {start} does not fit a journal of {len} blocks",
        UnknownIncompat(bits, _) => "the incompatible features {bits:#x} are not supported",
        UnknownRoCompat(bits, _) => "the read-only compatible features {bits:#x} are not supported",
        ChecksumMix(compat, incompat) => "more than one checksum version is set (compat {compat:#x}, incompat {incompat:#x})",
        ChecksumType(kind, _) => "the checksum type {kind} is unknown",
        RevokeSize(size, limit) => "{size} bytes of revoke records are not a whole number of records up to {limit}",
        NoRoom(at, limit) => "no room for a record at offset {at} before {limit}",
        Shared(block, _) => "block {block} is in the journal twice",
        Target(block, at) => "log block {at} is meant for disk block {block}, which the journal must not write",
        NotCommitted(block, at) => "log block {at} does not bring disk block {block} as it was committed",
        OtherList(blocks, revoked) => "the log lists {blocks} blocks and {revoked} revoked ones, not those of the transaction",
        NoLastTag(at, _) => "the tags end at offset {at} without a last one",
        BlockTooLarge(block, _) => "the block number {block} does not fit a tag without 64-bit numbers",
    }
}

faults! {
    /// Faults of the orphan file.
    OrphanFault {
        Magic(found, _) => "the magic number is {found:#x}, not 0xb10ca04",
        Inode(ino, at) => "slot {at} names inode {ino}, which cannot be",
        Slot(at, count) => "slot {at} is not one of {count}",
    }
}

faults! {
    /// Faults of the block map of an inode without extents.
    MapFault {
        Block(block, at) => "entry {at} names block {block}, which is not in the file system",
        TooFar(lblk, _) => "logical block {lblk} cannot be reached by three levels",
    }
}

/// What was wrong on the disk. The two numbers of a variant are the operands of its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes given are too few to hold the record.
    Short {
        /// The record they should hold.
        record: Record,
        /// Bytes needed.
        need: u32,
        /// Bytes there were.
        have: u32,
    },
    /// A checksum does not match: the only fault that is `EFSBADCRC`.
    Checksum {
        /// The record it guards.
        record: Record,
        /// As stored on the disk.
        stored: u32,
        /// As computed from the bytes.
        computed: u32,
    },
    /// Two structures claim the same block.
    BlockUsedTwice,
    /// Nothing: the answer to damage is tried.
    Tried,
    /// Of the superblock.
    Superblock(SuperblockFault, u64, u64),
    /// Of a group descriptor.
    Group(GroupFault, u64, u64),
    /// Of a bitmap.
    Bitmap(BitmapFault, u64, u64),
    /// Of an inode.
    Inode(InodeFault, u64, u64),
    /// Of an extent node.
    Extent(ExtentFault, u64, u64),
    /// Of a directory block.
    Dir(DirFault, u64, u64),
    /// Of a directory index.
    Htree(HtreeFault, u64, u64),
    /// Of extended attributes.
    Xattr(XattrFault, u64, u64),
    /// Of the journal.
    Journal(JournalFault, u64, u64),
    /// Of the orphan file.
    Orphan(OrphanFault, u64, u64),
    /// Of a block map.
    Map(MapFault, u64, u64),
}

const _: () = assert!(size_of::<Fault>() <= 24);

impl Fault {
    /// Whether this is a checksum's failure (`EFSBADCRC`) rather than a structure's (`EFSCORRUPTED`).
    pub const fn is_checksum(&self) -> bool {
        matches!(self, Self::Checksum { .. })
    }

    /// A record that does not fit the bytes given.
    pub(crate) const fn short(record: Record, need: usize, have: usize) -> Self {
        use super::bytes::clamp32;
        Self::Short {
            record,
            need: clamp32(need),
            have: clamp32(have),
        }
    }
}

impl core::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BlockUsedTwice => f.write_str("the block is used by another structure as well"),
            Self::Tried => f.write_str("nothing is wrong, the answer is tried"),
            Self::Short { record, need, have } => {
                write!(f, "{record}: {have} bytes are too few, {need} are needed")
            }
            Self::Checksum {
                record,
                stored,
                computed,
            } => write!(
                f,
                "{record}: the checksum is {stored:#010x} on disk but the contents give {computed:#010x}"
            ),
            Self::Superblock(what, a, b) => {
                f.write_str("superblock: ")?;
                what.say(f, a, b)
            }
            Self::Group(what, a, b) => {
                f.write_str("group descriptor: ")?;
                what.say(f, a, b)
            }
            Self::Bitmap(what, a, b) => {
                f.write_str("bitmap: ")?;
                what.say(f, a, b)
            }
            Self::Inode(what, a, b) => {
                f.write_str("inode: ")?;
                what.say(f, a, b)
            }
            Self::Extent(what, a, b) => {
                f.write_str("extent node: ")?;
                what.say(f, a, b)
            }
            Self::Dir(what, a, b) => {
                f.write_str("directory block: ")?;
                what.say(f, a, b)
            }
            Self::Htree(what, a, b) => {
                f.write_str("directory index: ")?;
                what.say(f, a, b)
            }
            Self::Xattr(what, a, b) => {
                f.write_str("extended attributes: ")?;
                what.say(f, a, b)
            }
            Self::Journal(what, a, b) => {
                f.write_str("journal: ")?;
                what.say(f, a, b)
            }
            Self::Orphan(what, a, b) => {
                f.write_str("orphan file: ")?;
                what.say(f, a, b)
            }
            Self::Map(what, a, b) => {
                f.write_str("block map: ")?;
                what.say(f, a, b)
            }
        }
    }
}
