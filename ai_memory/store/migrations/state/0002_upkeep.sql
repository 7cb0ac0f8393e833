-- How often pages were read by somebody, once a minute at most.
CREATE TABLE page_reads (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    count INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;

-- When jobs that come round were last done.
CREATE TABLE jobs (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE INDEX handoffs_settled ON handoffs (created_at) WHERE state <> 'open';
