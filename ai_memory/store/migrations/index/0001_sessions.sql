-- The derived index: everything here follows from raw/ and wiki/, and may be deleted at any time.
-- Times are microseconds since 1970, UTC.
CREATE TABLE sessions (
    project TEXT NOT NULL,
    session TEXT NOT NULL,
    native TEXT NOT NULL,
    agent TEXT NOT NULL,
    cwd TEXT NOT NULL,
    started INTEGER NOT NULL,
    last INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    prompts INTEGER NOT NULL,
    tools INTEGER NOT NULL,
    in_turn INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    title TEXT NOT NULL,
    opening TEXT NOT NULL,
    compiled INTEGER NOT NULL DEFAULT 0,   -- mark: observations covered by the page on disk
    committed INTEGER NOT NULL DEFAULT 0,  -- mark: observations covered by the page in git
    raw_bytes INTEGER NOT NULL,            -- mark: how far the raw log of the session has been read
    PRIMARY KEY (project, session)
) WITHOUT ROWID;
CREATE INDEX sessions_by_id ON sessions (session);
CREATE INDEX sessions_by_last ON sessions (last);
CREATE INDEX sessions_unfinished ON sessions (last) WHERE committed < observations AND prompts + tools > 0;
CREATE INDEX sessions_uncompiled ON sessions (project) WHERE compiled < observations AND prompts + tools > 0;
CREATE INDEX sessions_in_turn ON sessions (project, last) WHERE in_turn;

-- Idempotency keys of stored events, for 30 days.
CREATE TABLE ingest_keys (
    project TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) WITHOUT ROWID;
CREATE INDEX ingest_keys_by_at ON ingest_keys (at);
