-- What was asked of vendors of models, by day (UTC).
CREATE TABLE spend (
    day TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,               -- as the vendor counted them
    PRIMARY KEY (day, provider, model)
) STRICT, WITHOUT ROWID;
