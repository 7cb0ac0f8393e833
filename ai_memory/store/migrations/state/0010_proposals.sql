-- Pages that a model would write after a session, and what somebody decided about each.
CREATE TABLE proposals (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,                     -- the job that it came of
    project TEXT NOT NULL,
    session TEXT NOT NULL,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,                    -- all of the page below its front matter
    confidence REAL NOT NULL,
    rationale TEXT NOT NULL,
    evidence TEXT NOT NULL,                -- [[page, quotation], ...]
    edit_mode TEXT NOT NULL,
    base TEXT NOT NULL,                    -- digest of the body that it was made for, "" for a new page
    staged_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'conflict')),
    reason TEXT NOT NULL,
    revision TEXT NOT NULL,                -- the commit that wrote it, or ""
    decided_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX proposals_pending ON proposals (project, path) WHERE status = 'pending';
CREATE INDEX proposals_by_project ON proposals (project, staged_at);
