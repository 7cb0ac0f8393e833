-- The pages that are packets; whose a packet is follows from its project, and only inside of a team from `owner`.
CREATE TABLE packets (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    draft INTEGER NOT NULL,
    created TEXT NOT NULL,                 -- created_at in UTC
    created_at TEXT NOT NULL,
    goal TEXT NOT NULL,
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX packets_by_id ON packets (id);
CREATE INDEX packets_by_path ON packets (path);
CREATE INDEX packets_by_created ON packets (project, draft, created, id);
CREATE TRIGGER packets_gone AFTER DELETE ON pages BEGIN
    DELETE FROM packets WHERE project = old.project AND path = old.path;
END;
-- Such pages count as unread, so that each is read again: `git pull` may have brought one.
UPDATE pages SET size = -2 WHERE kind = 'packet';
