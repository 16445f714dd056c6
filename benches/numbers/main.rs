//! `make bench`: what the numbers of docs/performance.md are made with.
//!
//! A plain program (no test harness): it runs the release binaries as real processes, in a state directory on a real disk,
//! beside a `posix_spawn` loop and beside other queues where they are installed. Machines differ and are shared, so what
//! counts is the ratio to the reference measured in the same run; every figure is a median over the runs.
//!
//! ```text
//! cargo bench --bench numbers -- [--write FILE] [section…]
//! ```
//!
//! Environment: `BENCH_RUNS` (3), `BENCH_DIR` (where state directories go), `BENCH_MILLION=1`, `BENCH_KEEP=1` (leave the
//! state directories). A section that fails is reported, the others go on, and the exit status is 1; a missed target is
//! shown in the table and is no failure, since the machine may be busy.
#![expect(
    clippy::disallowed_methods,
    reason = "a measuring program reads the clock and starts programs"
)]

mod backlog;
mod conditions;
mod daemon;
mod idle;
mod output;
mod recovery;
mod reference;
mod report;
mod rivals;
mod stats;
mod submission;
mod sys;
mod throughput;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Report;

/// What a measurement gives, or one line that says what went wrong.
type Res<T> = Result<T, String>;

/// The longest base directory that leaves room for `<name>/auto-claude.sock` in a socket's 107 bytes.
const MAX_BASE_BYTES: usize = 70;
/// Runs per figure, unless `BENCH_RUNS` says otherwise.
const DEFAULT_RUNS: usize = 3;

/// What every section gets.
struct Bench {
    /// Runs per figure.
    runs: usize,
    /// State directories are made in here.
    base: PathBuf,
    /// Also measure with 1,000,000 pending tasks.
    million: bool,
}

type Section = fn(&Bench, &mut Report) -> Res<()>;

const SECTIONS: [(&str, Section); 7] = [
    ("reference", reference::section),
    ("throughput", throughput::section),
    ("submission", submission::section),
    ("backlog", backlog::section),
    ("idle", idle::section),
    ("output", output::section),
    ("recovery", recovery::section),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, bytes] = args.as_slice()
        && mode == output::EMIT_FLAG
    {
        return output::emit(bytes);
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the chosen sections; `false` when one of them failed.
fn run(args: &[String]) -> Res<bool> {
    let (write, chosen) = parse(args)?;
    let bench = Bench {
        runs: number("BENCH_RUNS", DEFAULT_RUNS)?.max(1),
        base: base_dir()?,
        million: std::env::var_os("BENCH_MILLION").is_some(),
    };
    let mut report = Report::new(conditions::describe(&bench));
    for (name, section) in SECTIONS {
        if !chosen.is_empty() && !chosen.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("== {name}");
        report.begin(name);
        if let Err(error) = section(&bench, &mut report) {
            eprintln!("{name} failed: {error}");
            report.failed(&error);
        }
    }
    println!("{}", report.markdown());
    if let Some(path) = write {
        report::replace_between_markers(&path, &report.markdown())?;
        eprintln!("written: {}", path.display());
    }
    if std::env::var_os("BENCH_KEEP").is_none() {
        let _ = std::fs::remove_dir_all(&bench.base);
    }
    Ok(!report.has_failures())
}

/// The file to write, and the sections asked for (none = all).
fn parse(args: &[String]) -> Res<(Option<PathBuf>, Vec<String>)> {
    let mut write = None;
    let mut chosen = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            // Cargo adds it for every bench.
            "--bench" => {}
            "--write" => write = Some(PathBuf::from(rest.next().ok_or("--write needs a file")?)),
            name if SECTIONS.iter().any(|(known, _)| *known == name) => {
                chosen.push(name.to_owned())
            }
            other => {
                let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "unknown section '{other}'; there are: {}",
                    known.join(", ")
                ));
            }
        }
    }
    Ok((write, chosen))
}

/// The number in the environment variable `name`, or `default`.
fn number(name: &str, default: usize) -> Res<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{name}='{text}' is not a number")),
        Err(_) => Ok(default),
    }
}

/// A directory of this run's own: `BENCH_DIR`, else the build directory, else `/var/tmp` when that path is too long.
fn base_dir() -> Res<PathBuf> {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let parent = match std::env::var_os("BENCH_DIR") {
        Some(dir) => PathBuf::from(dir),
        None if built.as_os_str().len() + 8 <= MAX_BASE_BYTES => built.to_path_buf(),
        None => PathBuf::from("/var/tmp"),
    };
    let base = parent.join(format!("b{}", std::process::id()));
    if base.as_os_str().len() > MAX_BASE_BYTES {
        return Err(format!(
            "{} is longer than {MAX_BASE_BYTES} bytes, a socket's path would not fit: set BENCH_DIR",
            base.display()
        ));
    }
    std::fs::create_dir_all(&base).map_err(|e| format!("cannot create {}: {e}", base.display()))?;
    Ok(base)
}
