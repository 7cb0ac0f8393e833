-- Durable rows that are neither in raw/ nor in wiki/. Times are microseconds since 1970, UTC.
CREATE TABLE handoffs (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    project TEXT NOT NULL,
    from_session TEXT,
    from_agent TEXT NOT NULL,
    to_agent TEXT NOT NULL,
    cwd TEXT NOT NULL,
    summary TEXT NOT NULL,
    open_questions TEXT NOT NULL,  -- JSON array of strings, as are the next two
    next_steps TEXT NOT NULL,
    files_touched TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'expired', 'cancelled')),
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    accepted_by TEXT NOT NULL,
    accepted_at INTEGER,
    accepted_by_session TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX handoffs_open ON handoffs (project) WHERE state = 'open';
CREATE INDEX handoffs_by_source ON handoffs (project, from_session);
CREATE INDEX handoffs_by_receiver ON handoffs (accepted_by_session) WHERE accepted_by_session IS NOT NULL;
