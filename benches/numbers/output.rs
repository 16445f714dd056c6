//! 1 GiB of output from one task, beside the same bytes into a file and through a pipe into a file.
//!
//! The bytes come from this program itself (`--emit`): lines of 100 bytes, written 64 KiB at a time, so that the source is
//! no bottleneck and is the same for all.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, ids};
use crate::idle::parent_pid;
use crate::report::{Report, Row};
use crate::stats::{median, short};
use crate::{Bench, Res, sys};

/// Turns this program into the source of the bytes.
pub(crate) const EMIT_FLAG: &str = "--emit";

/// How much one task prints.
const BYTES: u64 = 1 << 30;
/// One line, its end included.
const LINE_BYTES: usize = 100;
/// A pipe's capacity.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often the worker's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(20);

const REACH_MIB_PER_S: f64 = 400.0;
/// More than a worker's buffers may take: beyond it, memory grew with the output.
const REACH_GROWTH_MIB: f64 = 4.0;

/// Writes `bytes` bytes of text to standard output.
pub(crate) fn emit(bytes: &str) -> ExitCode {
    let Ok(mut left) = bytes.parse::<u64>() else {
        return ExitCode::from(2);
    };
    let mut chunk = vec![b'x'; CHUNK_BYTES];
    for end in (LINE_BYTES - 1..CHUNK_BYTES).step_by(LINE_BYTES) {
        chunk[end] = b'\n';
    }
    let mut out = std::io::stdout().lock();
    while left > 0 {
        let part = left.min(CHUNK_BYTES as u64) as usize;
        if out.write_all(&chunk[..part]).is_err() {
            return ExitCode::FAILURE;
        }
        left -= part as u64;
    }
    ExitCode::SUCCESS
}

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let (mut to_file, mut through_pipe) = (Vec::new(), Vec::new());
    let mut ours = Ok(Vec::new());
    for _ in 0..bench.runs {
        let path = bench.base.join("output");
        // What the run before left unwritten would slow this one down.
        rustix::fs::sync();
        to_file.push(mib_per_s(direct(&path)?));
        through_pipe.push(mib_per_s(pipe(&path)?));
        let _ = std::fs::remove_file(&path);
        rustix::fs::sync();
        // After a failure only the references go on.
        if let Ok(runs) = &mut ours {
            match supervised(bench) {
                Ok(run) => runs.push(run),
                Err(error) => ours = Err(error),
            }
        }
    }
    for (what, rates) in [
        ("command > file", &to_file),
        ("command, a pipe, a copy into a file", &through_pipe),
    ] {
        report.row(Row {
            what: format!("1 GiB: {what}"),
            measured: format!("{} MiB/s", short(median(rates))),
            ..Row::default()
        });
    }
    report_ours(report, &ours?, &through_pipe);
    Ok(())
}

/// The rows of our own runs: time and growth in MiB of each, beside the pipe of the same run.
fn report_ours(report: &mut Report, ours: &[(Duration, f64)], through_pipe: &[f64]) {
    let rates: Vec<f64> = ours.iter().map(|(time, _)| mib_per_s(*time)).collect();
    let growths: Vec<f64> = ours.iter().map(|(_, growth)| *growth).collect();
    let ratios: Vec<f64> = rates
        .iter()
        .zip(through_pipe)
        .map(|(rate, base)| rate / base)
        .collect();
    report.row(Row {
        what: "1 GiB of output from one task".to_owned(),
        measured: format!("{} MiB/s", short(median(&rates))),
        reference: format!("pipe to file: {} MiB/s", short(median(through_pipe))),
        ratio: format!("{:.2}", median(&ratios)),
        reach: format!("≥ {REACH_MIB_PER_S} MiB/s"),
        met: Some(median(&rates) >= REACH_MIB_PER_S),
    });
    report.row(Row {
        what: "growth of the worker's RSS meanwhile".to_owned(),
        measured: format!("{} MiB", short(median(&growths))),
        reach: format!("none (≤ {REACH_GROWTH_MIB} MiB)"),
        met: Some(median(&growths) <= REACH_GROWTH_MIB),
        ..Row::default()
    });
}

fn mib_per_s(time: Duration) -> f64 {
    (BYTES >> 20) as f64 / time.as_secs_f64()
}

fn emitter() -> Res<String> {
    let path = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| "this program's path is no UTF-8".to_owned())
}

/// The bytes straight into a file.
fn direct(path: &Path) -> Res<Duration> {
    let file = std::fs::File::create(path)
        .map_err(|e| format!("cannot create {}: {e}", path.display()))?;
    let begun = Instant::now();
    let status = Command::new(emitter()?)
        .args([EMIT_FLAG, &BYTES.to_string()])
        .stdout(file)
        .status()
        .map_err(|e| format!("cannot run the emitter: {e}"))?;
    if status.success() {
        Ok(begun.elapsed())
    } else {
        Err(format!("the emitter: {status}"))
    }
}

/// The bytes through a pipe that this program empties into a file.
fn pipe(path: &Path) -> Res<Duration> {
    let failed = |e: std::io::Error| format!("cannot copy into {}: {e}", path.display());
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let begun = Instant::now();
    let mut child = Command::new(emitter()?)
        .args([EMIT_FLAG, &BYTES.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run the emitter: {e}"))?;
    let mut source = child.stdout.take().ok_or("the emitter has no pipe")?;
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    loop {
        let got = source.read(&mut buffer).map_err(failed)?;
        if got == 0 {
            break;
        }
        file.write_all(&buffer[..got]).map_err(failed)?;
    }
    child.wait().map_err(failed)?;
    Ok(begun.elapsed())
}

/// The bytes as a task's output: the time from submission to the final state, and the growth of the worker's memory in MiB.
fn supervised(bench: &Bench) -> Res<(Duration, f64)> {
    let daemon = Daemon::fresh(bench, "output", 2)?;
    let pid_file = daemon.state().join("bench-worker-pid");
    let script = format!(
        "echo $PPID > '{0}.new' && mv '{0}.new' '{0}' && exec '{1}' {EMIT_FLAG} {BYTES}",
        pid_file.display(),
        emitter()?
    );
    let begun = Instant::now();
    let out = daemon.ctl(&[
        "task", "create", "output", "--json", "--", "/bin/sh", "-c", &script,
    ])?;
    let ids = ids(&out)?;
    let worker = parent_pid(&pid_file)?;
    let first = sys::status_kib(worker, "VmRSS").ok_or("the worker is gone before its output")?;
    let time = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| daemon.wait_for_last(&ids).map(|()| begun.elapsed()));
        let mut highest = first;
        while !waiter.is_finished() {
            // The high-water mark: between two looks nothing is missed.
            highest = sys::status_kib(worker, "VmHWM").unwrap_or(0).max(highest);
            std::thread::sleep(SAMPLE);
        }
        let time = waiter
            .join()
            .map_err(|_| "the waiting thread panicked".to_owned())??;
        Ok::<_, String>((time, (highest - first) as f64 / 1024.0))
    })?;
    let log = ids
        .first()
        .map(|id| daemon.state().join("tasks").join(id).join("output.log"))
        .unwrap_or_default();
    let kept = std::fs::metadata(&log)
        .map_err(|e| format!("cannot read {}: {e}", log.display()))?
        .len();
    if kept < BYTES {
        return Err(format!("{} holds {kept} of {BYTES} bytes", log.display()));
    }
    daemon.all_completed()?;
    Ok(time)
}
