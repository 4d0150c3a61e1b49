//! Hold the validator against a corpus:
//!
//! ```text
//! esp-ota fuzz-corpus corpus
//! cargo run --release -- corpus
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use validate::accepts;

/// Every file of a folder that is judged wrongly, and how many there are.
fn wrong(folder: &Path, right: bool) -> io::Result<(Vec<String>, usize)> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|found| found.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let mut found = Vec::new();
    for path in &paths {
        if accepts(&fs::read(path)?) != right {
            found.push(format!("{} {}", if right { "refused" } else { "accepted" }, path.display()));
        }
    }
    Ok((found, paths.len()))
}

fn main() -> io::Result<ExitCode> {
    let corpus = env::args().nth(1).unwrap_or_else(|| "corpus".into());
    let (mut found, mut total) = (Vec::new(), 0);
    for (folder, right) in [("valid", true), ("corrupted", false)] {
        let (lines, count) = wrong(&Path::new(&corpus).join(folder), right)?;
        found.extend(lines);
        total += count;
    }
    found.iter().for_each(|line| println!("{line}"));
    println!("{} of {total} files are judged as a chip would", total - found.len());
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
