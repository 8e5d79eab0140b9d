-- The keys of all servers of this database: their hashes, not their texts.
CREATE TABLE keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    origins TEXT NOT NULL,
    requests_per_minute INTEGER CHECK (requests_per_minute BETWEEN 1 AND 4294967295),
    created TEXT
) STRICT;
-- How often they have changed.
INSERT INTO counters VALUES ('keys', 0);
