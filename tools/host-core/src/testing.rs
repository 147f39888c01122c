// SPDX-License-Identifier: GPL-2.0

//! What all tests need: images made by e2fsprogs, their judgement by e2fsck, numbers by chance.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that is removed when the value goes.
#[derive(Debug)]
pub struct TempFile(pub PathBuf);

impl TempFile {
    /// A new empty file of `size` bytes.
    pub fn new(size: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "rext4-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        Self(path)
    }

    /// A file with these contents.
    pub fn with(contents: &[u8]) -> Self {
        let file = Self::new(0);
        std::fs::write(&file.0, contents).unwrap();
        file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where a program is; the directory of e2fsprogs may be missing from `PATH`.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    folders
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| program.into())
}

/// What a program of e2fsprogs prints.
pub fn run(program: &str, args: &[&str], image: &Path) -> (i32, String) {
    // By its path: std forks, at the price of all this process's pages, when it is to search another
    // `PATH` than its own.
    let output = Command::new(find(program))
        .args(args)
        .arg(image)
        .env("LC_ALL", "C")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// An image of `size` bytes made by `mkfs.ext4` with `args` besides its defaults.
pub fn mkfs(size: u64, args: &[&str]) -> Vec<u8> {
    let file = TempFile::new(size);
    let args: Vec<&str> = ["-q", "-F"].iter().chain(args).copied().collect();
    let (code, text) = run("mkfs.ext4", &args, &file.0);
    assert_eq!(code, 0, "mkfs.ext4: {text}");
    std::fs::read(&file.0).unwrap()
}

/// An image made smaller, to `size` bytes.
pub fn resize(image: &[u8], size: u64) -> Vec<u8> {
    let file = TempFile::with(image);
    let path = file.0.to_string_lossy();
    let size_in_sectors = format!("{}s", size / 512);
    let resize2fs = Command::new(find("resize2fs"))
        .args(["-f", &path, &size_in_sectors])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&resize2fs.stderr);
    assert!(resize2fs.status.success(), "resize2fs: {text}");
    let mut resized = std::fs::read(&file.0).unwrap();
    resized.truncate(size as usize);
    resized
}

/// What `debugfs` answers to one request.
pub fn debugfs(image: &[u8], request: &str) -> String {
    let file = TempFile::with(image);
    run("debugfs", &["-R", request], &file.0).1
}

/// Gives a file in an image an extended attribute.
pub fn set_xattr(image: &TempFile, path: &str, name: &str, value: &[u8]) {
    let value = TempFile::with(value);
    let request = format!("ea_set -f {} {path} {name}", value.0.display());
    run("debugfs", &["-w", "-R", &request], &image.0);
}

/// Lets a second file have the first one's block of extended attributes.
pub fn share_xattrs(image: &TempFile, first: &str, second: &str) {
    let ask = |request: &str| run("debugfs", &["-w", "-R", request], &image.0).1;
    let block_of = |path: &str| {
        let about = ask(&format!("stat {path}"));
        let (_, block) = about.split_once("File ACL: ").unwrap();
        block.split_whitespace().next().unwrap().to_owned()
    };
    let block = block_of(first);
    ask(&format!("sif {second} file_acl {block}"));
    run("e2fsck", &["-fy"], &image.0);
    assert_ne!(block, "0");
    assert_eq!((block_of(first), block_of(second)), (block.clone(), block));
}

/// Panics with e2fsck's findings unless it finds nothing.
pub fn assert_clean(image: &[u8]) {
    let file = TempFile::with(image);
    let (code, text) = run("e2fsck", &["-fn"], &file.0);
    assert_eq!(code, 0, "e2fsck -fn: {text}");
}

/// Numbers by chance (splitmix64): the same seed gives the same ones.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Mixes the bits of a number.
pub const fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

impl Random {
    /// A generator; any seed will do.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.number() >> 11) % limit
    }

    /// An index of something of this length, which is not empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// Bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
