//! From exec to a running agent: the steps in the order that the launch protocol wants.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use super::contract;
use super::door::Door;
use super::run::{AgentSide, Run};
use crate::attempt::protocol::StartLine;
use crate::attempt::record::{Exit, ProcessStamp, Read, Started};
use crate::attempt::spec::{Handover, PROTOCOL_VERSION, WorkerSpec};
use crate::checkpoint::Checkpoints;
use crate::crash;
use crate::process::{self, AttemptCgroup, Limits, SignalFd, SpawnPlan};
use crate::record::RecordFile;
use crate::task::{AttemptId, Outcome, OutcomeKind};

/// Exit code of a worker that left without an agent: the attempt is not its to run, or could not be begun.
pub const REFUSED: u8 = 3;
/// Exit code of a worker whose `exit` is not in its record because the daemon committed it at the door.
pub const LEFT_UNRECORDED: u8 = 4;

/// Longest hand-over that is read.
const HANDOVER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Runs one attempt to its end: `auto-claude worker`. Exit code 0 means that `exit` is in the record and the tree is empty.
#[must_use]
pub fn main() -> ExitCode {
    match begin() {
        Ok(run) => run.finish(),
        Err(reason) => {
            log(None, &format!("left without starting anything: {reason}"));
            say(&StartLine::Refused(reason));
            ExitCode::from(REFUSED)
        }
    }
}

fn begin() -> Result<Run, String> {
    let signals =
        process::become_worker().map_err(|error| format!("cannot become a worker: {error}"))?;
    process::close_inherited();
    let handover = read_handover()?;
    crash::point("worker.handed_over");
    let record =
        claim(&handover.spec).map_err(|reason| format!("{reason} ({})", handover.spec.attempt))?;
    let worker = own_stamp().map_err(|error| format!("cannot read its own start time: {error}"))?;
    let started = Started {
        boot_id: process::boot_id().to_owned(),
        worker,
        agent: None,
        started_at: process::now(),
    };
    write_started(&record, &started)?;
    Ok(start(handover, signals, record, started))
}

/// Reads the sealed memfd, then lets go of it: it holds secrets.
fn read_handover() -> Result<Handover, String> {
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        // From its beginning, wherever the shared offset stands.
        match rustix::io::pread(stdin.as_fd(), chunk.as_mut_slice(), bytes.len() as u64) {
            Ok(0) => break,
            Ok(count) if bytes.len() + count <= HANDOVER_MAX_BYTES => {
                bytes.extend_from_slice(&chunk[..count])
            }
            Ok(_) => return Err("the hand-over is too long".to_owned()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot read the hand-over: {error}")),
        }
    }
    process::replace_with_null(&stdin)
        .map_err(|error| format!("cannot open /dev/null: {error}"))?;
    let handover: Handover = serde_json::from_slice(&bytes)
        .map_err(|error| format!("the hand-over cannot be understood: {error}"))?;
    let version = handover.spec.version;
    // A daemon launches workers from its own executable; should another start one, versions that are neighbours understand
    // each other.
    if version.abs_diff(PROTOCOL_VERSION) > 1 {
        return Err(format!(
            "the hand-over has version {version}, this worker speaks {PROTOCOL_VERSION}"
        ));
    }
    Ok(handover)
}

/// Takes the attempt's lock, and looks whether the attempt is still to be begun.
fn claim(spec: &WorkerSpec) -> Result<RecordFile, String> {
    let mut record =
        RecordFile::open_existing(&spec.record).map_err(|error| format!("failed to {error}"))?;
    if !record
        .try_lock()
        .map_err(|error| format!("failed to {error}"))?
    {
        return Err("another process holds the record's lock".to_owned());
    }
    crash::point("worker.locked");
    let found = record
        .read()
        .map_err(|error| format!("failed to {error}"))?;
    match &found.header {
        Read::Value(header) if header.attempt == spec.attempt => {}
        Read::Value(header) => return Err(format!("the record is of attempt {}", header.attempt)),
        Read::Blank | Read::Damaged => return Err("the record's header cannot be read".to_owned()),
    }
    match (&found.started, &found.exit) {
        (Read::Blank, Read::Blank) => Ok(record),
        (_, Read::Value(_)) => Err("the attempt was closed already".to_owned()),
        (Read::Value(_), _) => Err("the attempt was started already".to_owned()),
        (_, _) => Err("the record is damaged".to_owned()),
    }
}

/// On return `started` survives a power loss. When it cannot be made to, the attempt is closed as never run.
fn write_started(record: &RecordFile, started: &Started) -> Result<(), String> {
    crash::point("worker.started.before");
    let written = record.write_synced(started).and_then(|()| {
        crash::point("worker.started.synced");
        record.sync_directory()
    });
    crash::point("worker.started.directory_synced");
    written.map_err(|error| {
        let outcome = Outcome::of(OutcomeKind::NeverRan).with_detail(format!("failed to {error}"));
        // When not even this can be written, the record says "started" of an agent that never was: recovery calls that lost.
        let _ = record.write_synced_afresh(&Exit {
            outcome,
            ended_at: process::now(),
            output_bytes: 0,
        });
        format!("failed to {error}")
    })
}

fn own_stamp() -> io::Result<ProcessStamp> {
    process::stamp_of(rustix::process::getpid().as_raw_nonzero().get())
}

/// From here on the attempt ends with a written `exit`, whatever happens.
fn start(handover: Handover, signals: SignalFd, record: RecordFile, mut started: Started) -> Run {
    let attempt = handover.spec.attempt.clone();
    let warn = |text: String| log(Some(&attempt), &text);
    let door = Door::open(&handover.spec.door)
        .map_err(|error| {
            warn(format!(
                "no door at {}: {error}",
                handover.spec.door.display()
            ))
        })
        .ok();
    crash::point("worker.door.bound");
    let limits = Limits {
        processes: handover.spec.max_processes,
        memory_bytes: handover.spec.max_memory_bytes,
    };
    let (cgroup, missing) = AttemptCgroup::create(&attempt, limits);
    missing.into_iter().for_each(warn);
    let checkpoints = Checkpoints::of(&handover.spec.task_dir);
    let prepared = contract::prepare(&handover, &checkpoints);
    for problem in prepared.problems {
        log(Some(&attempt), &problem);
    }
    let owner = handover.spec.owner.map(|owner| {
        process::open_pidfd(ProcessStamp {
            pid: owner.pid,
            start_ticks: owner.start_ticks,
        })
    });
    let going_down = signals.take().end;
    let never = |why: &str| AgentSide::Never(Outcome::of(OutcomeKind::NeverRan).with_detail(why));
    let agent = match &owner {
        Some(Err(_)) => never("the foreground run that owned it was gone before it started"),
        Some(Ok(_)) | None if going_down => never("the worker was ended before it started"),
        Some(Ok(_)) | None => spawn(&handover, &prepared.env, &cgroup),
    };
    crash::point("worker.agent.spawned");
    if let AgentSide::Running(agent) = &agent {
        started.agent = Some(agent.stamp);
        // Not synced: after a power loss there is no agent. Before the start line: who hears that reads the agent's stamp.
        if let Err(error) = record.write(&started) {
            log(Some(&attempt), &format!("failed to {error}"));
        }
        crash::point("worker.agent.stamped");
        say(&StartLine::Started(started.started_at));
    }
    // Drops the agent's environment and the secrets with the rest of the hand-over.
    let Handover {
        mut spec,
        secrets: _,
    } = handover;
    spec.env.clear();
    spec.argv.clear();
    spec.input = None;
    Run::new(spec, signals, record, started, agent)
        .with_door(door)
        .with_cgroup(cgroup)
        .with_checkpoints(checkpoints, prepared.progress)
        .with_owner(owner.and_then(Result::ok))
}

fn spawn(
    handover: &Handover,
    env: &std::collections::BTreeMap<String, String>,
    cgroup: &AttemptCgroup,
) -> AgentSide {
    let spec = &handover.spec;
    let doors = cgroup.doors();
    let plan = SpawnPlan {
        argv: &spec.argv,
        env,
        cwd: &spec.cwd,
        input: spec.input.as_deref(),
        cgroup_doors: &doors,
        user_processes: (spec.max_processes > 0 && !cgroup.limits_processes())
            .then_some(spec.max_processes),
    };
    match process::spawn(&plan) {
        Ok(agent) => AgentSide::Running(agent),
        Err(error) => {
            AgentSide::Never(Outcome::of(OutcomeKind::SpawnFailed).with_detail(error.to_string()))
        }
    }
}

/// Writes the start line and closes the pipe. The daemon may be dead: nobody need read it.
pub(super) fn say(line: &StartLine) {
    let mut text = line.to_string();
    text.truncate(text.floor_char_boundary(StartLine::MAX_BYTES - 1));
    text.push('\n');
    let stdout = io::stdout();
    // A pipe takes a line this short whole or not at all; SIGPIPE is ignored.
    let _ = rustix::io::write(stdout.as_fd(), text.as_bytes());
    let _ = process::replace_with_null(&stdout);
}

/// One line to the workers' log; one write, so lines of several workers do not mix.
pub(super) fn log(attempt: Option<&AttemptId>, text: &str) {
    let name = attempt.map_or_else(String::new, ToString::to_string);
    let line = format!(
        "{} worker {} {name}: {}\n",
        process::now(),
        std::process::id(),
        text.replace('\n', " ")
    );
    // The log may be on a full disk; the attempt goes on.
    let _ = io::stderr().write_all(line.as_bytes());
}
