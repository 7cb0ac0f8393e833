-- What texts mean, as vectors: of chunks and turns by project and digest, so that a text that stays keeps them.
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    dim INTEGER NOT NULL,
    UNIQUE (provider, model, dim)
) STRICT;
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL,
    project TEXT NOT NULL,
    hash BLOB NOT NULL,
    n INTEGER NOT NULL,                    -- which piece of the text, from 0
    bits BLOB NOT NULL,                    -- the signs of the numbers
    vector BLOB NOT NULL,                  -- the numbers as int8
    UNIQUE (hash, project, model, n)
) STRICT;
-- A search reads all the bits of a project, and nothing but this index: 13 ms for 100,000 vectors.
CREATE INDEX vectors_near ON vectors (model, project, bits);

-- Texts that an embedder refused, for themselves and not for its own trouble.
CREATE TABLE embedding_failures (
    model INTEGER NOT NULL,
    project TEXT NOT NULL,
    hash BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    at INTEGER NOT NULL,
    error TEXT NOT NULL,
    retry_at INTEGER,                      -- NULL: only when somebody asks for it
    PRIMARY KEY (hash, project, model)
) STRICT, WITHOUT ROWID;

-- The queue of the embedder goes through these, and need not read the texts.
DROP INDEX chunks_by_hash;
CREATE INDEX chunks_by_hash ON chunks (hash, text);
DROP INDEX turns_by_hash;
CREATE INDEX turns_by_hash ON turns (hash, session);

CREATE VIEW hashes AS
    SELECT c.hash, t.project FROM chunks c JOIN texts t ON t.id = c.text
    UNION ALL SELECT u.hash, s.project FROM turns u JOIN sessions s ON s.id = u.session;

-- Vectors go with the last text of their digest in a project, whoever drops it.
CREATE TRIGGER chunks_gone_vectors AFTER DELETE ON chunks BEGIN
    DELETE FROM vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM hashes h WHERE h.hash = vectors.hash AND h.project = vectors.project);
    DELETE FROM embedding_failures WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM hashes h WHERE h.hash = old.hash AND h.project = embedding_failures.project);
END;
CREATE TRIGGER turns_gone_vectors AFTER DELETE ON turns BEGIN
    DELETE FROM vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM hashes h WHERE h.hash = vectors.hash AND h.project = vectors.project);
    DELETE FROM embedding_failures WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM hashes h WHERE h.hash = old.hash AND h.project = embedding_failures.project);
END;

-- What another project has vectors of need not be embedded again: pages and sessions that move bring theirs.
CREATE TRIGGER chunks_added_vectors AFTER INSERT ON chunks BEGIN
    INSERT OR IGNORE INTO vectors (model, project, hash, n, bits, vector)
        SELECT v.model, t.project, v.hash, v.n, v.bits, v.vector FROM vectors v JOIN texts t ON t.id = new.text
        WHERE v.hash = new.hash AND v.project <> t.project;
END;
CREATE TRIGGER turns_added_vectors AFTER INSERT ON turns BEGIN
    INSERT OR IGNORE INTO vectors (model, project, hash, n, bits, vector)
        SELECT v.model, s.project, v.hash, v.n, v.bits, v.vector FROM vectors v JOIN sessions s ON s.id = new.session
        WHERE v.hash = new.hash AND v.project <> s.project;
END;
CREATE TRIGGER sessions_moved_vectors AFTER UPDATE OF project ON sessions WHEN new.project <> old.project BEGIN
    INSERT OR IGNORE INTO vectors (model, project, hash, n, bits, vector)
        SELECT model, new.project, hash, n, bits, vector FROM vectors
        WHERE project = old.project AND hash IN (SELECT hash FROM turns WHERE session = new.id);
    DELETE FROM vectors WHERE hash IN (SELECT hash FROM turns WHERE session = new.id)
        AND NOT EXISTS (SELECT 1 FROM hashes h WHERE h.hash = vectors.hash AND h.project = vectors.project);
    DELETE FROM embedding_failures WHERE hash IN (SELECT hash FROM turns WHERE session = new.id)
        AND NOT EXISTS (
            SELECT 1 FROM hashes h WHERE h.hash = embedding_failures.hash AND h.project = embedding_failures.project
        );
END;
