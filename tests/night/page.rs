//! The page of the night.

use std::fmt::Write as _;

use crate::claude_kit::VERSION;
use crate::kit::Night;
use crate::proof::Figures;

const HEAD: &str = "# A night in fast motion

Fifty prompts are queued for the real Claude Code, on two accounts: forty in the evening, ten more while the network is cut.
Three limits strike, the daemon is killed twice, and the power goes. In the morning all fifty are done.

The server is the tests' stand-in for the Messages API, where the windows of five hours and of a week end after seconds. The
daemon's settings are the defaults but for four slots, short waits (`default_unban_wait` 2 s, `release_interval_seconds` 1 s)
and no retries inside the agent. Each misfortune comes when so many tasks are done, and goes when the daemon has seen it.
Written by one run of the test `a_night_in_fast_motion` with `UPDATE_DOCS=1`.
";

const PROOF: &str = "
## What holds in the morning

The test checks this against the journals, the ledger, what the stand-in recorded, and a file in which tools left marks:

- All are completed. No retry was spent: limits and the network cost none, nor does a loss by the power.
- Each task succeeded once, and the model said its last words once. Whatever ended before that has its reason in the
  journal: a limit, the network, the power.
- A tool ran twice only where the power went after its first run.
- Who was stopped went on in its agent session. Where the power went before the agent had written its session down, the
  resume says so, and a new session begins.
- After a limit the account's next start was its probe, not before the announced time, and nothing started beside a probe;
  also when the daemon was killed while it waited, or while the probe was under way.
- No hold is left, and nobody need look at anything.
- The ledger has, run by run, the tokens that were served. Runs that the power ended could not tell theirs: their cost is
  reckoned from what was seen of them, or unknown, and not 0. Where the network cut an answer, the agent itself reckons what it has read and written of it, for only the end of
  an answer tells.
";

/// Prints it; with `UPDATE_DOCS=1` writes it.
pub fn write(night: &Night, figures: &Figures) {
    let page = page(night, figures);
    println!("{page}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/night.md");
        std::fs::write(path, page).unwrap();
    }
}

fn page(night: &Night, figures: &Figures) -> String {
    let mut page = HEAD.to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    write!(
        page,
        "\n## Its diary\n\nClaude Code {VERSION}, a debug build, {cores} cores that others use too. Seconds since the evening.\n\n\
         | s | what happened |\n|---:|---|\n"
    )
    .unwrap();
    for (at, what) in night.diary() {
        writeln!(page, "| {:.1} | {what} |", at.as_secs_f64()).unwrap();
    }
    let of = |word: &str| figures.attempts.get(word).copied().unwrap_or(0);
    let cents = figures.micro_usd / 10_000;
    write!(
        page,
        "\n## Its figures\n\n| | |\n|---|---:|\n\
         | runs of the agent | {} |\n| that succeeded | {} |\n| that a limit or the network ended | {} |\n\
         | that the power ended | {} |\n| that found the session gone with the power | {} |\n\
         | whose cost is unknown | {} |\n| that were cut in the midst of an answer | {} |\n\
         | requests of the agents' main loops | {} |\n\
         | tokens read, without caches: served to the end | {} |\n| in the ledger | {} |\n\
         | tokens written: served to the end | {} |\n| in the ledger | {} |\n\
         | cost in the ledger, US dollars | {}.{:02} |\n",
        figures.attempts.values().sum::<usize>(),
        of("Succeeded"),
        of("Limited"),
        of("Lost"),
        of("UnknownSession"),
        figures.unknown,
        figures.cut,
        figures.requests,
        figures.served.input,
        figures.told.input,
        figures.served.output,
        figures.told.output,
        cents / 100,
        cents % 100,
    )
    .unwrap();
    page.push_str(PROOF);
    page
}
