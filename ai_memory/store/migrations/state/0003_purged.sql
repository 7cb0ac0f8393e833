-- What was purged, so that it stays gone whatever becomes of the manifests. The scope is a project's id, or for its
-- projects a workspace's.
CREATE TABLE purged (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    verb TEXT NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
