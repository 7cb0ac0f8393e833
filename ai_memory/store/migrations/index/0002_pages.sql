-- Everything is read anew from raw/ and wiki/: what the first schema kept is less than what is kept from here on.
DROP TABLE sessions;
DELETE FROM ingest_keys;

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
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
    UNIQUE (project, session)
) STRICT;
CREATE INDEX sessions_by_id ON sessions (session);
CREATE INDEX sessions_by_last ON sessions (last);
CREATE INDEX sessions_unfinished ON sessions (last) WHERE committed < observations AND prompts + tools > 0;
CREATE INDEX sessions_uncompiled ON sessions (project) WHERE compiled < observations AND prompts + tools > 0;
CREATE INDEX sessions_in_turn ON sessions (project, last) WHERE in_turn;

-- What was observed, without its text: that is in the raw log.
CREATE TABLE observations (
    session INTEGER NOT NULL REFERENCES sessions (id),
    n INTEGER NOT NULL,                    -- its place in the session's raw log, from 0
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    PRIMARY KEY (session, n)
) STRICT, WITHOUT ROWID;

-- How far each source was read: 'wiki' is the last commit.
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- The wiki's history: HEAD, its first parent, the first parent of that, and so on, the oldest first; and what each of
-- these commits did to a page. A merge is one of them, with all that it brought.
CREATE TABLE commits (
    n INTEGER PRIMARY KEY,
    oid TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    email TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
CREATE INDEX commits_by_time ON commits (at);
CREATE TABLE versions (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    n INTEGER NOT NULL REFERENCES commits (n),
    blob TEXT NOT NULL,                    -- git's id of the content, '' where the page was deleted
    PRIMARY KEY (project, path, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_commit ON versions (n);

-- Each distinct content of a page that can be searched: the present one and the newest committed ones.
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    blob TEXT NOT NULL,
    title TEXT NOT NULL,
    expires_at INTEGER,                    -- from then on no search finds it
    UNIQUE (project, path, blob)
) STRICT;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    text INTEGER NOT NULL REFERENCES texts (id),
    n INTEGER NOT NULL,
    heading TEXT NOT NULL,
    body TEXT NOT NULL,
    words TEXT NOT NULL,                   -- identifiers in parts
    UNIQUE (text, n)
) STRICT;
CREATE VIRTUAL TABLE chunks_fts USING fts5 (
    heading, body, words, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
    INSERT INTO chunks_fts (rowid, heading, body, words) VALUES (new.id, new.heading, new.body, new.words);
END;
CREATE TRIGGER chunks_gone AFTER DELETE ON chunks BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words)
    VALUES ('delete', old.id, old.heading, old.body, old.words);
END;

-- The pages as they are: on disk, or in git and missing on disk.
CREATE TABLE pages (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,                     -- two pages with one key are one file on some systems
    blob TEXT NOT NULL,
    text INTEGER NOT NULL REFERENCES texts (id),
    size INTEGER NOT NULL,                 -- of the file, in bytes; -1 where it is missing on disk
    mtime INTEGER NOT NULL,                -- of the file, in nanoseconds
    title TEXT NOT NULL,
    type TEXT NOT NULL,
    kind TEXT NOT NULL,
    tier TEXT NOT NULL,
    pinned INTEGER NOT NULL,
    sealed INTEGER NOT NULL,               -- written by an automatic writer, and not touched since
    tags TEXT NOT NULL,                    -- JSON array of strings
    summary TEXT NOT NULL,
    expires_at INTEGER,
    problem TEXT NOT NULL,
    conflicted INTEGER NOT NULL,           -- a merge left its markers in it
    PRIMARY KEY (project, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX pages_by_key ON pages (project, key);
CREATE INDEX pages_by_text ON pages (text);
CREATE INDEX pages_with_problems ON pages (project) WHERE problem <> '';

-- Links of the pages as they are, as written: a target is looked up when somebody asks.
CREATE TABLE links (
    project TEXT NOT NULL,
    path TEXT NOT NULL,
    n INTEGER NOT NULL,
    to_workspace TEXT NOT NULL,            -- '' means the page's own
    to_project TEXT NOT NULL,              -- '' means the page's own
    to_path TEXT NOT NULL,
    PRIMARY KEY (project, path, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_target ON links (to_path, to_workspace, to_project);
CREATE INDEX links_to_others ON links (project, to_workspace, to_project, to_path) WHERE to_project <> '';
