// SPDX-License-Identifier: GPL-2.0

//! Lists of edits, and the bytes that say them: any bytes are such a list.
//!
//! The first byte picks the seed, the second says how to mount ([`Mode`]); then come edits until the
//! bytes end. An edit picks a structure by its kind and number, a place in it, and what to put there:
//! bytes, numbers that are often wrong, or what is right elsewhere.

use crate::overlay::Overlay;
use crate::places::{Kind, Place, Places, KINDS};
use crate::seal;
use crate::seeds::{self, Seed};
use host_core::testing::Random;

/// Most edits of a list; the rest is not read.
pub const MOST: usize = 40;
/// Bytes of an edit besides those it puts down.
const HEADER: usize = 6;

/// How a damaged image is used: the bits of the second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u8);

impl Mode {
    /// Wrong checksums stay wrong.
    pub const fn leaves_sums(self) -> bool {
        self.0 & 7 == 7
    }

    /// Mounted read-only.
    pub const fn read_only(self) -> bool {
        self.0 & 0x38 == 0x38
    }

    /// The first error ends all writing (otherwise they are only noted).
    pub const fn stops(self) -> bool {
        self.0 & 0x40 != 0
    }
}

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action<'a> {
    /// Puts these bytes.
    Put(&'a [u8]),
    /// Puts a number that is often wrong.
    Number(u32, usize),
    /// Puts the number of the block of another structure.
    BlockOf(Place),
    /// Puts the number of the inode that owns another structure.
    OwnerOf(Place),
    /// Puts the contents of another structure over all of this one.
    Copy(Place),
    /// Gives the structure another owner, so that its checksum is that one's.
    Adopt(Place),
    /// Adds a small number to a byte.
    Add(u8),
}

const NUMBERS: [u32; 16] = [
    0,
    1,
    2,
    3,
    7,
    8,
    11,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
];

fn pick(places: &Places, kind: u8, which: u8) -> Place {
    let of_kind = places.of(KINDS[usize::from(kind) % KINDS.len()]);
    let from = if of_kind.is_empty() {
        &places.all
    } else {
        of_kind
    };
    // Small numbers are the first, large ones (signed) the last.
    let which = which as i8;
    let at = (i64::from(which)).rem_euclid(from.len() as i64) as usize;
    from[at]
}

/// A damaged image, ready to be mounted.
#[derive(Debug)]
pub struct Damaged {
    /// What it was made from.
    pub seed: &'static Seed,
    /// How to mount it.
    pub mode: Mode,
    /// The device.
    pub device: Overlay,
}

/// Reads a list of edits and does them, checksums included. Bytes that are too few are `None`.
pub fn apply(list: &[u8]) -> Option<Damaged> {
    let (&[seed, mode], mut rest) = list.split_first_chunk::<2>()?;
    let seed = seeds::seed(usize::from(seed));
    let mode = Mode(mode);
    let device = Overlay::new(seed.image.clone());
    let mut places = seed.places.clone();
    let mut touched = Vec::new();
    for _ in 0..MOST {
        let Some((edit, more)) = rest.split_first_chunk::<HEADER>() else {
            break;
        };
        let [kind, which, low, high, op, operand] = *edit;
        rest = more;
        let target = pick(&places, kind, which);
        let other = pick(&seed.places, operand, rest.first().copied().unwrap_or(0));
        let action = match op % 8 {
            0 | 1 => {
                let (bytes, more) = rest.split_at(rest.len().min(1 + usize::from(operand % 8)));
                rest = more;
                Action::Put(bytes)
            }
            2 => Action::Number(
                NUMBERS[usize::from(operand % 16)],
                1 << ((operand >> 4) & 1),
            ),
            3 => Action::Number(NUMBERS[usize::from(operand % 16)], 4),
            4 => Action::BlockOf(other),
            5 => Action::OwnerOf(other),
            6 if op & 8 == 0 => Action::Copy(other),
            6 => Action::Adopt(other),
            _ => Action::Add(operand),
        };
        if op % 8 > 3 && op % 8 < 7 {
            rest = rest.get(1..).unwrap_or(&[]);
        }
        // Half of the offsets are those of words.
        let offset = usize::from(u16::from_le_bytes([low, high]));
        let offset = offset % target.len.max(1);
        act(&device, &mut places, target, offset, action);
        touched.push(target);
    }
    if !mode.leaves_sums() {
        seal::seal(&device, &places, &touched);
    }
    Some(Damaged { seed, mode, device })
}

fn act(device: &Overlay, places: &mut Places, target: Place, offset: usize, action: Action<'_>) {
    let at = target.at + offset as u64;
    let left = target.len - offset;
    let is_journal = matches!(target.kind, Kind::JournalSuper | Kind::JournalBlock);
    let put = |number: u32, len: usize| {
        let bytes = if is_journal {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        let from = if is_journal { 4 - len } else { 0 };
        device.put(at, &bytes[from..from + len][..len.min(left)]);
    };
    let block_size = u64::from(places.block_size);
    match action {
        Action::Put(bytes) => device.put(at, &bytes[..bytes.len().min(left)]),
        Action::Number(number, len) => put(number, len),
        Action::BlockOf(other) if is_journal => {
            // In the log, blocks are counted from its start.
            let block = other.at / block_size;
            let place = places.log.iter().position(|at| at.get() == block);
            put(place.map_or(block as u32, |at| at as u32), 4);
        }
        Action::BlockOf(other) => put((other.at / block_size) as u32, 4),
        Action::OwnerOf(other) => put(other.owner, 4),
        Action::Copy(other) => {
            let bytes = device.bytes(other.at, other.len.min(target.len));
            device.put(target.at, &bytes);
        }
        Action::Adopt(other) => {
            for place in &mut places.all {
                if place.at == target.at && place.kind < Kind::Inode {
                    place.owner = other.owner;
                }
            }
        }
        Action::Add(number) => {
            let byte = device.bytes(at, 1);
            device.put(
                at,
                &[byte.first().copied().unwrap_or(0).wrapping_add(number)],
            );
        }
    }
}

/// One more edit at the end of a list.
pub fn push_random(list: &mut Vec<u8>, random: &mut Random) {
    // Few of them make an image that cannot be mounted at all.
    const LIKELY: [Kind; 12] = [
        Kind::Inode,
        Kind::Inode,
        Kind::Extent,
        Kind::Dir,
        Kind::IndexRoot,
        Kind::IndexNode,
        Kind::GroupDesc,
        Kind::BlockBitmap,
        Kind::JournalSuper,
        Kind::JournalBlock,
        Kind::Logged,
        Kind::Dir,
    ];
    let kind = if random.below(4) == 0 {
        random.below(16) as u8
    } else {
        LIKELY[random.index(LIKELY.len())] as u8
    };
    let which = match random.below(3) {
        0 => random.below(12) as u8,
        1 => (256 - 1 - random.below(12)) as u8,
        _ => random.byte(),
    };
    // The beginnings of structures are the interesting parts, and fields are aligned.
    let offset = match random.below(4) {
        0 => random.below(16) * 4,
        1 => random.below(80) * 2,
        2 => random.below(256),
        _ => random.below(4096),
    } as u16;
    let op = random.below(16) as u8;
    let operand = random.byte();
    list.extend([kind, which]);
    list.extend(offset.to_le_bytes());
    list.extend([op, operand]);
    match op % 8 {
        0 | 1 => list.extend((0..1 + operand % 8).map(|_| random.byte())),
        4..=6 => list.push(random.byte()),
        _ => {}
    }
}

/// A list of a few edits.
pub fn random_list(random: &mut Random) -> Vec<u8> {
    let seed = random.below(seeds::COUNT as u64) as u8;
    let mut list = vec![seed, random.byte()];
    for _ in 0..1 + random.below(8) {
        push_random(&mut list, random);
    }
    list
}
