// SPDX-License-Identifier: GPL-2.0

//! `damage seeds FOLDER`: structures of the seed images as first inputs of the fuzz targets, a folder
//! for each. `damage images COUNT FIRST FILE`: seed images and COUNT lists of changes to them, with the
//! numbers FIRST and up, in one archive that `tools/tests/damaged-images.py` reads in a guest.
//! `damage list FILE...`: what a mount with these lists of edits costs.

use host_core::testing::Random;
use hostile::places::Kind;
use hostile::{edits, seeds, visit};
use std::io::{self, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["seeds", folder] => first_inputs(Path::new(folder))?,
        ["images", count, first, file] => archive(count.parse()?, first.parse()?, Path::new(file))?,
        ["list", ref files @ ..] => {
            for file in files {
                let damaged = edits::apply(&std::fs::read(file)?);
                println!(
                    "{file}: {:?}",
                    damaged.map(|damaged| visit::visit(&damaged))
                );
            }
        }
        _ => return Err("damage seeds FOLDER | images COUNT FIRST FILE | list FILE...".into()),
    }
    Ok(())
}

/// The target that a structure is an input of, and whether a byte for the block size comes first.
const fn target(kind: Kind) -> Option<(&'static str, bool)> {
    Some(match kind {
        Kind::Extent => ("extent", true),
        Kind::Indirect => ("indirect", true),
        Kind::Dir => ("dirent", true),
        Kind::IndexRoot | Kind::IndexNode => ("htree", true),
        Kind::Xattr => ("xattr", true),
        Kind::Orphan => ("orphan_file", true),
        Kind::Inode => ("inode", false),
        Kind::BlockBitmap => ("bitmap", false),
        Kind::GroupDesc => ("group_desc", true),
        Kind::Superblock => ("superblock", false),
        Kind::JournalSuper => ("jbd2", false),
        _ => return None,
    })
}

fn first_inputs(folder: &Path) -> io::Result<()> {
    // Inputs that are long make slow work: only seeds with small blocks.
    for number in (0..seeds::COUNT).filter(|n| seeds::seed(*n).places.block_size == 1024) {
        let seed = seeds::seed(number);
        for kind in hostile::places::KINDS {
            let Some((target, sized)) = target(kind) else {
                continue;
            };
            let folder = folder.join(target);
            std::fs::create_dir_all(&folder)?;
            for (n, place) in seed.places.of(kind).iter().step_by(3).take(5).enumerate() {
                let from = place.at as usize;
                let mut bytes = seed.image[from..from + place.len].to_vec();
                if kind == Kind::JournalSuper {
                    // A block of the log follows.
                    bytes.push(0);
                    let more = seed.places.of(Kind::JournalBlock).first();
                    bytes.extend(
                        more.map_or(&[][..], |block| &seed.image[block.at as usize..][..1024]),
                    );
                }
                if sized {
                    bytes.insert(0, 0);
                }
                std::fs::write(folder.join(format!("{number}-{kind:?}-{n}")), bytes)?;
            }
        }
    }
    let folder = folder.join("mount");
    std::fs::create_dir_all(&folder)?;
    for number in 0..200 {
        let list = edits::random_list(&mut Random::new(number));
        std::fs::write(folder.join(format!("random-{number}")), list)?;
    }
    Ok(())
}

/// The archive, all numbers of 4 bytes, little-endian: the count of seeds, and for each its length and
/// bytes; the count of images, and for each its number, seed, mode, count of changes, and for each of
/// these its place (in units of 1024 bytes) and 1024 bytes.
fn archive(count: u64, first: u64, file: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::new(std::fs::File::create(file)?);
    let word = |out: &mut io::BufWriter<_>, n: u64| out.write_all(&(n as u32).to_le_bytes());
    word(&mut out, seeds::COUNT as u64)?;
    for number in 0..seeds::COUNT {
        let image = &seeds::seed(number).image;
        word(&mut out, image.len() as u64)?;
        out.write_all(image)?;
    }
    word(&mut out, count)?;
    for number in first..first + count {
        let list = edits::random_list(&mut Random::new(number));
        let Some(damaged) = edits::apply(&list) else {
            continue;
        };
        let changes = damaged.device.changes();
        for n in [
            number,
            u64::from(list[0]) % seeds::COUNT as u64,
            u64::from(damaged.mode.0),
            changes.len() as u64,
        ] {
            word(&mut out, n)?;
        }
        for (at, bytes) in changes {
            word(&mut out, at / 1024)?;
            out.write_all(&bytes)?;
        }
    }
    out.flush()
}
