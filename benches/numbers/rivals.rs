//! Other queues, where they are installed, doing the same: `count` × `/bin/true` with so many slots, from the first submission
//! until all have ended.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Bench, Res, sys};

const LIMIT: Duration = Duration::from_secs(300);

/// One of them.
pub(crate) struct Rival {
    /// Its name, and what it promises.
    pub(crate) name: &'static str,
    /// Tasks per run: fewer for those that would take minutes.
    pub(crate) tasks: usize,
    /// Measures once.
    pub(crate) run: fn(&Bench, u32, usize) -> Res<Duration>,
}

/// Those that can be run here.
pub(crate) fn installed() -> Vec<Rival> {
    let mut all = Vec::new();
    if sys::on_path("tsp") {
        all.push(Rival {
            name: "tsp (in memory)",
            tasks: 1000,
            run: tsp,
        });
    }
    if sys::on_path("pueue") && sys::on_path("pueued") {
        all.push(Rival {
            name: "pueue (rename, no sync)",
            tasks: 100,
            run: pueue,
        });
    }
    let huey = Command::new("python3")
        .args(["-c", "import huey"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if huey {
        all.push(Rival {
            name: "huey (SQLite, FULL)",
            tasks: 1000,
            run: huey_sqlite,
        });
    }
    all
}

/// task-spooler: a server in memory, a process per submission.
fn tsp(bench: &Bench, slots: u32, count: usize) -> Res<Duration> {
    let dir = bench.base.join("tsp");
    sys::fresh_dir(&dir)?;
    let tsp = |args: &[&str]| {
        let mut command = Command::new("tsp");
        // Its own socket, and room to remember all of them.
        command
            .env("TS_SOCKET", dir.join("s"))
            .env("TS_MAXFINISHED", "100000")
            .env("TMPDIR", &dir)
            .args(args);
        sys::capture(&mut command)
    };
    tsp(&["-S", &slots.to_string()])?;
    let begun = Instant::now();
    let mut last = Vec::new();
    for _ in 0..count {
        last.push(tsp(&["-n", "/bin/true"])?.trim().to_owned());
    }
    // First in, first out: when the last ones of every slot have ended, all have.
    for id in last.iter().rev().take(slots as usize) {
        tsp(&["-w", id])?;
    }
    let time = begun.elapsed();
    tsp(&["-K"])?;
    let _ = std::fs::remove_dir_all(&dir);
    Ok(time)
}

/// Ends a server when its measurement is over, whatever became of it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// pueue: a daemon that writes its whole state as JSON at each change.
fn pueue(bench: &Bench, slots: u32, count: usize) -> Res<Duration> {
    let dir = bench.base.join("pueue");
    sys::fresh_dir(&dir)?;
    let config = dir.join("pueue.yml");
    let text = format!(
        "shared:\n  pueue_directory: {0}\n  runtime_directory: {0}\n  use_unix_socket: true\nclient: {{}}\ndaemon: {{}}\n",
        dir.display()
    );
    std::fs::write(&config, text).map_err(|e| format!("cannot write {}: {e}", config.display()))?;
    let pueue =
        |args: &[&str]| sys::capture(Command::new("pueue").arg("-c").arg(&config).args(args));
    let _server = Server(quiet(
        Command::new("pueued").arg("-c").arg(&config),
        "pueued",
    )?);
    sys::wait_until("pueued answers", LIMIT, || {
        Ok(pueue(&["status", "--json"]).is_ok())
    })?;
    pueue(&["parallel", &slots.to_string()])?;
    let begun = Instant::now();
    for _ in 0..count {
        pueue(&["add", "--", "/bin/true"])?;
    }
    pueue(&["wait", "--all", "--quiet"])?;
    let time = begun.elapsed();
    let _ = std::fs::remove_dir_all(&dir);
    Ok(time)
}

/// huey: a queue in SQLite with FULL sync, its consumer with a thread per slot.
fn huey_sqlite(bench: &Bench, slots: u32, count: usize) -> Res<Duration> {
    let dir = bench.base.join("huey");
    sys::fresh_dir(&dir)?;
    std::fs::write(dir.join("queue_of_bench.py"), HUEY_TASKS)
        .map_err(|e| format!("cannot write: {e}"))?;
    let consumer = |command: &mut Command| -> Res<Server> {
        command.args([
            "-m",
            "huey.bin.huey_consumer",
            "queue_of_bench.huey",
            "-k",
            "thread",
            "-w",
        ]);
        command
            .arg(slots.to_string())
            .args(["-d", "0.01", "-m", "0.05", "-n"]);
        in_dir(command, &dir);
        Ok(Server(quiet(command, "huey's consumer")?))
    };
    let _server = consumer(&mut Command::new("python3"))?;
    let done = dir.join("done");
    // It is made when the consumer has read its tasks.
    sys::wait_until("huey's consumer is up", LIMIT, || Ok(done.exists()))?;
    let begun = Instant::now();
    let mut submit = Command::new("python3");
    submit.args(["-c", HUEY_SUBMIT, &count.to_string()]);
    in_dir(&mut submit, &dir);
    sys::capture(&mut submit)?;
    sys::wait_until("huey has run all", LIMIT, || {
        Ok(std::fs::metadata(&done).is_ok_and(|found| found.len() >= count as u64))
    })?;
    let time = begun.elapsed();
    let _ = std::fs::remove_dir_all(&dir);
    Ok(time)
}

fn in_dir(command: &mut Command, dir: &Path) {
    let mut path = std::ffi::OsString::from(dir);
    if let Some(more) = std::env::var_os("PYTHONPATH") {
        path.push(":");
        path.push(more);
    }
    command.current_dir(dir).env("PYTHONPATH", path);
}

fn quiet(command: &mut Command, name: &str) -> Res<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot run {name}: {e}"))
}

/// One byte per task that has ended, appended: its length is the count.
const HUEY_TASKS: &str = r#"
import os, subprocess
from huey import SqliteHuey
huey = SqliteHuey("bench", filename="queue.db", fsync=True, results=False)
done = os.open("done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@huey.task()
def nothing():
    subprocess.run(["/bin/true"], check=True)
    os.write(done, b".")
"#;

const HUEY_SUBMIT: &str = r"
import sys
from queue_of_bench import nothing
for _ in range(int(sys.argv[1])):
    nothing()
";
