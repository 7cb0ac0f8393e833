-- Everything is read anew from raw/ and wiki/: what was said and done in sessions is searched from here on, and what
-- is searched has a digest.
DELETE FROM ingest_keys;
DELETE FROM observations;
DELETE FROM sessions;
DELETE FROM marks;
DELETE FROM versions;
DELETE FROM commits;
DELETE FROM links;
DELETE FROM pages;
DROP TABLE chunks_fts;
DROP TABLE chunks;
DELETE FROM texts;

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    text INTEGER NOT NULL REFERENCES texts (id),
    n INTEGER NOT NULL,
    heading TEXT NOT NULL,
    body TEXT NOT NULL,
    words TEXT NOT NULL,                   -- words inside of others
    hash BLOB NOT NULL,                    -- of heading and body
    UNIQUE (text, n)
) STRICT;
CREATE INDEX chunks_by_hash ON chunks (hash);

-- The chunks of pages as they are, and those of former versions apart: how rare a word is says nothing of the past.
CREATE VIEW present_chunks AS SELECT * FROM chunks c WHERE EXISTS (SELECT 1 FROM pages p WHERE p.text = c.text);
CREATE VIEW former_chunks AS SELECT * FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM pages p WHERE p.text = c.text);
CREATE VIRTUAL TABLE chunks_fts USING fts5 (
    heading, body, words, content = 'present_chunks', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE former_fts USING fts5 (
    heading, body, words, content = 'former_chunks', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER present_chunks_added AFTER INSERT ON chunks
WHEN EXISTS (SELECT 1 FROM pages WHERE text = new.text) BEGIN
    INSERT INTO chunks_fts (rowid, heading, body, words) VALUES (new.id, new.heading, new.body, new.words);
END;
CREATE TRIGGER former_chunks_added AFTER INSERT ON chunks
WHEN NOT EXISTS (SELECT 1 FROM pages WHERE text = new.text) BEGIN
    INSERT INTO former_fts (rowid, heading, body, words) VALUES (new.id, new.heading, new.body, new.words);
END;
CREATE TRIGGER present_chunks_gone AFTER DELETE ON chunks
WHEN EXISTS (SELECT 1 FROM pages WHERE text = old.text) BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words)
    VALUES ('delete', old.id, old.heading, old.body, old.words);
END;
CREATE TRIGGER former_chunks_gone AFTER DELETE ON chunks
WHEN NOT EXISTS (SELECT 1 FROM pages WHERE text = old.text) BEGIN
    INSERT INTO former_fts (former_fts, rowid, heading, body, words)
    VALUES ('delete', old.id, old.heading, old.body, old.words);
END;
-- REPLACE would take a page away without pages_gone.
CREATE TRIGGER pages_added AFTER INSERT ON pages BEGIN
    INSERT INTO former_fts (former_fts, rowid, heading, body, words)
        SELECT 'delete', id, heading, body, words FROM chunks WHERE text = new.text;
    INSERT INTO chunks_fts (rowid, heading, body, words)
        SELECT id, heading, body, words FROM chunks WHERE text = new.text;
END;
CREATE TRIGGER pages_gone AFTER DELETE ON pages BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words)
        SELECT 'delete', id, heading, body, words FROM chunks WHERE text = old.text;
    INSERT INTO former_fts (rowid, heading, body, words)
        SELECT id, heading, body, words FROM chunks WHERE text = old.text;
END;
CREATE TRIGGER pages_changed AFTER UPDATE OF text ON pages WHEN new.text <> old.text BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words)
        SELECT 'delete', id, heading, body, words FROM chunks WHERE text = old.text;
    INSERT INTO former_fts (rowid, heading, body, words)
        SELECT id, heading, body, words FROM chunks WHERE text = old.text;
    INSERT INTO former_fts (former_fts, rowid, heading, body, words)
        SELECT 'delete', id, heading, body, words FROM chunks WHERE text = new.text;
    INSERT INTO chunks_fts (rowid, heading, body, words)
        SELECT id, heading, body, words FROM chunks WHERE text = new.text;
END;

-- What was said and done in sessions: prompts, answers, tool calls, summaries of compactions.
CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    n INTEGER NOT NULL,                    -- the place of its observation in the session's raw log, from 0
    kind TEXT NOT NULL,                    -- 'prompt', 'answer', 'tool' or 'summary'
    text TEXT NOT NULL,
    words TEXT NOT NULL,                   -- words inside of others
    hash BLOB NOT NULL,                    -- of the text
    UNIQUE (session, n)
) STRICT;
CREATE INDEX turns_by_hash ON turns (hash);
CREATE INDEX turns_said ON turns (session, n) WHERE kind <> 'tool';

-- By turns.id: a turn with what was said around it.
CREATE VIRTUAL TABLE turns_fts USING fts5 (
    text, words, around, content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER turns_gone AFTER DELETE ON turns BEGIN
    DELETE FROM turns_fts WHERE rowid = old.id;
END;

-- By sessions.id: all that was said in a session up to the end of its last turn.
CREATE VIRTUAL TABLE sessions_fts USING fts5 (
    about, text, words, content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER sessions_gone AFTER DELETE ON sessions BEGIN
    DELETE FROM sessions_fts WHERE rowid = old.id;
END;

-- How many rows have a word.
CREATE VIRTUAL TABLE chunks_words USING fts5vocab (chunks_fts, row);
CREATE VIRTUAL TABLE former_words USING fts5vocab (former_fts, row);
CREATE VIRTUAL TABLE turns_words USING fts5vocab (turns_fts, row);
CREATE VIRTUAL TABLE sessions_words USING fts5vocab (sessions_fts, row);
