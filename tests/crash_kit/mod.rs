//! What crash matrix and storm share: a set of jobs that uses a little of everything, and the promises checked at the end.
//!
//! Each job's command writes `start N` and `end N` (N: the attempt's number) into a file of its own, and holds a lock while
//! anything of it lives: a second process of the same job that finds the lock taken writes `overlap`. What the files say is
//! compared with the journal, attempt by attempt.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod job;
pub mod promises;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use job::{Job, Kind};

use crate::common::{PATIENCE, World};

const LOOK_EVERY: Duration = Duration::from_millis(15);

/// The daemon died (or was ended by us, because its workers did).
#[derive(Debug)]
pub struct Died;

/// What a step of a story comes to.
pub type Lives<T> = Result<T, Died>;

/// The jobs of one world.
#[derive(Debug)]
pub struct Jobs {
    /// In the order of submission; those of the batch last.
    pub all: Vec<Job>,
    /// A crash point of the worker, its log, and the number of passes after which the daemon is ended.
    pub worker_point: Option<(String, usize)>,
}

const BATCH: usize = 4;
const FINAL: [&str; 3] = ["completed", "failed", "cancelled"];

impl Jobs {
    /// One of each kind, and a batch.
    pub fn one_of_each() -> Self {
        let kinds = [
            Kind::Quick,
            Kind::Gated,
            Kind::Long,
            Kind::Retried,
            Kind::Failing,
            Kind::Dependent,
            Kind::Waiting,
        ];
        let mut all: Vec<Job> = kinds
            .iter()
            .map(|kind| Job::new(&format!("{kind:?}").to_lowercase(), *kind))
            .collect();
        all.extend((0..BATCH).map(|n| Job::new(&format!("batch-{n}"), Kind::Quick)));
        Self {
            all,
            worker_point: None,
        }
    }

    /// The first job of this kind.
    pub fn of(&self, kind: Kind) -> &Job {
        self.all.iter().find(|job| job.kind == kind).unwrap()
    }

    fn place(&self, kind: Kind) -> usize {
        self.all.iter().position(|job| job.kind == kind).unwrap()
    }

    /// Submits all: each by itself, the last ones as a batch. Repeating it is safe, and must give the same ids.
    pub fn submit(&mut self, world: &mut World) -> Lives<()> {
        let singles = self.all.len() - BATCH;
        for place in 0..singles {
            let body = self.body(place, world.dir());
            let (status, task) = self.ask(world, "POST", "/tasks", &body.to_string())?;
            assert!(
                (200..300).contains(&status),
                "{body}: {status} {task}\n{}",
                world.story()
            );
            self.acknowledge(place, task["id"].as_str().unwrap());
        }
        let lines: Vec<String> = (singles..self.all.len())
            .map(|place| self.body(place, world.dir()).to_string())
            .collect();
        let Ok((200, answer)) = world.request_text("POST", "/tasks/batch", &lines.join("\n"))
        else {
            return Err(self.death(world));
        };
        let answers: Vec<Value> = answer
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        for answer in &answers {
            let place =
                singles + usize::try_from(answer["task"]["line"].as_u64().unwrap()).unwrap() - 1;
            self.acknowledge(place, answer["task"]["id"].as_str().unwrap());
        }
        if answers.len() < BATCH {
            Err(self.death(world))
        } else {
            Ok(())
        }
    }

    fn acknowledge(&mut self, place: usize, id: &str) {
        let job = &mut self.all[place];
        if let Some(known) = &job.id {
            assert_eq!(
                known, id,
                "the key {} was acknowledged as another task",
                job.key
            );
        }
        job.id = Some(id.to_owned());
    }

    fn body(&self, place: usize, dir: &Path) -> Value {
        let job = &self.all[place];
        let mut body = json!({"name": job.key, "key": job.key, "command": job.script(dir)});
        match job.kind {
            Kind::Retried => {
                body["retry_on"] = json!(["any"]);
                body["max_retries"] = json!(50);
            }
            Kind::Quick => body["notify"] = json!("true"),
            Kind::Gated => body["type"] = json!("medium_context"),
            Kind::Dependent => body["after"] = json!([self.of(Kind::Quick).id]),
            Kind::Failing | Kind::Long | Kind::Waiting => {}
        }
        body
    }

    /// One request. An answer that does not come, or not whole, means that the daemon died.
    pub fn ask(
        &self,
        world: &mut World,
        method: &str,
        route: &str,
        body: &str,
    ) -> Lives<(u16, Value)> {
        if self.over(world) {
            return Err(Died);
        }
        let answer = world.request_text(method, route, body);
        let whole = answer
            .ok()
            .and_then(|(status, text)| Some((status, serde_json::from_str::<Value>(&text).ok()?)));
        whole.ok_or_else(|| self.death(world))
    }

    /// The daemon did not answer: then it is dead, or dying.
    fn death(&self, world: &mut World) -> Died {
        if !world.daemon_is_dead() {
            world.wait_for_death();
        }
        Died
    }

    /// Whether the story ends here. Where a crash point kills workers the daemon lives on: it is ended once enough died.
    pub fn over(&self, world: &mut World) -> bool {
        if world.daemon_is_dead() {
            return true;
        }
        let enough = self
            .worker_point
            .as_ref()
            .is_some_and(|(name, most)| passes(world, name) >= *most);
        if enough {
            world.kill_daemon();
        }
        enough
    }

    /// Waits for a condition, as long as the daemon lives.
    pub fn until<T>(
        &self,
        world: &mut World,
        what: &str,
        condition: impl Fn(&World) -> Option<T>,
    ) -> Lives<T> {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition(world) {
                return Ok(value);
            }
            if self.over(world) {
                return Err(Died);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain until {what}\n{}",
                world.story()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn until_state(&self, world: &mut World, kind: Kind, states: &[&str]) -> Lives<()> {
        let id = self.of(kind).id.clone().unwrap();
        self.until(world, &format!("{kind:?} {id} is {states:?}"), |world| {
            state(world, &id).filter(|state| states.contains(&state.as_str()))
        })?;
        Ok(())
    }

    /// A wish about one job, repeated until it is acknowledged: a refusal ("its attempt is still being stopped", "it has
    /// ended in this very moment") holds for a moment only. `false` when the job is over.
    fn insist(&self, world: &mut World, action: &str, kind: Kind) -> Lives<bool> {
        let id = self.of(kind).id.clone().unwrap();
        let body = json!({"action": action, "ids": [id]}).to_string();
        let begun = Instant::now();
        loop {
            let (_, answer) = self.ask(world, "POST", "/tasks/actions", &body)?;
            if answer[0]["effect"].is_string() {
                return Ok(true);
            }
            if state(world, &id).is_some_and(|state| FINAL.contains(&state.as_str())) {
                return Ok(false);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{action} {id}: {answer}\n{}",
                world.story()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The command of this kind runs.
    pub fn until_started(&self, world: &mut World, kind: Kind) -> Lives<()> {
        let job = self.of(kind).clone();
        self.until(world, &format!("{} has started", job.key), |world| {
            (!job.marks(world.dir(), "start").is_empty()).then_some(())
        })
    }

    /// Cancels the long one.
    pub fn cancel(&mut self, world: &mut World) -> Lives<()> {
        let told = self.insist(world, "cancel", Kind::Long)?;
        let place = self.place(Kind::Long);
        self.all[place].cancelled = told;
        Ok(())
    }

    /// Pauses the gated one.
    pub fn pause(&mut self, world: &mut World) -> Lives<()> {
        let told = self.insist(world, "pause", Kind::Gated)?;
        let place = self.place(Kind::Gated);
        self.all[place].paused = told;
        self.all[place].resumed &= !told;
        self.hold(world)
    }

    /// A pause that was acknowledged holds: the gated one is paused, until it is resumed.
    fn hold(&self, world: &mut World) -> Lives<()> {
        let job = self.of(Kind::Gated);
        if job.paused && !job.resumed {
            self.until_state(world, Kind::Gated, &["paused"])
        } else {
            Ok(())
        }
    }

    /// Resumes the gated one.
    pub fn resume(&mut self, world: &mut World) -> Lives<()> {
        let place = self.place(Kind::Gated);
        self.all[place].resumed = true;
        self.insist(world, "resume", Kind::Gated).map(drop)
    }

    /// The story up to the gate: a cancel, a checkpoint, a pause, a resume.
    pub fn begin(&mut self, world: &mut World) -> Lives<()> {
        self.submit(world)?;
        self.hold(world)?;
        self.until_started(world, Kind::Long)?;
        self.cancel(world)?;
        self.until_started(world, Kind::Gated)?;
        let gated = self.of(Kind::Gated).clone();
        self.until(world, "a checkpoint is recorded", |world| {
            (!gated.marks(world.dir(), "secured").is_empty()).then_some(())
        })?;
        self.pause(world)?;
        self.resume(world)
    }

    /// All are final.
    pub fn until_final(&self, world: &mut World) -> Lives<()> {
        for job in &self.all {
            let id = job.id.clone().unwrap();
            self.until(world, &format!("{} {id} is final", job.key), |world| {
                state(world, &id).filter(|state| FINAL.contains(&state.as_str()))
            })?;
        }
        Ok(())
    }

    /// After the crash, with a daemon that is not armed: everything is asked for again, what was acknowledged holds without
    /// being asked for, and all ends.
    pub fn go_on(&mut self, world: &mut World) {
        self.worker_point = None;
        self.submit(world).unwrap();
        self.hold(world).unwrap();
        // A pause that was not acknowledged may have been committed all the same.
        self.resume(world).unwrap();
        open_gate(world);
        if !self.of(Kind::Long).cancelled {
            self.cancel(world).unwrap();
        }
        self.until_final(world).unwrap();
    }
}

/// How often a crash point was passed.
pub fn passes(world: &World, name: &str) -> usize {
    let text = std::fs::read_to_string(world.dir().join("passes")).unwrap_or_default();
    text.lines().filter(|line| *line == name).count()
}

/// The state of a task, when the daemon answers.
pub fn state(world: &World, id: &str) -> Option<String> {
    let (_, task) = world.request("GET", &format!("/tasks/{id}"), None).ok()?;
    task["state"].as_str().map(str::to_owned)
}

/// Lets the jobs go on that wait for it.
pub fn open_gate(world: &World) {
    std::fs::write(world.dir().join("gate"), "").unwrap();
}
