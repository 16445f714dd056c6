//! `auto-claude-sim`: runs the supervisor in its simulation. See `docs/proof.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use auto_claude::sim::run::LONG_RUN_STEPS;
use auto_claude::sim::shrink::shrink;
use auto_claude::sim::{Bug, Failed, Op, Options, Passed, Scenario, Setup, play, run};
use clap::Parser;

/// A step allocates some hundred times, SQLite's pieces among them, and a seventh of its time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lines of the trace that a failure shows.
const TRACE_LINES: usize = 60;
/// The progress is told once in so many steps.
const TELL_EVERY_STEPS: u64 = 1_000_000;

/// Runs the real supervisor in a simulated world: one seed decides everything.
#[derive(Debug, Parser)]
#[command(name = "auto-claude-sim", version)]
struct Args {
    /// What everything follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps at least.
    #[arg(long, default_value_t = 1_000_000)]
    steps: u64,
    /// all, crashes, accounts, disk or calm.
    #[arg(long, default_value = "all", value_parser = scenario)]
    scenario: Scenario,
    /// A power loss takes back what the database had not synced.
    #[arg(long)]
    disk: bool,
    /// Builds a mistake in (--bugs names them).
    #[arg(long, value_parser = bug)]
    bug: Option<Bug>,
    /// Names the mistakes that can be built in.
    #[arg(long)]
    bugs: bool,
    /// Builds each mistake in, one after the other, and fails unless each is found within its steps.
    #[arg(long)]
    find_bugs: bool,
    /// Plays the steps of this file instead.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Writes the trace of a script to this file.
    #[arg(long, requires = "script")]
    trace: Option<PathBuf>,
    /// Leaves a failing script as long as it is.
    #[arg(long)]
    no_shrink: bool,
    /// Says what was met.
    #[arg(long)]
    met: bool,
}

fn scenario(name: &str) -> Result<Scenario, String> {
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    Scenario::from_name(name).ok_or_else(|| format!("no such scenario; there are {names}"))
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::from_name(name).ok_or_else(|| "no such mistake; --bugs names them".to_owned())
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.bugs {
        for bug in Bug::all() {
            println!("{:<24} {}", bug.name(), bug.what());
        }
        return ExitCode::SUCCESS;
    }
    if args.find_bugs {
        return find_bugs(&args);
    }
    if let Some(path) = &args.script {
        return play_file(path, &args);
    }
    let options = Options {
        seed: args.seed,
        steps: args.steps,
        scenario: args.scenario,
        disk: args.disk,
        bug: args.bug,
    };
    go(&options, &args)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the speed is shown; nothing is decided by it"
)]
fn go(options: &Options, args: &Args) -> ExitCode {
    let begin = Instant::now();
    let speed = |steps: u64| {
        let seconds = begin.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        steps as f64 / seconds
    };
    let mut told = 0;
    let result = run(options, &mut |passed| {
        if passed.steps / TELL_EVERY_STEPS > told {
            told = passed.steps / TELL_EVERY_STEPS;
            eprintln!(
                "{} steps, {:.0} per second",
                passed.steps,
                speed(passed.steps)
            );
        }
    });
    match result {
        Ok(passed) => {
            println!(
                "seed {}, scenario {}, disk {}: {} steps in {} lives, {:.0} steps per second, trace {:016x}",
                options.seed,
                options.scenario.name(),
                if options.disk { "on" } else { "off" },
                passed.steps,
                passed.lives,
                speed(passed.steps),
                passed.hash
            );
            judge_paths(&passed, options, args)
        }
        Err(failed) => {
            tell_failure(&failed, options, args);
            ExitCode::FAILURE
        }
    }
}

/// A long run that never meets a path fails.
fn judge_paths(passed: &Passed, options: &Options, args: &Args) -> ExitCode {
    if args.met {
        print!("{}", passed.met);
    }
    let never = passed.met.never(options.disk);
    let is_long = passed.steps >= LONG_RUN_STEPS && options.scenario == Scenario::All;
    if never.is_empty() || !(is_long || args.met) {
        return ExitCode::SUCCESS;
    }
    for path in &never {
        println!("never met: {path}");
    }
    if is_long {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn tell_failure(failed: &Failed, options: &Options, args: &Args) {
    println!(
        "BROKEN after {} steps (life {}): {}",
        failed.steps, failed.life, failed.violation
    );
    let mut setup = Setup {
        disk: options.disk,
        bug: options.bug,
        trace: false,
    };
    let script = if args.no_shrink {
        failed.script.clone()
    } else {
        shrink(&failed.script, failed.violation.rule, setup)
    };
    setup.trace = true;
    let (world, broken) = play(&script, setup);
    let lines: Vec<&str> = world.trace.lines().collect();
    for line in &lines[lines.len().saturating_sub(TRACE_LINES)..] {
        println!("{line}");
    }
    if let Some(violation) = broken {
        println!("{violation}");
    }
    let path = PathBuf::from(format!("sim-{}.script", options.seed));
    match std::fs::write(&path, text_of(&script)) {
        Ok(()) => println!(
            "{} of {} steps are left; again: auto-claude-sim --script {}{}",
            script.len(),
            failed.script.len(),
            path.display(),
            flags(options),
        ),
        Err(error) => println!(
            "the script cannot be written to {}: {error}",
            path.display()
        ),
    }
    println!(
        "the whole run again: auto-claude-sim --seed {} --steps {} --scenario {}{}",
        options.seed,
        options.steps,
        options.scenario.name(),
        flags(options),
    );
}

/// What a run has beside its seed, its steps and its scenario, as it is said on the command line.
fn flags(options: &Options) -> String {
    let bug = options.bug.map(|bug| format!(" --bug {}", bug.name()));
    let disk = if options.disk { " --disk" } else { "" };
    format!("{disk}{}", bug.unwrap_or_default())
}

fn text_of(script: &[Op]) -> String {
    let mut text = String::new();
    for op in script {
        writeln!(text, "{op}").unwrap_or_default();
    }
    text
}

fn play_file(path: &Path, args: &Args) -> ExitCode {
    let read = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines
                .map(|line| line.parse::<Op>().map_err(|error| error.to_string()))
                .collect::<Result<Vec<Op>, String>>()
        });
    let script = match read {
        Ok(script) => script,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    let (world, broken) = play(
        &script,
        Setup {
            disk: args.disk,
            bug: args.bug,
            trace: true,
        },
    );
    if let Some(to) = &args.trace
        && let Err(error) = std::fs::write(to, &world.trace)
    {
        eprintln!("{}: {error}", to.display());
        return ExitCode::from(2);
    }
    let lines: Vec<&str> = world.trace.lines().collect();
    for line in &lines[lines.len().saturating_sub(TRACE_LINES)..] {
        println!("{line}");
    }
    println!("{} steps, trace {:016x}", world.steps, world.hash());
    match broken {
        Some(violation) => {
            println!("BROKEN: {violation}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn find_bugs(args: &Args) -> ExitCode {
    let mut missed = 0;
    for bug in Bug::all() {
        let options = Options {
            seed: args.seed,
            steps: bug.found_within(),
            scenario: bug.scenario(),
            disk: bug.needs_disk(),
            bug: Some(bug),
        };
        match run(&options, &mut |_| {}) {
            Err(failed) => println!(
                "{:<24} found after {:>8} steps: {}",
                bug.name(),
                failed.steps,
                failed.violation.rule
            ),
            Ok(passed) => {
                missed += 1;
                println!("{:<24} NOT FOUND in {} steps", bug.name(), passed.steps);
            }
        }
    }
    if missed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
