-- The keys of all servers of this database: their hashes, not their texts.
CREATE TABLE keys (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL UNIQUE,
    origins JSONB NOT NULL,
    requests_per_minute BIGINT CHECK (requests_per_minute BETWEEN 1 AND 4294967295),
    created TEXT
);
-- How often they have changed.
INSERT INTO counters VALUES ('keys', 0);
