//! The crash points as data: where each is reached, and which hits are worth a run.

/// What must happen for a point to be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// The daemon passes it while it starts, serves and leaves.
    Daemon,
    /// Workers pass it.
    Worker,
    /// A daemon passes it that finds what a dead one left: running, lost, hung and damaged attempts, strays.
    Recovery,
    /// A daemon passes it that finds a record in the place of a new one.
    Record,
    /// Backup and cleanup.
    Maintenance,
    /// `auto-claude restore`.
    Restore,
}

/// One point.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// As in the source.
    pub name: &'static str,
    /// Where it is reached.
    pub scene: Scene,
    /// The hits that `make test` runs; the first one must be reached.
    pub hits: &'static [u32],
}

const fn point(name: &'static str, scene: Scene, hits: &'static [u32]) -> Point {
    Point { name, scene, hits }
}

/// All of them.
pub const POINTS: &[Point] = &[
    point("start.locked", Scene::Daemon, &[1]),
    point("store.migrating", Scene::Daemon, &[1]),
    point("store.migrated", Scene::Daemon, &[1]),
    point("reserve.released", Scene::Daemon, &[1]),
    point("start.opened", Scene::Daemon, &[1]),
    point("engine.before_commit", Scene::Daemon, &[1, 3]),
    point("store.before_commit", Scene::Daemon, &[2, 5, 8]),
    point("store.after_commit", Scene::Daemon, &[2, 4, 7]),
    point("engine.after_commit", Scene::Daemon, &[3, 6]),
    point("engine.committed", Scene::Daemon, &[2, 9]),
    point("engine.replied", Scene::Daemon, &[2, 10]),
    point("record.made", Scene::Daemon, &[1, 3]),
    point("record.created", Scene::Daemon, &[1, 4]),
    point("launch.before_spawn", Scene::Daemon, &[1, 3]),
    point("launch.after_spawn", Scene::Daemon, &[1, 2]),
    point("attend.launched", Scene::Daemon, &[1, 2]),
    point("attend.settling", Scene::Daemon, &[1, 3]),
    point("attend.door_told", Scene::Daemon, &[1, 2]),
    point("record.unlinking", Scene::Daemon, &[1, 3]),
    point("notice.told", Scene::Daemon, &[1]),
    point("leave.stopped", Scene::Daemon, &[1]),
    point("worker.handed_over", Scene::Worker, &[1]),
    point("worker.locked", Scene::Worker, &[1]),
    point("worker.started.before", Scene::Worker, &[1]),
    point("record.written", Scene::Worker, &[1, 2]),
    point("worker.started.synced", Scene::Worker, &[1]),
    point("worker.started.directory_synced", Scene::Worker, &[1]),
    point("worker.door.bound", Scene::Worker, &[1]),
    point("worker.agent.spawned", Scene::Worker, &[1]),
    point("worker.agent.stamped", Scene::Worker, &[1]),
    point("worker.stop.begun", Scene::Worker, &[1]),
    point("checkpoint.synced", Scene::Worker, &[1, 2]),
    point("checkpoint.renamed", Scene::Worker, &[1, 2]),
    point("checkpoint.written", Scene::Worker, &[1, 2]),
    point("worker.agent.ended", Scene::Worker, &[1]),
    point("worker.tree.empty", Scene::Worker, &[1]),
    point("worker.secured", Scene::Worker, &[1]),
    point("worker.report.written", Scene::Worker, &[1]),
    point("worker.exit.synced", Scene::Worker, &[1]),
    point("worker.door.closed", Scene::Worker, &[1]),
    point("attend.adopted", Scene::Recovery, &[1, 2]),
    point("recover.holder_ended", Scene::Recovery, &[1]),
    point("recover.swept", Scene::Recovery, &[1, 2, 3]),
    point("recover.closed", Scene::Recovery, &[1, 2]),
    point("recover.set_aside", Scene::Recovery, &[1]),
    point("stray.ended", Scene::Recovery, &[1, 2]),
    point("claim.record_discarded", Scene::Record, &[1]),
    point("backup.copied", Scene::Maintenance, &[1]),
    point("cleanup.files", Scene::Maintenance, &[1, 2]),
    point("restore.kept", Scene::Restore, &[1]),
];
