// SPDX-License-Identifier: GPL-2.0

//! The hashes that order names in an indexed directory.
//!
//! Source: `Documentation/filesystems/ext4/directory.rst`; the functions are those of MD4 (its
//! first part), TEA and an older one.

/// The function of a directory's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashVersion {
    /// The oldest.
    Legacy,
    /// Half of MD4, the default.
    HalfMd4,
    /// The tiny encryption algorithm.
    Tea,
}

/// How a byte of a name becomes a number: two kinds of machine once made two kinds of directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signedness {
    /// From -128 to 127.
    Signed,
    /// From 0 to 255.
    Unsigned,
}

/// A function together with the signedness it is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hasher {
    /// The function.
    pub version: HashVersion,
    /// The signedness.
    pub signedness: Signedness,
    /// The file system's seed.
    pub seed: HashSeed,
}

/// The four words of `s_hash_seed`; all zero means the functions' own start values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashSeed(pub [u32; 4]);

/// A name's hash: `major` orders the index (its lowest bit is always 0), `minor` orders names of
/// one `major` for those who read a directory in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameHash {
    /// The hash in the index.
    pub major: u32,
    /// The tie-breaker.
    pub minor: u32,
}

/// The greatest hash a name can have; the one above it means the end of the directory.
const END: u32 = 0xffff_fffe;

impl HashVersion {
    /// The default of a superblock (`s_def_hash_version`). The unsigned twins (3 to 5) are
    /// accepted there, though the flags decide on the signedness.
    pub const fn from_default(number: u8) -> Option<Self> {
        match number {
            0 | 3 => Some(Self::Legacy),
            1 | 4 => Some(Self::HalfMd4),
            2 | 5 => Some(Self::Tea),
            _ => None,
        }
    }

    /// The function named in an index root, and the signedness it forces, if any.
    pub const fn from_root(number: u8) -> Option<(Self, Option<Signedness>)> {
        match Self::from_default(number) {
            Some(version) if number >= 3 => Some((version, Some(Signedness::Unsigned))),
            Some(version) => Some((version, None)),
            None => None,
        }
    }

    /// The number written into a new index root.
    pub const fn number(self) -> u8 {
        match self {
            Self::Legacy => 0,
            Self::HalfMd4 => 1,
            Self::Tea => 2,
        }
    }
}

impl Hasher {
    /// The hash of a name.
    pub fn hash(&self, name: &[u8]) -> NameHash {
        let (major, minor) = match self.version {
            HashVersion::Legacy => (self.legacy(name), 0),
            HashVersion::HalfMd4 => {
                let mut state = self.start();
                self.blocks::<8>(name, |words| half_md4(&mut state, words));
                (state[1], state[2])
            }
            HashVersion::Tea => {
                let mut state = self.start();
                self.blocks::<4>(name, |words| tea(&mut state, words));
                (state[0], state[1])
            }
        };
        let major = match major & !1 {
            END => END & !3,
            major => major,
        };
        NameHash { major, minor }
    }

    fn start(&self) -> [u32; 4] {
        match self.seed.0 {
            [0, 0, 0, 0] => [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            seed => seed,
        }
    }

    fn number(&self, byte: u8) -> u32 {
        match self.signedness {
            Signedness::Signed => i32::from(byte as i8) as u32,
            Signedness::Unsigned => u32::from(byte),
        }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut hash, mut before) = (0x12a3_fe2du32, 0x37ab_e8f9u32);
        for byte in name {
            let mixed = hash ^ self.number(*byte).wrapping_mul(7_152_373);
            let mut next = before.wrapping_add(mixed);
            if next & 0x8000_0000 != 0 {
                next = next.wrapping_sub(0x7fff_ffff);
            }
            before = hash;
            hash = next;
        }
        hash << 1
    }

    /// Gives `mix` the name in blocks of `N` words. Bytes enter a word from the top; words past
    /// the name's end hold its length, left to go, in every byte.
    fn blocks<const N: usize>(&self, name: &[u8], mut mix: impl FnMut(&[u32; N])) {
        let mut rest = name;
        while !rest.is_empty() {
            let len = super::bytes::clamp32(rest.len());
            let pad = len | (len << 8);
            let pad = pad | (pad << 16);
            let (now, later) = rest.split_at(rest.len().min(N.saturating_mul(4)));
            let mut words = [pad; N];
            for (word, bytes) in words.iter_mut().zip(now.chunks(4)) {
                for byte in bytes {
                    *word = self.number(*byte).wrapping_add(*word << 8);
                }
            }
            mix(&words);
            rest = later;
        }
    }
}

/// One round of half MD4: takes eight words in, and turns the state by one place for each.
#[inline(always)]
fn round(
    [mut a, mut b, mut c, mut d]: [u32; 4],
    words: [u32; 8],
    shifts: [u32; 4],
    function: impl Fn(u32, u32, u32) -> u32,
) -> [u32; 4] {
    for (word, shift) in words.into_iter().zip(shifts.into_iter().chain(shifts)) {
        let sum = a.wrapping_add(function(b, c, d)).wrapping_add(word);
        (a, b, c, d) = (d, sum.rotate_left(shift), b, c);
    }
    [a, b, c, d]
}

/// One block of half MD4.
fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    let choose = |x, y, z| z ^ (x & (y ^ z));
    let majority = |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z);
    let parity = |x, y, z| x ^ y ^ z;
    let plus = |words: [u32; 8], constant: u32| words.map(|word| word.wrapping_add(constant));
    let [a, b, c, d, e, f, g, h] = *words;
    let new = round(*state, *words, [3, 7, 11, 19], choose);
    let second = plus([b, d, f, h, a, c, e, g], 0x5a82_7999);
    let new = round(new, second, [3, 5, 9, 13], majority);
    let third = plus([d, h, c, g, b, f, a, e], 0x6ed9_eba1);
    let new = round(new, third, [3, 9, 11, 15], parity);
    for (to, from) in state.iter_mut().zip(new) {
        *to = to.wrapping_add(from);
    }
}

/// One block of TEA; only the first two words of the state change.
fn tea(state: &mut [u32; 4], words: &[u32; 4]) {
    let [a, b, c, d] = *words;
    let [mut left, mut right, ..] = *state;
    let mix = |half: u32, sum: u32, k0: u32, k1: u32| {
        (half << 4).wrapping_add(k0) ^ half.wrapping_add(sum) ^ (half >> 5).wrapping_add(k1)
    };
    let mut sum = 0u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        left = left.wrapping_add(mix(right, sum, a, b));
        right = right.wrapping_add(mix(left, sum, c, d));
    }
    state[0] = state[0].wrapping_add(left);
    state[1] = state[1].wrapping_add(right);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &[u8] = b"a-name-that-is-longer-than-thirty-two-bytes-to-take-a-second-round";
    const NAMES: [&[u8]; 6] = [
        b"a",
        b"hello",
        LONG,
        "näme-ÿ".as_bytes(),
        b"0123456789abcdef",
        b"0123456789abcdef0123456789abcdef",
    ];

    /// What `debugfs -R "dx_hash -h FUNCTION [-s SEED] NAME"` of e2fsprogs 1.47.0 prints for them.
    const NO_SEED: [[(u32, u32); 6]; 3] = [
        [
            (0xe74b_53e2, 0),
            (0x3225_2546, 0),
            (0xb05f_860a, 0),
            (0xf7e7_91fa, 0),
            (0x415c_16fe, 0),
            (0x6d4a_15ee, 0),
        ],
        [
            (0xd5fa_7d7a, 0xacb4_8187),
            (0x1746_da32, 0x4200_13b5),
            (0xec8b_5afa, 0x1876_08aa),
            (0x4501_d22a, 0xbcdb_a67f),
            (0x8cb5_02b6, 0x5acf_4f33),
            (0x3618_4620, 0xc959_df59),
        ],
        [
            (0x6d0e_a4c0, 0xc189_22df),
            (0x6f5b_b1a8, 0x2319_17c2),
            (0x5ad8_ffe6, 0xb633_061c),
            (0x8010_cb22, 0x86cb_e6c8),
            (0x5a07_88b2, 0xefa4_e711),
            (0xcbe9_5e3c, 0x1762_7589),
        ],
    ];
    /// The same with the seed e5d4c3b2-a190-8877-6655-443322110f1e.
    const SEED: HashSeed = HashSeed([0xb2c3_d4e5, 0x7788_90a1, 0x3344_5566, 0x1e0f_1122]);
    const SEEDED: [[(u32, u32); 6]; 3] = [
        NO_SEED[0],
        [
            (0x674a_6188, 0x1bae_7c1d),
            (0x3392_774c, 0xda63_fa8a),
            (0x8651_0d52, 0xafb6_4b11),
            (0xd6a9_ba2e, 0x7f8f_9a33),
            (0xc92d_ce4a, 0x1237_4526),
            (0x25fd_bd18, 0x39ee_f9c3),
        ],
        [
            (0x8d77_5a16, 0x21e5_0887),
            (0xe1e4_8be8, 0x01fe_7c03),
            (0x4923_c726, 0x24a6_bea0),
            (0x78fe_f8ba, 0xbf0f_d613),
            (0x6164_b92e, 0x6081_ce96),
            (0x2f90_3916, 0x3f28_ecdc),
        ],
    ];

    #[test]
    fn as_debugfs_says() {
        let versions = [HashVersion::Legacy, HashVersion::HalfMd4, HashVersion::Tea];
        for (seed, table) in [(HashSeed::default(), NO_SEED), (SEED, SEEDED)] {
            for (version, row) in versions.into_iter().zip(table) {
                for (name, (major, minor)) in NAMES.into_iter().zip(row) {
                    let hasher = Hasher {
                        version,
                        signedness: Signedness::Signed,
                        seed,
                    };
                    let want = NameHash { major, minor };
                    assert_eq!(hasher.hash(name), want, "{version:?} {name:?}");
                    let unsigned = Hasher {
                        signedness: Signedness::Unsigned,
                        ..hasher
                    };
                    assert_eq!(unsigned.hash(name) == want, name.is_ascii());
                }
            }
        }
    }

    #[test]
    fn numbers_of_versions() {
        for number in 0..=255u8 {
            let version = HashVersion::from_default(number);
            assert_eq!(version.is_some(), number < 6);
            assert_eq!(
                HashVersion::from_root(number),
                version.map(|v| (v, (number > 2).then_some(Signedness::Unsigned)))
            );
            if let Some(version) = version.filter(|_| number < 3) {
                assert_eq!(version.number(), number);
            }
        }
    }
}
