// SPDX-License-Identifier: GPL-2.0

//! Making images with e2fsprogs.

use super::{Failure, Image};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn run(program: &str, arguments: &[&str], config: Option<&Path>) -> Result<(), Failure> {
    let mut command = Command::new(program);
    if let Some(config) = config {
        command.env("MKE2FS_CONFIG", config);
    }
    let done = command.args(arguments).output()?;
    // e2fsck says 1 when it changed something, which is what it is called for.
    if done.status.success() || (program == "e2fsck" && done.status.code() == Some(1)) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(format!("{program} {arguments:?}: {} {text}", done.status).into())
}

/// Fills a folder with what shall be in an image: directories small and large, links, files with
/// holes and many extents.
fn populate(root: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{symlink, FileExt};
    fs::create_dir_all(root.join("a/b/c"))?;
    fs::create_dir_all(root.join("large"))?;
    for n in 0..700 {
        // Long names fill many blocks with few files.
        let name = format!("{n}-{}", "name".repeat(50));
        fs::write(root.join("large").join(name), [])?;
    }
    for n in 0..200 {
        // Bytes above 127 tell signed from unsigned hashes.
        fs::write(root.join("large").join(format!("näme-ÿ-{n}")), [])?;
    }
    fs::write(root.join("a/hello"), "hello\n".repeat(3000))?;
    symlink("short", root.join("fast"))?;
    symlink("long/".repeat(40), root.join("slow"))?;
    let holes = fs::File::create(root.join("holes"))?;
    for n in 0..1500u64 {
        holes.write_all_at(b"data", n * 8192)?;
    }
    fs::hard_link(root.join("a/hello"), root.join("a/b/again"))?;
    Ok(())
}

/// How an image is made.
#[derive(Default)]
pub struct Recipe<'a> {
    /// Options of mke2fs.
    pub options: &'a [&'a str],
    /// The text of a configuration file for mke2fs, for what no option sets.
    pub config: Option<&'a str>,
    /// What debugfs does with the image afterwards.
    pub commands: &'a [&'a str],
}

/// Makes an image with the given options of mke2fs, and reads it back.
pub fn make(name: &str, options: &[&str]) -> Result<Image, Failure> {
    let recipe = Recipe {
        options,
        ..Recipe::default()
    };
    recipe.make(name)
}

impl Recipe<'_> {
    /// Makes the image, lets e2fsck index its large directories, and reads it back.
    pub fn make(&self, name: &str) -> Result<Image, Failure> {
        self.build(name, true)
    }

    /// The same, as debugfs left it.
    pub fn make_without_check(&self, name: &str) -> Result<Image, Failure> {
        self.build(name, false)
    }

    fn build(&self, name: &str, check: bool) -> Result<Image, Failure> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        populate(&tree)?;
        let config = folder.join("config");
        if let Some(text) = self.config {
            fs::write(&config, text)?;
        }
        let config = self.config.map(|_| config.as_path());
        let image = folder.join("image");
        let path = image.to_str().ok_or("path")?;
        let tree = tree.to_str().ok_or("path")?;
        let mut arguments = vec!["-q", "-F", "-t", "ext4", "-d", tree];
        arguments.extend(self.options);
        arguments.extend([path, "64M"]);
        run("mke2fs", &arguments, config)?;
        let mut script = format!(
            "ea_set /a/hello user.small {}\nea_set /a/hello user.large {}\nmknod /device c 5 1\n",
            "v".repeat(20),
            "v".repeat(300)
        );
        for command in self.commands {
            script.push_str(command);
            script.push('\n');
        }
        let commands = folder.join("commands");
        fs::write(&commands, script)?;
        let commands = commands.to_str().ok_or("path")?;
        run("debugfs", &["-w", "-f", commands, path], None)?;
        if check {
            run("e2fsck", &["-f", "-y", "-D", path], None)?;
        }
        let bytes = fs::read(&image)?;
        fs::remove_dir_all(&folder)?;
        Image::open(bytes)
    }
}
