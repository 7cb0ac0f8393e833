-- What a timeline and a graph ask for. When a version was committed is kept with it, to be read in the order of time:
-- NULL where its commit left the page as it was, as one that moves a whole project does.
ALTER TABLE versions ADD COLUMN at INTEGER;
UPDATE versions SET at = (SELECT c.at FROM commits c WHERE c.n = versions.n) WHERE blob IS NOT (
    SELECT o.blob FROM versions o WHERE o.project = versions.project AND o.path = versions.path AND o.n < versions.n
    ORDER BY o.n DESC LIMIT 1);
CREATE INDEX versions_of_project_by_time ON versions (project, at DESC, n DESC, path);
DROP INDEX sessions_by_last;
CREATE INDEX sessions_by_last ON sessions (last DESC, project, session);

-- How many observations a session has of each day (of UTC, counted from 1970).
CREATE TABLE session_days (
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    observations INTEGER NOT NULL,
    PRIMARY KEY (session, day)
) STRICT, WITHOUT ROWID;
INSERT INTO session_days SELECT session, at / 86400000000, count(*) FROM observations GROUP BY 1, 2;
CREATE TRIGGER observations_added_days AFTER INSERT ON observations BEGIN
    INSERT INTO session_days VALUES (new.session, new.at / 86400000000, 1)
        ON CONFLICT DO UPDATE SET observations = observations + 1;
END;
CREATE TRIGGER observations_changed_days AFTER UPDATE OF at ON observations
WHEN new.at / 86400000000 <> old.at / 86400000000 BEGIN
    UPDATE session_days SET observations = observations - 1
        WHERE session = old.session AND day = old.at / 86400000000;
    INSERT INTO session_days VALUES (new.session, new.at / 86400000000, 1)
        ON CONFLICT DO UPDATE SET observations = observations + 1;
END;
CREATE TRIGGER observations_gone_days AFTER DELETE ON observations BEGIN
    UPDATE session_days SET observations = observations - 1
        WHERE session = old.session AND day = old.at / 86400000000;
END;

-- What the front matter of a page says of another: 'supersedes' and its path, of a packet 'parent' and its id.
CREATE TABLE ties (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    type TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (project, path, type, target)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER ties_gone AFTER DELETE ON pages BEGIN
    DELETE FROM ties WHERE project = old.project AND path = old.path;
END;
-- Pages count as unread, so that each is read again: it may say such a thing.
UPDATE pages SET size = -2;
