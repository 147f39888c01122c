// SPDX-License-Identifier: GPL-2.0

//! Several processes that share the work, and their results in one.

use crate::arguments::Arguments;
use crate::run::Report;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Instant;

/// What came of a process that printed `line`, or ended.
enum News {
    Line(String),
    End,
}

/// Starts the processes, with the words of the command line.
fn start(arguments: &Arguments, words: &[String]) -> std::io::Result<Vec<Child>> {
    let program = std::env::current_exe()?;
    let one = |job| {
        Command::new(&program)
            .args(words)
            .args(["--jobs", "0", "--part"])
            .arg(arguments.part.split(job, arguments.jobs).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    };
    (0..arguments.jobs).map(one).collect()
}

fn listen(processes: &mut [Child]) -> mpsc::Receiver<News> {
    let (sender, news) = mpsc::channel();
    for output in processes.iter_mut().filter_map(|one| one.stdout.take()) {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(News::Line(line));
            }
            let _ = sender.send(News::End);
        });
    }
    news
}

/// Does all the work and prints KTAP.
pub fn run(arguments: &Arguments, words: &[String]) -> ExitCode {
    let begun = Instant::now();
    let mut processes = match start(arguments, words) {
        Ok(processes) => processes,
        Err(error) => {
            eprintln!("crashsim: {error}");
            return ExitCode::from(2);
        }
    };
    println!("KTAP version 1");
    let (mut parts, mut running) = (BTreeMap::<String, Vec<Report>>::new(), processes.len());
    let (mut total, mut results, mut good) = (Report::default(), 0, true);
    for news in listen(&mut processes) {
        match news {
            News::Line(line) => match Report::parse(&line) {
                Some((name, report)) => {
                    let reports = parts.entry(name.clone()).or_default();
                    reports.push(report);
                    if reports.len() == arguments.jobs {
                        let sum = reports
                            .iter()
                            .fold(Report::default(), |sum, one| sum + *one);
                        results += 1;
                        good &= sum.print(results, &name, arguments);
                        total = total + sum;
                    }
                }
                None => println!("{line}"),
            },
            News::End => running -= 1,
        }
        if running == 0 {
            break;
        }
    }
    let ended = |mut one: Child| one.wait().is_ok_and(|status| status.success());
    let ended = processes
        .into_iter()
        .filter_map(|one| ended(one).then_some(()));
    if ended.count() != arguments.jobs {
        results += 1;
        println!("not ok {results} - all processes have come to their end");
        good = false;
    }
    println!("1..{results}");
    println!("# in all: {total}, {:.0} s", begun.elapsed().as_secs_f64());
    good &= total.counts.states > 0;
    ExitCode::from(u8::from(!good))
}
