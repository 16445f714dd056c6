//! The power goes: every process of the machine is gone at once, and the next daemon finds itself in another boot.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::common::{AUTO_CLAUDE, is_root, scratch, signal};
use crate::kit::Night;
use crate::messages_api::answer::Answer;

const WHAT: &str = "a night in fast motion: the reboot";
/// The boot after the power came back.
const NEXT_BOOT: &str = "0a11da7a-0000-4000-8000-000000000002";
/// Binds `$1` over the boot id, and becomes the rest.
const IN_ANOTHER_BOOT: &str =
    "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";

/// Four attempts are cut off in the midst of their answers. False, with the reason printed, where no other boot can be had.
pub fn the_power_goes(night: &mut Night) -> bool {
    if !(is_root(WHAT) && another_boot_can_be_had()) {
        return false;
    }
    night.wait_completed(36);
    night.silence(Answer::hang(), "hang");
    night.world.kill_daemon();
    kill_all(night);
    night.note("36 are done; the power goes while four tasks run");
    night.api.trouble(None);
    let file = boot_file();
    let mut command = in_another_boot();
    command
        .arg(AUTO_CLAUDE)
        .args(night.world.serve_command().get_args());
    let log = std::fs::OpenOptions::new()
        .append(true)
        .open(night.world.dir().join("daemon.out"))
        .unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    night.world.start_by(command);
    std::fs::remove_file(file).unwrap();
    night.note("the machine is up again, in another boot; the four are queued anew");
    true
}

fn boot_file() -> std::path::PathBuf {
    scratch("night-boot")
}

/// A command in a mount namespace of its own, in which another boot id stands; what it is to be follows.
fn in_another_boot() -> Command {
    std::fs::write(boot_file(), format!("{NEXT_BOOT}\n")).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", IN_ANOTHER_BOOT, "sh"])
        .arg(boot_file());
    command
}

fn another_boot_can_be_had() -> bool {
    let seen = in_another_boot()
        .args(["cat", "/proc/sys/kernel/random/boot_id"])
        .stderr(Stdio::null())
        .output();
    let _ = std::fs::remove_file(boot_file());
    let can = seen.is_ok_and(|seen| String::from_utf8_lossy(&seen.stdout).trim() == NEXT_BOOT);
    if !can {
        println!("SKIPPED: {WHAT}: no mount namespace with another boot id can be had here");
    }
    can
}

/// Kills every process of every task, and waits until they are gone.
fn kill_all(night: &Night) {
    let ids: BTreeSet<&str> = night.tasks.iter().map(|task| task.id.as_str()).collect();
    night.wait("the machine is down", |_| {
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let ours: Vec<i32> = pids
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| task_of(*pid).is_some_and(|id| ids.contains(id.as_str())))
            .collect();
        for pid in &ours {
            signal(*pid, "KILL");
        }
        ours.is_empty().then_some(())
    });
}

/// The task whose marker a process carries.
fn task_of(pid: i32) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|byte| *byte == 0).find_map(|variable| {
        let attempt = variable.strip_prefix(b"AUTO_CLAUDE_ATTEMPT_ID=")?;
        let attempt = String::from_utf8_lossy(attempt);
        attempt.split('.').next().map(str::to_owned)
    })
}
