// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists: as the disk has them (short entries without an id, long ones with),
//! and as the xattr interface has them (long ones only, version 2). Both are little-endian.
//!
//! Source: `Documentation/filesystems/ext4/attributes.rst`; `posix_acl_xattr.h` for the other form.

use super::{
    bytes::{le16, le32, put_le16, put_le32, wide},
    fault::{Fault, XattrFault as X},
};

/// Version of the form on the disk, and of the one of the xattr interface.
const DISK_VERSION: u32 = 1;
const XATTR_VERSION: u32 = 2;
/// Length of both forms' header, and of short and long entries.
const HEADER: usize = 4;
const SHORT: usize = 4;
const LONG: usize = 8;
/// The id of an entry without one, in the xattr interface.
const NO_ID: u32 = u32::MAX;

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclTag {
    /// The owner.
    UserObj,
    /// A user.
    User(u32),
    /// The owning group.
    GroupObj,
    /// A group.
    Group(u32),
    /// The most that users and groups get.
    Mask,
    /// Everybody else.
    Other,
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub tag: AclTag,
    /// What they may: the three bits of read, write, execute.
    pub perm: u16,
}

const fn bad(what: X, a: u64) -> Fault {
    Fault::Xattr(what, a, 0)
}

impl AclTag {
    /// The number both forms have for it, and its id.
    pub const fn parts(self) -> (u16, Option<u32>) {
        match self {
            Self::UserObj => (0x01, None),
            Self::User(id) => (0x02, Some(id)),
            Self::GroupObj => (0x04, None),
            Self::Group(id) => (0x08, Some(id)),
            Self::Mask => (0x10, None),
            Self::Other => (0x20, None),
        }
    }

    fn from_parts(number: u16, id: Option<u32>) -> Option<Self> {
        Some(match (number, id) {
            (0x01, _) => Self::UserObj,
            (0x02, Some(id)) => Self::User(id),
            (0x04, _) => Self::GroupObj,
            (0x08, Some(id)) => Self::Group(id),
            (0x10, _) => Self::Mask,
            (0x20, _) => Self::Other,
            _ => return None,
        })
    }
}

fn version(bytes: &[u8], want: u32) -> Result<(), Fault> {
    match le32(bytes, 0) {
        Some(found) if found == want => Ok(()),
        Some(found) => Err(bad(X::AclVersion, u64::from(found))),
        None => Err(bad(X::AclSize, wide(bytes.len()))),
    }
}

/// The entries of a list as it is on the disk. Ends after the first fault.
pub fn disk_entries(
    disk: &[u8],
) -> Result<impl Iterator<Item = Result<AclEntry, Fault>> + '_, Fault> {
    version(disk, DISK_VERSION)?;
    let mut at = HEADER;
    Ok(core::iter::from_fn(move || {
        if at >= disk.len() {
            return None;
        }
        let entry = disk_entry(disk, at);
        at = match entry {
            Ok((_, next)) => next,
            Err(_) => usize::MAX,
        };
        Some(entry.map(|(entry, _)| entry))
    }))
}

fn disk_entry(disk: &[u8], at: usize) -> Result<(AclEntry, usize), Fault> {
    let short = bad(X::AclSize, wide(disk.len()));
    let number = le16(disk, at).ok_or(short)?;
    let perm = le16(disk, at.saturating_add(2)).ok_or(short)?;
    let (id, len) = if number == 0x02 || number == 0x08 {
        (Some(le32(disk, at.saturating_add(4)).ok_or(short)?), LONG)
    } else {
        (None, SHORT)
    };
    let tag = AclTag::from_parts(number, id).ok_or(bad(X::AclTag, u64::from(number)))?;
    Ok((AclEntry { tag, perm }, at.saturating_add(len)))
}

/// Makes a list in the disk's form agree with the permissions of `mode`: the entries of the owner, of the
/// mask (without one, of the owning group), and of everybody else. Returns whether it has changed.
///
/// # Errors
///
/// A list that cannot be read, or that has neither a mask nor an entry of the owning group.
pub fn set_mode(disk: &mut [u8], mode: u16) -> Result<bool, Fault> {
    let (mut has_mask, mut has_group) = (false, false);
    for entry in disk_entries(disk)? {
        let tag = entry?.tag;
        has_mask |= tag == AclTag::Mask;
        has_group |= tag == AclTag::GroupObj;
    }
    if !has_mask && !has_group {
        return Err(bad(X::AclNoGroup, 0));
    }
    let (mut at, mut changed) = (HEADER, false);
    while at < disk.len() {
        let (entry, next) = disk_entry(disk, at)?;
        let perm = match entry.tag {
            AclTag::UserObj => (mode >> 6) & 7,
            AclTag::Mask => (mode >> 3) & 7,
            AclTag::GroupObj if !has_mask => (mode >> 3) & 7,
            AclTag::Other => mode & 7,
            _ => entry.perm,
        };
        changed |= perm != entry.perm;
        let short = bad(X::AclSize, wide(disk.len()));
        put_le16(disk, at.saturating_add(2), perm).ok_or(short)?;
        at = next;
    }
    Ok(changed)
}

/// The entries of a list of the xattr interface. Ends after the first fault.
pub fn xattr_entries(
    xattr: &[u8],
) -> Result<impl Iterator<Item = Result<AclEntry, Fault>> + '_, Fault> {
    version(xattr, XATTR_VERSION)?;
    let entries = xattr.get(HEADER..).unwrap_or(&[]);
    if entries.len() % LONG != 0 {
        return Err(bad(X::AclSize, wide(xattr.len())));
    }
    Ok(entries.chunks_exact(LONG).map(|bytes| {
        let short = bad(X::AclSize, wide(bytes.len()));
        let number = le16(bytes, 0).ok_or(short)?;
        let tag = AclTag::from_parts(number, le32(bytes, 4));
        Ok(AclEntry {
            tag: tag.ok_or(bad(X::AclTag, u64::from(number)))?,
            perm: le16(bytes, 2).ok_or(short)?,
        })
    }))
}

/// Writes entries after a header into `out`; gives the length. With `out` of `None` it only counts.
fn write(
    version: u32,
    entries: impl Iterator<Item = Result<AclEntry, Fault>>,
    mut out: Option<&mut [u8]>,
    always_id: bool,
) -> Result<usize, Fault> {
    let have = out.as_ref().map_or(0, |out| out.len());
    let mut at = HEADER;
    if let Some(out) = out.as_deref_mut() {
        put_le32(out, 0, version).ok_or(Fault::Xattr(X::AclRoom, wide(at), wide(have)))?;
    }
    for entry in entries {
        let AclEntry { tag, perm } = entry?;
        let (number, id) = tag.parts();
        let len = if always_id || id.is_some() {
            LONG
        } else {
            SHORT
        };
        let end = at.saturating_add(len);
        if let Some(out) = out.as_deref_mut() {
            let full = Fault::Xattr(X::AclRoom, wide(end), wide(have));
            put_le16(out, at, number).ok_or(full)?;
            put_le16(out, at.saturating_add(2), perm).ok_or(full)?;
            if len == LONG {
                let id = id.unwrap_or(NO_ID);
                put_le32(out, at.saturating_add(4), id).ok_or(full)?;
            }
        }
        at = end;
    }
    Ok(at)
}

/// A list from the disk in the form of the xattr interface: written to `out` if given; gives its
/// length.
pub fn to_xattr(disk: &[u8], out: Option<&mut [u8]>) -> Result<usize, Fault> {
    write(XATTR_VERSION, disk_entries(disk)?, out, true)
}

/// A list of the xattr interface in the disk's form: written to `out` if given; gives its length.
pub fn from_xattr(xattr: &[u8], out: Option<&mut [u8]>) -> Result<usize, Fault> {
    write(DISK_VERSION, xattr_entries(xattr)?, out, false)
}

/// Entries in the disk's form: written to `out` if given; gives the length.
pub fn to_disk(
    entries: impl Iterator<Item = AclEntry>,
    out: Option<&mut [u8]>,
) -> Result<usize, Fault> {
    write(DISK_VERSION, entries.map(Ok), out, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    fn entry() -> impl Strategy<Value = AclEntry> {
        let tag = prop_oneof![
            Just(AclTag::UserObj),
            any::<u32>().prop_map(AclTag::User),
            Just(AclTag::GroupObj),
            any::<u32>().prop_map(AclTag::Group),
            Just(AclTag::Mask),
            Just(AclTag::Other),
        ];
        (tag, 0u16..8).prop_map(|(tag, perm)| AclEntry { tag, perm })
    }

    #[test]
    fn modes() {
        let entry = |tag, perm| AclEntry { tag, perm };
        let list = |entries: &[AclEntry]| {
            let mut disk = vec![0; to_disk(entries.iter().copied(), None).unwrap()];
            to_disk(entries.iter().copied(), Some(&mut disk)).unwrap();
            disk
        };
        let with = |owner, group, mask, other| {
            list(&[
                entry(AclTag::UserObj, owner),
                entry(AclTag::User(5), 6),
                entry(AclTag::GroupObj, group),
                entry(AclTag::Group(7), 5),
                entry(AclTag::Mask, mask),
                entry(AclTag::Other, other),
            ])
        };
        let without = |owner, group, other| {
            list(&[
                entry(AclTag::UserObj, owner),
                entry(AclTag::GroupObj, group),
                entry(AclTag::Other, other),
            ])
        };
        for (before, mode, after) in [
            (with(6, 4, 6, 4), 0o100_660, with(6, 4, 6, 0)),
            (with(6, 4, 6, 4), 0o100_664, with(6, 4, 6, 4)),
            (with(6, 4, 6, 4), 0o4_701, with(7, 4, 0, 1)),
            (without(6, 4, 4), 0o640, without(6, 4, 0)),
            (without(6, 4, 4), 0o777, without(7, 7, 7)),
        ] {
            let mut disk = before.clone();
            assert_eq!(set_mode(&mut disk, mode), Ok(before != after));
            assert_eq!(disk, after, "{mode:o}");
        }
        let mut none = list(&[entry(AclTag::UserObj, 6), entry(AclTag::Other, 4)]);
        let before = none.clone();
        assert!(set_mode(&mut none, 0o600).is_err());
        assert_eq!(none, before);
    }

    proptest! {
        #[test]
        fn both_ways(entries in prop::collection::vec(entry(), 0..9)) {
            let len = to_disk(entries.iter().copied(), None)?;
            let mut disk = vec![0; len];
            to_disk(entries.iter().copied(), Some(&mut disk))?;
            let mut xattr = vec![0; to_xattr(&disk, None)?];
            prop_assert_eq!(xattr.len(), 4 + 8 * entries.len());
            to_xattr(&disk, Some(&mut xattr))?;
            let mut back = vec![0; len];
            prop_assert_eq!(from_xattr(&xattr, Some(&mut back))?, len);
            prop_assert_eq!(&back, &disk);
            let list: Result<Vec<_>, _> = disk_entries(&disk)?.collect();
            prop_assert_eq!(list?, entries);
            let room = to_xattr(&disk, Some(&mut xattr[..3]));
            prop_assert!(room.is_err());
        }

        #[test]
        fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..60), version in 0u32..4) {
            let _ = put_le32(&mut bytes, 0, version);
            let mut out = [0; 100];
            let _ = set_mode(&mut bytes, 0o640);
            let _ = to_xattr(&bytes, Some(&mut out));
            let _ = from_xattr(&bytes, Some(&mut out));
        }
    }
}
