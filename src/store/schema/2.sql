-- Schema 2: tasks of agents. Never edited after its release.

-- What a task of an agent remembers between its attempts, as JSON; NULL for a plain command.
ALTER TABLE tasks ADD COLUMN agent TEXT;
-- The account and model it needs (`task::Gate`); NULL needs none.
ALTER TABLE tasks ADD COLUMN gate TEXT CHECK (gate <> '');

-- Ready tasks are read gate by gate: those of a closed account are passed over without being looked at.
DROP INDEX tasks_ready;
CREATE INDEX tasks_ready ON tasks (gate, priority DESC, seq) WHERE turn = 3;
CREATE INDEX tasks_held ON tasks (gate, priority DESC, seq) WHERE state = 'waiting_unban' AND aside = 0;

-- Unfinished tasks of an account.
CREATE INDEX tasks_gate ON tasks (gate, state) WHERE gate IS NOT NULL AND finished_at IS NULL;

-- Accounts of agents: how each is reached (`spec`), and what is known of its limits (`state`), both JSON of the supervisor.
CREATE TABLE accounts (
    agent TEXT NOT NULL CHECK (agent <> ''),
    name  TEXT NOT NULL CHECK (name <> ''),
    spec  TEXT NOT NULL CHECK (json_valid(spec)),
    state TEXT NOT NULL CHECK (json_valid(state)),
    PRIMARY KEY (agent, name)
) STRICT, WITHOUT ROWID;

-- What each run of an agent cost. A row stays when its task is cleaned up: a bill does not get shorter.
CREATE TABLE ledger (
    task      TEXT    NOT NULL,
    attempt   INTEGER NOT NULL CHECK (attempt >= 1),
    at        INTEGER NOT NULL,
    uid       INTEGER NOT NULL,
    project   TEXT    NOT NULL,
    agent     TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    model     TEXT    NOT NULL,
    -- NULL: nobody knows.
    micro_usd INTEGER CHECK (micro_usd >= 0),
    estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    tokens_input       INTEGER NOT NULL CHECK (tokens_input >= 0),
    tokens_output      INTEGER NOT NULL CHECK (tokens_output >= 0),
    tokens_cache_read  INTEGER NOT NULL CHECK (tokens_cache_read >= 0),
    tokens_cache_write INTEGER NOT NULL CHECK (tokens_cache_write >= 0),
    run_ms    INTEGER NOT NULL CHECK (run_ms >= 0),
    PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_at ON ledger (at);
