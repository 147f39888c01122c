// SPDX-License-Identifier: GPL-2.0

//! The units every signature speaks in: one type each, so that a logical block can never be
//! passed where a physical one is meant.

/// Declares a unit: a transparent integer with ordering, `get`, and checked arithmetic.
macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The bare number.
            pub const fn get(self) -> $int {
                self.0
            }

            /// `self + n`, or `None` past the end of the unit's range.
            pub const fn checked_add(self, n: $int) -> Option<Self> {
                match self.0.checked_add(n) {
                    Some(v) => Some(Self(v)),
                    None => None,
                }
            }

            /// `self - n`, or `None` below zero.
            pub const fn checked_sub(self, n: $int) -> Option<Self> {
                match self.0.checked_sub(n) {
                    Some(v) => Some(Self(v)),
                    None => None,
                }
            }

            /// How far `self` lies past `start`, or `None` when it lies before it.
            pub const fn distance_from(self, start: Self) -> Option<$int> {
                self.0.checked_sub(start.0)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit! {
    /// A logical block inside one file (`ext4_lblk_t`).
    FileBlock(u32)
}
unit! {
    /// A block on the device (`ext4_fsblk_t`), in file system blocks.
    DiskBlock(u64)
}
unit! {
    /// A block inside the journal, counted from the journal's start.
    LogBlock(u32)
}
unit! {
    /// An inode number; 0 is never an inode.
    Ino(u32)
}
unit! {
    /// A block group number (`ext4_group_t`).
    Group(u32)
}

/// A journal transaction's sequence number (`tid_t`). It wraps: compare with [`Tid::is_before`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tid(pub u32);

impl Tid {
    /// Whether `self` is older than `other`, in the ring of sequence numbers.
    pub const fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The sequence number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl core::fmt::Display for Tid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}
