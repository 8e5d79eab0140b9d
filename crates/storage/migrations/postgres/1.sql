CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters VALUES ('items', 0);

CREATE TABLE items (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    title TEXT NOT NULL,
    categories JSONB NOT NULL,
    brand TEXT NOT NULL,
    description TEXT NOT NULL,
    year BIGINT,
    price DOUBLE PRECISION,
    attributes JSONB NOT NULL,
    available BOOLEAN NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    deleted BIGINT,
    revision BIGINT NOT NULL,
    search_text TEXT NOT NULL,
    search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', search_text)) STORED
);
CREATE INDEX items_by_revision ON items (revision);
CREATE INDEX items_by_created ON items (created, id) WHERE deleted IS NULL;
CREATE INDEX items_by_search ON items USING GIN (search);

CREATE TABLE events (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    at BIGINT NOT NULL,
    received BIGINT NOT NULL,
    recommendation TEXT,
    UNIQUE (session, id)
);
CREATE INDEX events_by_received ON events (received);

CREATE TABLE disagreements (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received BIGINT NOT NULL,
    disagreement DOUBLE PRECISION NOT NULL
);

CREATE TABLE forgotten_users (
    name_sha256 TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);

CREATE TABLE activations (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    release TEXT NOT NULL,
    previous TEXT,
    caller TEXT NOT NULL
);
