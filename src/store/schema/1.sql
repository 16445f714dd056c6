-- Schema 1. Never edited after its release: a change is a new file.
--
-- Times are milliseconds since the Unix epoch, UTC. Enumerations are the names that `task` gives them.

-- Where each task stands: the fold of its journal, and what is needed to find the next one to claim.
CREATE TABLE tasks (
    -- Order of submission; never used again, even when the newest task was deleted.
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE CHECK (length(id) = 18 AND substr(id, 1, 5) = 'task_'),
    uid           INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),
    -- A submission that is sent again carries the same key and the same fingerprint of what was asked.
    key           TEXT    NOT NULL CHECK (key <> ''),
    fingerprint   INTEGER NOT NULL,
    created_at    INTEGER NOT NULL CHECK (created_at BETWEEN -62167219200000 AND 253402207200999),

    -- Copies out of the submission, for the queue and for lists.
    name          TEXT    NOT NULL CHECK (name <> ''),
    priority      INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    exclusive     TEXT    CHECK (exclusive <> ''),

    -- The lifecycle.
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'processing', 'paused', 'waiting_unban', 'retrying',
                                                    'testing', 'needs_human_review', 'completed', 'failed', 'cancelled')),
    generation    INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
    retries       INTEGER NOT NULL CHECK (retries BETWEEN 0 AND generation),
    restarts      TEXT    NOT NULL,
    resume        INTEGER NOT NULL CHECK (resume IN (0, 1)),
    pause_reasons TEXT    NOT NULL,
    resume_to     TEXT    NOT NULL CHECK (resume_to IN ('pending', 'retrying', 'waiting_unban')),
    intent        TEXT,
    not_before    INTEGER CHECK (not_before BETWEEN -62167219200000 AND 253402207200999),
    outcome       TEXT,
    started_at    INTEGER CHECK (started_at BETWEEN -62167219200000 AND 253402207200999),
    finished_at   INTEGER CHECK (finished_at BETWEEN -62167219200000 AND 253402207200999),

    -- The place of the running attempt.
    slot          INTEGER CHECK (slot BETWEEN 0 AND 4294967295),
    -- Records in its journal.
    events        INTEGER NOT NULL CHECK (events >= 1),
    -- Tasks it still waits for: its rows in `waits`.
    unmet         INTEGER NOT NULL CHECK (unmet >= 0),
    -- 0 not now, 1 waits for `not_before`, 2 waits for its lane (`exclusive`), 3 ready to be claimed.
    turn          INTEGER NOT NULL CHECK (turn BETWEEN 0 AND 3),
    -- 1: found damaged; left out of everything until somebody has looked at it.
    aside         INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1)),

    CHECK ((slot IS NOT NULL) = (state IN ('processing', 'testing'))),
    CHECK ((finished_at IS NOT NULL) = (state IN ('completed', 'failed', 'cancelled'))),
    CHECK (state <> 'paused' OR pause_reasons <> '[]'),
    CHECK (intent IS NULL OR slot IS NOT NULL),
    CHECK (slot IS NULL OR generation > 0),
    CHECK (unmet = 0 OR finished_at IS NULL),
    CHECK (turn = 0 OR (state IN ('pending', 'retrying') AND unmet = 0 AND aside = 0)),
    CHECK (turn <> 1 OR not_before IS NOT NULL),
    CHECK (turn <> 2 OR exclusive IS NOT NULL),
    UNIQUE (uid, key)
) STRICT;

CREATE INDEX tasks_by_state ON tasks (state, seq);
CREATE INDEX tasks_ready ON tasks (priority DESC, seq) WHERE turn = 3;
CREATE INDEX tasks_timed ON tasks (not_before) WHERE turn = 1;
CREATE INDEX tasks_lane ON tasks (exclusive, priority DESC, seq) WHERE turn >= 2 AND exclusive IS NOT NULL;
CREATE INDEX tasks_finished ON tasks (finished_at, seq) WHERE finished_at IS NOT NULL;
-- Unfinished tasks to which more has happened than their submission: what a start has to look at.
CREATE INDEX tasks_moved ON tasks (seq) WHERE events > 1 AND finished_at IS NULL;
-- One task in a slot; one running task in a lane; one ready task in a lane.
CREATE UNIQUE INDEX tasks_slot ON tasks (slot) WHERE slot IS NOT NULL AND aside = 0;
CREATE UNIQUE INDEX tasks_lane_busy ON tasks (exclusive) WHERE slot IS NOT NULL AND exclusive IS NOT NULL AND aside = 0;
CREATE UNIQUE INDEX tasks_lane_ready ON tasks (exclusive) WHERE turn = 3 AND exclusive IS NOT NULL;

-- What was asked, apart from `tasks`, so that a transition does not write it again. `env` is taken out of `spec`.
CREATE TABLE specs (
    task INTEGER PRIMARY KEY REFERENCES tasks (seq) ON DELETE CASCADE,
    spec TEXT NOT NULL,
    env  INTEGER REFERENCES environments (env)
) STRICT;

CREATE INDEX specs_env ON specs (env) WHERE env IS NOT NULL;

-- Environments, each kept once: a thousand submissions from one shell share one.
CREATE TABLE environments (
    env  INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL,
    vars TEXT    NOT NULL CHECK (vars <> '{}')
) STRICT;

CREATE INDEX environments_hash ON environments (hash);

-- Everything that ever happened to a task, in order, from 1 without a gap.
CREATE TABLE journal (
    task  INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    n     INTEGER NOT NULL CHECK (n >= 1),
    at    INTEGER NOT NULL CHECK (at BETWEEN -62167219200000 AND 253402207200999),
    actor TEXT    NOT NULL CHECK (actor IN ('daemon', 'worker') OR actor GLOB 'user:[0-9]*'),
    event TEXT    NOT NULL CHECK (json_valid(event)),
    PRIMARY KEY (task, n)
) STRICT, WITHOUT ROWID;

-- Who still waits for whom. A row goes when the wait is over.
CREATE TABLE waits (
    task    INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    on_task INTEGER NOT NULL REFERENCES tasks (seq),
    PRIMARY KEY (task, on_task),
    CHECK (task <> on_task)
) STRICT, WITHOUT ROWID;

CREATE INDEX waits_on ON waits (on_task);

-- Tasks per state, so that nobody has to count.
CREATE TABLE counts (
    state TEXT    PRIMARY KEY,
    n     INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO counts (state, n) VALUES
    ('pending', 0), ('processing', 0), ('paused', 0), ('waiting_unban', 0), ('retrying', 0),
    ('testing', 0), ('needs_human_review', 0), ('completed', 0), ('failed', 0), ('cancelled', 0);

CREATE TRIGGER count_insert AFTER INSERT ON tasks BEGIN
    UPDATE counts SET n = n + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER count_delete AFTER DELETE ON tasks BEGIN
    UPDATE counts SET n = n - 1 WHERE state = OLD.state;
END;

CREATE TRIGGER count_update AFTER UPDATE OF state ON tasks WHEN OLD.state <> NEW.state BEGIN
    UPDATE counts SET n = n - 1 WHERE state = OLD.state;
    UPDATE counts SET n = n + 1 WHERE state = NEW.state;
END;

-- Damaged tasks (`tasks.aside` = 1) and what is wrong with them. `id` is what could be read of it.
CREATE TABLE set_aside (
    task   INTEGER PRIMARY KEY,
    id     TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- Small facts of the daemon, by name.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY CHECK (key <> ''),
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
