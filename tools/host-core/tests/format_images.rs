// SPDX-License-Identifier: GPL-2.0

//! Real images from mke2fs, of all block sizes and of the features that change the format: every
//! checksum and every structure must be as our code says, and any bytes must do no harm.

mod image;

use host_core::core::cache::FUNCTIONS;
use host_core::format::{
    checksum::Seed,
    dirent::DirFormat,
    extent,
    features::Incompat,
    group_desc::GroupDesc,
    hash::{HashVersion, Signedness},
    htree::IndexFormat,
    indirect,
    inode::InodeFields,
    jbd2::{self, Version},
    orphan_file,
    superblock::Superblock,
    units::DiskBlock,
    units::Group,
    units::Ino,
    xattr::Attrs,
};
use image::{make, Failure, Image, Kind, Recipe, SUPERBLOCK};
use proptest::{prelude::*, test_runner::TestRunner};

fn walk(name: &str, options: &[&str], kinds: &[Kind]) -> Result<Image, Failure> {
    let mut image = make(name, options)?;
    image.walk()?;
    for kind in kinds {
        assert!(image.found.contains_key(kind), "{name}: no {kind:?}");
    }
    let counts: Vec<_> = image.found.iter().map(|(kind, (n, _))| (kind, n)).collect();
    println!("{name}: {counts:?}");
    Ok(image)
}

const ALWAYS: [Kind; 7] = [
    Kind::Superblock,
    Kind::GroupDesc,
    Kind::Inode,
    Kind::Extent,
    Kind::Dir,
    Kind::IndexRoot,
    Kind::Xattr,
];

#[test]
fn defaults_with_1k_blocks() -> Result<(), Failure> {
    let image = walk("1k", &["-b", "1024"], &ALWAYS)?;
    assert!(image.found.contains_key(&Kind::IndexNode));
    assert!(image.found.contains_key(&Kind::Journal));
    Ok(())
}

#[test]
fn defaults_with_2k_blocks() -> Result<(), Failure> {
    walk("2k", &["-b", "2048"], &ALWAYS).map(drop)
}

#[test]
fn defaults_with_4k_blocks() -> Result<(), Failure> {
    walk("4k", &["-b", "4096"], &ALWAYS).map(drop)
}

#[test]
fn seed_and_orphan_file() -> Result<(), Failure> {
    let options = ["-b", "4096", "-O", "metadata_csum_seed,orphan_file"];
    walk("orphan", &options, &[Kind::Orphan]).map(drop)
}

#[test]
fn old_checksums() -> Result<(), Failure> {
    let options = ["-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit"];
    walk("crc16", &options, &ALWAYS).map(drop)
}

#[test]
fn meta_block_groups_and_small_inodes() -> Result<(), Failure> {
    let options = [
        "-b",
        "1024",
        "-I",
        "128",
        "-O",
        "meta_bg,^resize_inode",
        "-g",
        "1024",
    ];
    walk("meta_bg", &options, &[Kind::Dir]).map(drop)
}

#[test]
fn block_maps() -> Result<(), Failure> {
    let options = ["-b", "1024", "-O", "^extent,^64bit,^flex_bg,^metadata_csum"];
    walk("maps", &options, &[Kind::Indirect, Kind::IndexRoot]).map(drop)
}

/// Every function with signed and with unsigned bytes.
#[test]
fn hash_versions() -> Result<(), Failure> {
    for (hash, want) in [
        ("legacy", HashVersion::Legacy),
        ("half_md4", HashVersion::HalfMd4),
        ("tea", HashVersion::Tea),
    ] {
        // No option sets the function: it takes a configuration file.
        let config = format!(
            "[defaults]\nbase_features = filetype,sparse_super,dir_index,extent,has_journal\n\
             inode_size = 256\n[fs_types]\next4 = {{\nhash_alg = {hash}\n}}\n"
        );
        for (flags, signedness) in [(1, Signedness::Signed), (2, Signedness::Unsigned)] {
            let recipe = Recipe {
                options: &["-b", "1024"],
                config: Some(&config),
                commands: &[&format!("set_super_value flags {flags}")],
            };
            let mut image = recipe.make(&format!("hash-{hash}-{flags}"))?;
            assert_eq!(image.sb.hash_version, want);
            assert_eq!(image.sb.hash_signedness, Some(signedness));
            image.walk()?;
            assert!(image.found.contains_key(&Kind::IndexNode), "{hash}");
        }
    }
    Ok(())
}

/// Transactions that e2fsprogs wrote, with each version of checksums: every block of the log must
/// be as our code reads it.
#[test]
fn journals() -> Result<(), Failure> {
    for (name, open, version) in [
        ("none", "journal_open", Version::None),
        ("v2", "journal_open -c -v 2", Version::V2),
        ("v3", "journal_open -c -v 3", Version::V3),
    ] {
        let text = "x".repeat(5 * 4096);
        let folder = env!("CARGO_TARGET_TMPDIR");
        let data = format!("{folder}/journal-data-{name}");
        std::fs::write(&data, text)?;
        let write = format!("journal_write -b 4000,4001,4002,4003,4004 {data}");
        let recipe = Recipe {
            options: &["-b", "4096"],
            config: None,
            commands: &[open, &write, "journal_write -r 4001,4002", "journal_close"],
        };
        let mut image = recipe.make_without_check(&format!("journal-{name}"))?;
        assert!(image.sb.incompat.has(Incompat::RECOVER));
        let log = image.log()?;
        assert_eq!(log.version, version, "{name}");
        assert_eq!(
            log.logged,
            [4000, 4001, 4002, 4003, 4004].map(DiskBlock),
            "{name}"
        );
        assert_eq!(log.revoked, [4001, 4002].map(DiskBlock), "{name}");
        assert_eq!(log.commits, 2, "{name}");
    }
    Ok(())
}

/// Gives damaged copies of a harvested block to every parser: none may panic.
fn feed(image: &Image, bytes: &mut [u8]) {
    let geometry = &image.sb.geometry;
    let valid = |start: DiskBlock, len: u32| geometry.has_blocks(start, len);
    let _ = Superblock::parse(bytes, &FUNCTIONS, None);
    if let Ok(desc) = GroupDesc::parse(bytes) {
        let _ = desc.check(Group(1), geometry);
        let mut bits = vec![0; geometry.block_size() as usize];
        let _ = desc.fresh_block_bitmap(Group(1), geometry, &mut bits);
    }
    if let Ok(fields) = InodeFields::decode(bytes, geometry) {
        let _ = fields.encode(&mut bytes.to_vec(), geometry);
        let _ = Attrs::in_body(bytes, fields.extra_isize).map(|a| a.map(|a| a.iter().count()));
    }
    if extent::check(bytes, &extent::Expect::ROOT, valid).is_ok() {
        if let Ok(mut node) = extent::NodeMut::new(&mut bytes.to_vec()) {
            let _ = node.remove(1, 1);
            let _ = node.set_key(0, host_core::format::units::FileBlock(3));
        }
    }
    let _ = indirect::check(bytes, valid);
    let dir = DirFormat::new(geometry, image.sums.enabled());
    let _ = dir.check(bytes);
    let _ = dir.find(bytes, b"name");
    let mut copy = bytes.to_vec();
    let kind = host_core::format::dirent::FileType(1);
    let _ = dir.insert(&mut copy, Ino(12), kind, b"a-new-name");
    let _ = dir.remove(&mut copy, 24);
    let index = IndexFormat { dir, blocks: 100 };
    let _ = index.root(bytes).map(|(_, index)| index.find(77));
    let _ = index.node(bytes).map(|index| index.find(77));
    let _ = Attrs::in_block(bytes).map(|attrs| attrs.iter().count());
    let _ = orphan_file::check(bytes);
    if let Ok(layout) = jbd2::Layout::parse(bytes, &FUNCTIONS, geometry.block_size(), 4096) {
        let _ = layout.tags(bytes).count();
        let _ = layout.revokes(bytes).map(|revokes| revokes.count());
    }
    let (seed, at) = (Seed(7), DiskBlock(9));
    let sums = &image.sums;
    let _ = sums.verify_group_desc(Group(0), bytes);
    let _ = sums.verify_inode(Ino(12), bytes);
    let _ = sums.verify_extent_block(seed, bytes);
    let _ = sums.seal_extent_block(seed, bytes);
    let _ = sums.verify_dir_block(seed, bytes);
    for place in [8, 32] {
        let _ = sums.verify_htree(seed, bytes, place);
        let _ = sums.seal_htree(seed, bytes, place);
    }
    let _ = sums.verify_xattr_block(at, bytes);
    let _ = sums.verify_orphan_block(seed, at, bytes);
}

#[test]
fn damaged_blocks_never_panic() -> Result<(), Failure> {
    let image = walk("damaged", &["-b", "1024", "-O", "orphan_file"], &ALWAYS)?;
    let blocks: Vec<Vec<u8>> = image
        .found
        .values()
        .flat_map(|(_, kept)| kept.clone())
        .collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12);
    let strategy = (
        prop::sample::select(blocks),
        damage,
        any::<prop::sample::Index>(),
    );
    let config = ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config).run(&strategy, |(mut bytes, damage, cut)| {
        for (at, byte) in damage {
            // Headers are where it hurts: half of the damage goes there.
            let len = if byte % 2 == 0 {
                bytes.len()
            } else {
                bytes.len().min(64)
            };
            bytes[at.index(len)] = byte;
        }
        let len = bytes.len();
        feed(&image, &mut bytes);
        feed(&image, &mut bytes[..cut.index(len + 1)]);
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_damaged_superblock_is_a_checksum_fault() -> Result<(), Failure> {
    let image = make("badsuper", &["-b", "4096"])?;
    let mut bytes = image.bytes[SUPERBLOCK].to_vec();
    bytes[0x10] ^= 1;
    let fault = Superblock::parse(&bytes, &FUNCTIONS, None).unwrap_err();
    assert!(fault.is_checksum(), "{fault}");
    bytes[0x38] ^= 1;
    let fault = Superblock::parse(&bytes, &FUNCTIONS, None).unwrap_err();
    assert!(fault.to_string().contains("magic"), "{fault}");
    Ok(())
}
