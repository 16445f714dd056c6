-- Schema 3: budgets. Never edited after its release.

-- What a run was of, so that a later task like it can be told what it will use: the task's type, how many chunks it has
-- (1 = none), and whether the task was completed with this run. What the run was allowed to cost is what a budget is
-- charged when nobody knows what it did cost; NULL: nothing limited it.
ALTER TABLE ledger ADD COLUMN type TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN chunks INTEGER NOT NULL DEFAULT 1 CHECK (chunks >= 1);
ALTER TABLE ledger ADD COLUMN done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1));
ALTER TABLE ledger ADD COLUMN allowed_micro_usd INTEGER CHECK (allowed_micro_usd >= 0);

-- Of tasks that are still here, this is known.
UPDATE ledger SET
    type = coalesce((SELECT json_extract(s.spec, '$.type') FROM tasks t JOIN specs s ON s.task = t.seq
                     WHERE t.id = ledger.task AND json_valid(s.spec)), ''),
    chunks = max(1, coalesce((SELECT json_array_length(s.spec, '$.command.chunks') FROM tasks t JOIN specs s ON s.task = t.seq
                              WHERE t.id = ledger.task AND json_valid(s.spec)), 1)),
    done = EXISTS (SELECT 1 FROM tasks t WHERE t.id = ledger.task AND t.state = 'completed' AND t.generation = ledger.attempt);

CREATE INDEX ledger_project ON ledger (project, at);
CREATE INDEX ledger_done ON ledger (agent, at) WHERE done = 1;

-- What running attempts may use up: made with the claim, gone with the outcome. NULL: not limited.
CREATE TABLE reservations (
    task      TEXT    NOT NULL,
    attempt   INTEGER NOT NULL CHECK (attempt >= 1),
    at        INTEGER NOT NULL,
    project   TEXT    NOT NULL,
    agent     TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    micro_usd INTEGER CHECK (micro_usd >= 0),
    tokens    INTEGER CHECK (tokens >= 0),
    run_ms    INTEGER CHECK (run_ms >= 0),
    PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;
