-- What readers said of a page, for the content that they read; one of another content counts for nothing any more.
CREATE TABLE page_feedback (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    blob TEXT NOT NULL,                    -- git's id of that content
    at INTEGER NOT NULL,
    signal TEXT NOT NULL CHECK (signal IN ('helpful', 'not_helpful', 'stale', 'wrong')),
    reason TEXT NOT NULL,
    salience REAL NOT NULL                 -- of that content, with this
) STRICT;
CREATE INDEX page_feedback_by_page ON page_feedback (project, path, blob, id);
