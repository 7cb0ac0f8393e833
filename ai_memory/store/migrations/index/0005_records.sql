-- The pages that are records, by what their front matter says; where each leads is looked up when somebody asks.
CREATE TABLE records (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    uuid TEXT NOT NULL,
    type TEXT NOT NULL,
    archived INTEGER NOT NULL,
    created INTEGER NOT NULL,
    head TEXT NOT NULL,                    -- what it begins with: two of one hour that begin alike are one
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_uuid ON records (uuid);
CREATE INDEX records_by_created ON records (created);
CREATE INDEX records_by_head ON records (project, type, head);
CREATE TABLE relations (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    n INTEGER NOT NULL,
    to_uuid TEXT NOT NULL,
    relationship TEXT NOT NULL,
    PRIMARY KEY (project, path, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX relations_by_target ON relations (to_uuid);
CREATE TRIGGER records_gone AFTER DELETE ON pages BEGIN
    DELETE FROM records WHERE project = old.project AND path = old.path;
    DELETE FROM relations WHERE project = old.project AND path = old.path;
END;
-- Pages count as unread, so that each is read again: it may be a record.
UPDATE pages SET size = -2;
