-- When a page changed is kept with it: worked out for each of ten thousand it made every list of them wait.
-- That is when its session last spoke, of a session's page (its row may be written much later); else when its content
-- was committed, else its file's time.
ALTER TABLE pages ADD COLUMN spoke INTEGER;
ALTER TABLE pages ADD COLUMN committed INTEGER;
ALTER TABLE pages ADD COLUMN changed INTEGER;
CREATE VIEW page_times AS SELECT p.project, p.path,
    (SELECT s.last FROM sessions s WHERE s.project = p.project AND p.path GLOB 'sessions/*.md'
        -- Not the other way round, which would go through all sessions of the project.
        AND s.session = substr(p.path, 10, length(p.path) - 12)) AS spoke,
    (SELECT c.at FROM versions v JOIN commits c ON c.n = v.n WHERE v.project = p.project AND v.path = p.path
        AND v.blob = p.blob ORDER BY v.n DESC LIMIT 1) AS committed
    FROM pages p;
UPDATE pages SET (spoke, committed) =
    (SELECT spoke, committed FROM page_times t WHERE t.project = pages.project AND t.path = pages.path);
UPDATE pages SET changed = coalesce(spoke, committed, mtime / 1000);

-- Not a generated column: no index answers alone for one that is worked out, and none that is stored can be added.
CREATE TRIGGER pages_times AFTER UPDATE OF spoke, committed, mtime ON pages BEGIN
    UPDATE pages SET changed = coalesce(spoke, committed, mtime / 1000)
        WHERE project = new.project AND path = new.path;
END;
CREATE TRIGGER pages_added_times AFTER INSERT ON pages BEGIN
    UPDATE pages SET (spoke, committed) =
        (SELECT spoke, committed FROM page_times WHERE project = new.project AND path = new.path)
        WHERE project = new.project AND path = new.path;
END;
CREATE TRIGGER pages_changed_times AFTER UPDATE OF blob ON pages WHEN new.blob <> old.blob BEGIN
    UPDATE pages SET committed = (SELECT committed FROM page_times WHERE project = new.project AND path = new.path)
        WHERE project = new.project AND path = new.path;
END;
CREATE TRIGGER versions_added_times AFTER INSERT ON versions BEGIN
    UPDATE pages SET committed = (SELECT committed FROM page_times WHERE project = new.project AND path = new.path)
        WHERE project = new.project AND path = new.path AND blob = new.blob;
END;
CREATE TRIGGER versions_gone_times AFTER DELETE ON versions BEGIN
    UPDATE pages SET committed = (SELECT committed FROM page_times WHERE project = old.project AND path = old.path)
        WHERE project = old.project AND path = old.path AND blob = old.blob;
END;
CREATE TRIGGER sessions_added_times AFTER INSERT ON sessions BEGIN
    UPDATE pages SET spoke = new.last WHERE project = new.project AND path = 'sessions/' || new.session || '.md';
END;
CREATE TRIGGER sessions_changed_times AFTER UPDATE OF last, project ON sessions
WHEN new.last <> old.last OR new.project <> old.project BEGIN
    UPDATE pages SET spoke = NULL WHERE project = old.project AND path = 'sessions/' || old.session || '.md';
    UPDATE pages SET spoke = new.last WHERE project = new.project AND path = 'sessions/' || new.session || '.md';
END;
CREATE TRIGGER sessions_gone_times AFTER DELETE ON sessions BEGIN
    UPDATE pages SET spoke = NULL WHERE project = old.project AND path = 'sessions/' || old.session || '.md';
END;

-- What the lists of pages ask, answered without a look at the rows: these are wide.
CREATE INDEX pages_listed ON pages (project, changed DESC, path, size, expires_at, kind, sealed, tier);
CREATE INDEX pages_by_title ON pages (project, title, path, size, expires_at);
CREATE INDEX pages_standing ON pages (project, path)
    WHERE pinned OR kind IN ('rule', 'slot') OR path GLOB '_rules/*';
CREATE INDEX pages_uncommitted ON pages (project) WHERE committed IS NULL;
CREATE INDEX sessions_by_time ON sessions (project, last DESC, session, observations);
