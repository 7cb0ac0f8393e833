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
INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all');
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
CREATE TRIGGER chunks_added AFTER INSERT ON chunks BEGIN
    INSERT INTO chunks_fts (rowid, heading, body, words) VALUES (new.id, new.heading, new.body, new.words);
END;
CREATE TRIGGER chunks_gone AFTER DELETE ON chunks BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words)
    VALUES ('delete', old.id, old.heading, old.body, old.words);
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
CREATE VIRTUAL TABLE turns_words USING fts5vocab (turns_fts, row);
CREATE VIRTUAL TABLE sessions_words USING fts5vocab (sessions_fts, row);
