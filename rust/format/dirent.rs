// SPDX-License-Identifier: GPL-2.0

//! Linear directory blocks: entries that fill the block, each with the distance to the next.
//!
//! With metadata checksums the last 12 bytes look like an unused entry (type 0xde) and hold the
//! sum; entries then end before it. Everything here sees the block without that tail.
//!
//! Source: `Documentation/filesystems/ext4/directory.rst`.

use super::{
    bytes::{index, le16, le32, put, put_le16, put_le32, wide},
    fault::{DirFault as D, Fault, Record},
    geometry::Geometry,
    inode::InodeKind,
    units::Ino,
};

/// Longest name in bytes.
pub const NAME_MAX: usize = 255;
/// Length of an entry without its name.
const HEADER: usize = 8;
/// Length of the shortest entry, and of the tail.
const MIN: usize = 12;
/// The type that marks the tail.
const TAIL_TYPE: u8 = 0xde;

/// What an entry says of the inode it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType(pub u8);

impl FileType {
    /// Not told (always so without the `filetype` feature).
    pub const UNKNOWN: Self = Self(0);

    /// The type of a kind of inode.
    pub const fn of(kind: InodeKind) -> Self {
        Self(match kind {
            InodeKind::Regular => 1,
            InodeKind::Directory => 2,
            InodeKind::CharDevice => 3,
            InodeKind::BlockDevice => 4,
            InodeKind::Fifo => 5,
            InodeKind::Socket => 6,
            InodeKind::Symlink => 7,
        })
    }

    /// The kind it tells, if it tells one.
    pub const fn kind(self) -> Option<InodeKind> {
        Some(match self.0 {
            1 => InodeKind::Regular,
            2 => InodeKind::Directory,
            3 => InodeKind::CharDevice,
            4 => InodeKind::BlockDevice,
            5 => InodeKind::Fifo,
            6 => InodeKind::Socket,
            7 => InodeKind::Symlink,
            _ => return None,
        })
    }
}

/// What the file system's features make of a directory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirFormat {
    /// Block size in bytes.
    pub block_size: u32,
    /// Whether blocks end with a checksum (`metadata_csum`).
    pub has_tail: bool,
    /// Whether entries have a type (`filetype`).
    pub has_type: bool,
    /// The greatest inode number.
    pub inode_count: u32,
}

/// One entry. `at` and `len` are its place and length in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Offset in the block.
    pub at: usize,
    /// Distance to the next entry.
    pub len: usize,
    /// The inode named; `None` when the entry is unused.
    pub ino: Option<Ino>,
    /// Its type.
    pub file_type: FileType,
    /// The name.
    pub name: &'a [u8],
}

/// The lengths of one entry.
#[derive(Clone, Copy)]
struct Span {
    at: usize,
    len: usize,
    /// Length of its name.
    name: usize,
    in_use: bool,
}

/// Bytes an entry with a name of `name` bytes needs.
pub const fn space(name: usize) -> usize {
    HEADER.saturating_add(name).saturating_add(3) & !3
}

const fn bad(what: D, a: usize, b: usize) -> Fault {
    Fault::Dir(what, wide(a), wide(b))
}

impl DirFormat {
    /// The form of directories in a file system.
    pub const fn new(geometry: &Geometry, has_tail: bool) -> Self {
        Self {
            block_size: geometry.block_size(),
            has_tail,
            has_type: geometry.filetype(),
            inode_count: geometry.inode_count(),
        }
    }

    /// The same without a checksum's entry at the end: so the first two entries of an index's root are read.
    pub const fn without_tail(self) -> Self {
        Self {
            has_tail: false,
            ..self
        }
    }

    /// Where entries end in a block.
    pub const fn end(&self) -> usize {
        let size = index(self.block_size);
        if self.has_tail {
            size.saturating_sub(MIN)
        } else {
            size
        }
    }

    /// A stored record length as a length. Blocks of 64 KiB need a code for their own size.
    fn decode_len(&self, stored: u16) -> usize {
        if self.block_size < 65536 {
            return usize::from(stored);
        }
        if stored == 0 || stored == u16::MAX {
            return index(self.block_size);
        }
        usize::from(stored & 0xfffc) | (usize::from(stored & 3) << 16)
    }

    /// A length (a multiple of 4, at most the block) as it is stored.
    fn encode_len(&self, len: usize) -> u16 {
        if len >= 65536 {
            return if len == index(self.block_size) {
                u16::MAX
            } else {
                ((len & 0xfffc) | ((len >> 16) & 3)) as u16
            };
        }
        len as u16
    }

    /// Reads the entry at `at` and checks it against every rule.
    pub fn entry<'a>(&self, block: &'a [u8], at: usize) -> Result<Entry<'a>, Fault> {
        let end = self.end();
        let past = bad(D::RecordPastEnd, 0, at);
        if block.len() != index(self.block_size) {
            return Err(bad(D::BlockSize, block.len(), 0));
        }
        let len = self.decode_len(le16(block, at.saturating_add(4)).ok_or(past)?);
        let word = le16(block, at.saturating_add(6)).ok_or(past)?;
        let ino = le32(block, at).ok_or(past)?;
        // Without types the second byte is the (always zero) upper half of the name's length.
        let [name_len, file_type] = word.to_le_bytes();
        if !self.has_type && file_type != 0 {
            return Err(bad(D::NameTooLong, usize::from(word), at));
        }
        let name_len = usize::from(name_len);
        if len < MIN {
            return Err(bad(D::RecordTooShort, len, at));
        }
        if len % 4 != 0 {
            return Err(bad(D::RecordUnaligned, len, at));
        }
        if len < space(name_len) {
            return Err(bad(D::NameTooLong, name_len, at));
        }
        let next = at.saturating_add(len);
        if next > end || (next != end && next > end.saturating_sub(MIN)) {
            return Err(bad(D::RecordPastEnd, len, at));
        }
        if ino > self.inode_count {
            return Err(bad(D::Inode, index(ino), at));
        }
        let from = at.saturating_add(HEADER);
        let name = block.get(from..from.saturating_add(name_len)).ok_or(past)?;
        if ino != 0 {
            Self::check_name(name, at)?;
        }
        Ok(Entry {
            at,
            len,
            ino: (ino != 0).then_some(Ino(ino)),
            file_type: FileType(file_type),
            name,
        })
    }

    fn check_name(name: &[u8], at: usize) -> Result<(), Fault> {
        if name.is_empty() {
            return Err(bad(D::EmptyName, at, 0));
        }
        match name.iter().find(|byte| matches!(byte, 0 | b'/')) {
            Some(byte) => Err(bad(D::BadName, at, usize::from(*byte))),
            None => Ok(()),
        }
    }

    /// All entries of a block, unused ones too, from offset `from` (an entry's). Ends after the
    /// first fault.
    pub fn entries_from(
        self,
        block: &[u8],
        from: usize,
    ) -> impl Iterator<Item = Result<Entry<'_>, Fault>> + '_ {
        let mut at = from;
        core::iter::from_fn(move || {
            if at >= self.end() {
                return None;
            }
            let entry = self.entry(block, at);
            at = match &entry {
                Ok(entry) => entry.at.saturating_add(entry.len),
                Err(_) => usize::MAX,
            };
            Some(entry)
        })
    }

    /// All entries of a block, unused ones too.
    pub fn entries(self, block: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Fault>> + '_ {
        self.entries_from(block, 0)
    }

    /// Checks a whole block: entries, and the form of the tail (not its sum).
    pub fn check(&self, block: &[u8]) -> Result<(), Fault> {
        if block.len() != index(self.block_size) || block.len() < 1024 {
            return Err(bad(D::BlockSize, block.len(), 0));
        }
        for entry in self.entries(block) {
            entry?;
        }
        self.check_tail(block)
    }

    /// Checks that a block ends with a checksum entry, if it must.
    pub fn check_tail(&self, block: &[u8]) -> Result<(), Fault> {
        if !self.has_tail {
            return Ok(());
        }
        let at = self.end();
        let fields = (
            le32(block, at),
            le16(block, at.saturating_add(4)),
            le16(block, at.saturating_add(6)),
        );
        let want = (Some(0), Some(MIN as u16), Some(u16::from(TAIL_TYPE) << 8));
        if fields == want {
            return Ok(());
        }
        Err(bad(D::NoTail, at, 0))
    }

    /// All entries of a block that was checked when it was read: here only what keeps the walk
    /// going forward is looked at, because lookups go this way.
    fn spans(self, block: &[u8]) -> impl Iterator<Item = Result<Span, Fault>> + '_ {
        let mut at = 0usize;
        core::iter::from_fn(move || {
            if at >= self.end() {
                return None;
            }
            let here = at;
            let head = block
                .get(here..)
                .and_then(|rest| rest.first_chunk::<HEADER>());
            let Some([a, b, c, d, low, high, name, _]) = head else {
                at = usize::MAX;
                return Some(Err(bad(D::RecordPastEnd, 0, here)));
            };
            let len = self.decode_len(u16::from_le_bytes([*low, *high]));
            if len < MIN {
                at = usize::MAX;
                return Some(Err(bad(D::RecordTooShort, len, here)));
            }
            at = here.saturating_add(len);
            Some(Ok(Span {
                at: here,
                len,
                name: usize::from(*name),
                in_use: (*a | *b | *c | *d) != 0,
            }))
        })
    }

    /// Looks a name up in a block that was checked when it was read.
    pub fn find<'a>(&self, block: &'a [u8], name: &[u8]) -> Result<Option<Entry<'a>>, Fault> {
        for span in self.spans(block) {
            let span = span?;
            let from = span.at.saturating_add(HEADER);
            if span.name == name.len()
                && span.in_use
                && block.get(from..from.saturating_add(span.name)) == Some(name)
            {
                return self.entry(block, span.at).map(Some);
            }
        }
        Ok(None)
    }

    /// The dot and dot-dot entries a directory begins with.
    pub fn dots<'a>(&self, block: &'a [u8]) -> Result<(Entry<'a>, Entry<'a>), Fault> {
        let first = self.entry(block, 0)?;
        if first.ino.is_none() || first.name != b"." {
            return Err(bad(D::NoDot, 0, 0));
        }
        let second = self.entry(block, first.len)?;
        if second.ino.is_none() || second.name != b".." {
            return Err(bad(D::NoDot, first.len, 0));
        }
        Ok((first, second))
    }

    /// Whether no entry but dot and dot-dot is in use.
    pub fn is_empty(&self, block: &[u8]) -> Result<bool, Fault> {
        for entry in self.entries(block) {
            let entry = entry?;
            if entry.ino.is_some() && entry.name != b"." && entry.name != b".." {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write(
        &self,
        block: &mut [u8],
        at: usize,
        len: usize,
        named: Option<(Ino, FileType, &[u8])>,
    ) -> Result<(), Fault> {
        let past = bad(D::RecordPastEnd, len, at);
        let (ino, file_type, name) = named.unwrap_or((Ino(0), FileType::UNKNOWN, &[]));
        let file_type = if self.has_type { file_type.0 } else { 0 };
        let name_len = u8::try_from(name.len()).map_err(|_| bad(D::NameTooLong, name.len(), at))?;
        put_le32(block, at, ino.get()).ok_or(past)?;
        put_le16(block, at.saturating_add(4), self.encode_len(len)).ok_or(past)?;
        put(block, at.saturating_add(6), &[name_len, file_type]).ok_or(past)?;
        put(block, at.saturating_add(HEADER), name).ok_or(past)?;
        // The padding of the name, so that no stale bytes stay in it.
        let from = at.saturating_add(HEADER).saturating_add(name.len());
        let to = at.saturating_add(space(name.len()));
        block.get_mut(from..to).unwrap_or(&mut []).fill(0);
        Ok(())
    }

    fn write_len(&self, block: &mut [u8], at: usize, len: usize) -> Result<(), Fault> {
        put_le16(block, at.saturating_add(4), self.encode_len(len)).ok_or(bad(
            D::RecordPastEnd,
            len,
            at,
        ))
    }

    /// Makes an empty block: one unused entry, and the tail's form (its sum is sealed later).
    pub fn init(&self, block: &mut [u8]) -> Result<(), Fault> {
        if block.len() != index(self.block_size) {
            return Err(bad(D::BlockSize, block.len(), 0));
        }
        block.fill(0);
        self.write(block, 0, self.end(), None)?;
        self.init_tail(block)
    }

    /// Writes the tail's form.
    pub fn init_tail(&self, block: &mut [u8]) -> Result<(), Fault> {
        if !self.has_tail {
            return Ok(());
        }
        let at = self.end();
        let past = bad(D::NoTail, at, 0);
        put_le32(block, at, 0).ok_or(past)?;
        put_le16(block, at.saturating_add(4), MIN as u16).ok_or(past)?;
        put(block, at.saturating_add(6), &[0, TAIL_TYPE]).ok_or(past)
    }

    /// Makes the first block of a new directory.
    pub fn init_first(&self, block: &mut [u8], own: Ino, parent: Ino) -> Result<(), Fault> {
        self.init(block)?;
        let dir = FileType::of(InodeKind::Directory);
        self.write(block, 0, MIN, Some((own, dir, b".")))?;
        let rest = self.end().saturating_sub(MIN);
        self.write(block, MIN, rest, Some((parent, dir, b"..")))
    }

    /// The first entry with room for a name of `name` bytes: where the new entry would go.
    pub fn find_room(&self, block: &[u8], name: usize) -> Result<Option<usize>, Fault> {
        let need = space(name);
        for span in self.spans(block) {
            let span = span?;
            let used = if span.in_use { space(span.name) } else { 0 };
            if span.len.saturating_sub(used) >= need {
                return self.entry(block, span.at).map(|entry| Some(entry.at));
            }
        }
        Ok(None)
    }

    /// Adds an entry, in the place of an unused one or in the slack of one in use. Gives its
    /// offset, or `None` (and no change) when there is no room. The caller knows that the name is
    /// not there yet.
    pub fn insert(
        &self,
        block: &mut [u8],
        ino: Ino,
        file_type: FileType,
        name: &[u8],
    ) -> Result<Option<usize>, Fault> {
        match self.find_room(block, name.len())? {
            Some(at) => self.insert_at(block, at, ino, file_type, name).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Self::insert`], at what [`Self::find_room`] gave for this name.
    pub fn insert_at(
        &self,
        block: &mut [u8],
        at: usize,
        ino: Ino,
        file_type: FileType,
        name: &[u8],
    ) -> Result<usize, Fault> {
        Self::check_name(name, 0)?;
        if name.len() > NAME_MAX {
            return Err(bad(D::NameTooLong, name.len(), 0));
        }
        let host = self.entry(block, at)?;
        let (host_len, used) = match host.ino {
            Some(_) => (host.len, space(host.name.len())),
            None => (host.len, 0),
        };
        let place = at.saturating_add(used);
        let len = host_len.saturating_sub(used);
        if len < space(name.len()) {
            return Err(bad(D::NameTooLong, name.len(), at));
        }
        if used > 0 {
            self.write_len(block, at, used)?;
        }
        self.write(block, place, len, Some((ino, file_type, name)))?;
        Ok(place)
    }

    /// Removes the entry in use at `at`: the one before it takes its space, or it stays, unused,
    /// when it is the first.
    pub fn remove(&self, block: &mut [u8], at: usize) -> Result<(), Fault> {
        let mut before: Option<(usize, usize)> = None;
        let mut gone = None;
        for span in self.spans(block) {
            let span = span?;
            if span.at == at {
                let entry = self.entry(block, at)?;
                gone = entry.ino.map(|_| entry.len);
                break;
            }
            before = Some((span.at, span.len));
        }
        let len = gone.ok_or(bad(D::NoEntry, at, 0))?;
        match before {
            Some((place, have)) => {
                // Bytes of removed names do not stay on the disk.
                let end = at.saturating_add(len);
                block.get_mut(at..end).unwrap_or(&mut []).fill(0);
                self.write_len(block, place, have.saturating_add(len))
            }
            None => {
                let end = at.saturating_add(len);
                block.get_mut(at..end).unwrap_or(&mut []).fill(0);
                self.write(block, at, len, None)
            }
        }
    }

    /// Makes the entry in use at `at` name another inode (rename over it, or a moved dot-dot).
    pub fn set_inode(
        &self,
        block: &mut [u8],
        at: usize,
        ino: Ino,
        file_type: FileType,
    ) -> Result<(), Fault> {
        let entry = self.entry(block, at)?;
        let name_len = entry.name.len();
        if entry.ino.is_none() {
            return Err(bad(D::NoEntry, at, 0));
        }
        let short = Fault::short(Record::DirBlock, at.saturating_add(HEADER), block.len());
        put_le32(block, at, ino.get()).ok_or(short)?;
        if self.has_type {
            let bytes = [name_len as u8, file_type.0];
            put(block, at.saturating_add(6), &bytes).ok_or(short)?;
        }
        Ok(())
    }

    /// Appends an entry at `at` of a block that is being filled from its start, taking exactly
    /// its space. Gives where the next one goes. [`DirFormat::finish`] must follow the last.
    pub fn append(&self, block: &mut [u8], at: usize, entry: &Entry<'_>) -> Result<usize, Fault> {
        let len = space(entry.name.len());
        let next = at.saturating_add(len);
        if next > self.end() {
            return Err(bad(D::RecordPastEnd, len, at));
        }
        let ino = entry.ino.ok_or(bad(D::NoEntry, entry.at, 0))?;
        self.write(block, at, len, Some((ino, entry.file_type, entry.name)))?;
        Ok(next)
    }

    /// Ends a block filled by [`DirFormat::append`]: the last entry, at `last`, takes the rest,
    /// which is zeroed. An empty block (`None`) becomes one unused entry.
    pub fn finish(&self, block: &mut [u8], last: Option<usize>) -> Result<(), Fault> {
        let Some(last) = last else {
            return self.init(block);
        };
        let end = self.end();
        let len = end.saturating_sub(last);
        let name = usize::from(block.get(last.saturating_add(6)).copied().ok_or(bad(
            D::RecordPastEnd,
            len,
            last,
        ))?);
        let from = last.saturating_add(space(name));
        block.get_mut(from..end).unwrap_or(&mut []).fill(0);
        self.write_len(block, last, len)?;
        self.init_tail(block)
    }
}

#[cfg(test)]
mod tests;
