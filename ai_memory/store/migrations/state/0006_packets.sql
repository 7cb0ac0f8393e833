-- Who may push packets, who shares them, and packets that are not pages yet. A user is a text: the ids of users that are
-- made here are ULIDs. Of tokens, invites and codes only the SHA-256 is kept.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    display TEXT NOT NULL,
    email TEXT UNIQUE,                     -- NULL where nobody said one
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    label TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0        -- 1: deleted, but its pages may still be there
) STRICT;
CREATE UNIQUE INDEX teams_by_name ON teams (name) WHERE NOT gone;
CREATE TABLE team_members (
    team TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user TEXT NOT NULL,
    joined INTEGER NOT NULL,
    UNIQUE (team, user)
) STRICT;
CREATE INDEX team_members_by_user ON team_members (user);
CREATE TABLE invites (
    hash TEXT PRIMARY KEY,
    team TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    invited_by TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_by_user ON invites (invited_by, expires);
CREATE INDEX invites_by_team ON invites (team);

CREATE TABLE device_grants (
    device TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    access TEXT NOT NULL,                  -- what it asks for, as it says it
    expires INTEGER NOT NULL,
    interval INTEGER NOT NULL,             -- seconds between two questions of the device
    asked INTEGER NOT NULL DEFAULT 0,      -- when it last asked
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'denied')),
    user TEXT NOT NULL DEFAULT ''          -- who approved it
) STRICT, WITHOUT ROWID;
CREATE INDEX device_grants_by_end ON device_grants (expires);

-- Packets that were acknowledged and wait to become pages; of two with one id the later one holds.
CREATE TABLE packet_inbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    team TEXT NOT NULL,                    -- its id, '' for a personal packet
    project TEXT NOT NULL,                 -- where its page will be
    created TEXT NOT NULL,                 -- created_at in UTC
    created_at TEXT NOT NULL,
    goal TEXT NOT NULL,
    body TEXT NOT NULL                     -- the stored form
) STRICT;
CREATE INDEX packet_inbox_by_id ON packet_inbox (id);
CREATE INDEX packet_inbox_by_scope ON packet_inbox (team, owner);
CREATE INDEX packet_inbox_by_project ON packet_inbox (project);
