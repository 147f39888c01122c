// SPDX-License-Identifier: GPL-2.0

//! Every crash state of small workloads, recovered and judged.
//!
//! `core` runs on a recording device; from what it did to the device the states are built in which a
//! power cut may leave the disk; each is recovered by our code and by e2fsprogs and held against what
//! had to be there. `Documentation/testing.md` has the command lines.

mod arguments;
mod campaign;
mod image;
mod jobs;
mod judge;
mod model;
mod oracle;
mod record;
mod replayer;
mod run;
mod states;
#[cfg(test)]
mod tests;
mod workload;

use arguments::{Arguments, USAGE};
use campaign::replay;
use image::KINDS;
use run::Run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(arguments) = Arguments::parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if std::env::var_os("TMPDIR").is_none() && std::path::Path::new("/dev/shm").is_dir() {
        std::env::set_var("TMPDIR", "/dev/shm");
    }
    image::stop_time();
    if let Some(id) = &arguments.replay {
        return match replay(id, KINDS) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(2)
            }
        };
    }
    if let Some(folder) = arguments.export.clone() {
        return match Run::new(arguments).export(std::path::Path::new(&folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{folder}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if arguments.jobs == 0 {
        Run::new(arguments).everything();
        return ExitCode::SUCCESS;
    }
    jobs::run(&arguments, &words)
}
