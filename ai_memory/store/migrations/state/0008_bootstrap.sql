-- Answers of a bootstrap that is not finished: they are paid for. `chunk` counts from 0.
CREATE TABLE bootstrap_answers (
    project TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (project, fingerprint, chunk)
) WITHOUT ROWID;
