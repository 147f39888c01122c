// SPDX-License-Identifier: GPL-2.0

//! The journal replay of e2fsprogs, without a new process for each disk: a `debugfs` that is told
//! which image to open, to replay and to close. It has the recovery code of e2fsck.

use host_core::testing;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process; it ends with the value.
#[derive(Debug)]
pub struct Replayer {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Replayer {
    /// Starts it.
    pub fn new() -> Self {
        // The shell joins what it says and what it complains of.
        let mut process = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" -f - 2>&1"])
            .arg(testing::find("debugfs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            requests: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// Replays the journal of an image; says what debugfs had to complain of. A torn commit block is
    /// an error for e2fsprogs, after which e2fsck trusts no list of orphans: that is taken back.
    pub fn replay(&mut self, image: &Path) -> std::io::Result<String> {
        let image = image.display();
        if let Some(requests) = &mut self.requests {
            requests.write_all(
                format!(
                    "open -w {image}\njournal_run\nset_super_value state 1\nclose\nshow_debugfs_params\n"
                )
                .as_bytes(),
            )?;
        }
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(std::io::Error::other(format!("debugfs has ended: {said}")));
            }
            match line.strip_prefix("debugfs: ") {
                // Echoed before it is done; so all before is done, and the next line is its answer.
                Some("show_debugfs_params\n") => break,
                Some(_) => {}
                None if line.starts_with("debugfs 1.") => {}
                None => said += &line,
            }
        }
        self.answers.read_line(&mut String::new())?;
        Ok(said)
    }
}

impl Drop for Replayer {
    fn drop(&mut self) {
        self.requests = None;
        // It ends with its input.
        let _ = self.process.wait();
    }
}
