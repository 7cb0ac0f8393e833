-- Work that asks a model, in its order: it is done by and by, also after a crash.
CREATE TABLE model_jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,                     -- what it is about, within project and kind
    project TEXT NOT NULL,
    session TEXT NOT NULL,                 -- "" where it is about none
    generation INTEGER NOT NULL,           -- how much of it there was
    payload TEXT NOT NULL,
    asked INTEGER NOT NULL,                -- somebody waits for it
    state TEXT NOT NULL,                   -- queued, leased, done, failed, poison or dropped
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    error TEXT NOT NULL,
    outcome TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX model_jobs_queued ON model_jobs (project, kind, key) WHERE state = 'queued';
CREATE INDEX model_jobs_waiting ON model_jobs (asked DESC, made_at) WHERE state IN ('queued', 'leased');

-- What a model answered for a job that is not done: it is paid for.
CREATE TABLE job_answers (
    job TEXT NOT NULL,
    name TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (job, name)
) STRICT, WITHOUT ROWID;

-- Requests to models that answer questions, by day (UTC).
CREATE TABLE model_calls (
    day TEXT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    calls INTEGER NOT NULL,
    tokens_in INTEGER NOT NULL,            -- as the vendor counted them
    tokens_out INTEGER NOT NULL,
    cost REAL NOT NULL,                    -- dollars
    unpriced INTEGER NOT NULL,             -- calls whose price is not known
    PRIMARY KEY (day, purpose, provider, model, outcome)
) STRICT, WITHOUT ROWID;
