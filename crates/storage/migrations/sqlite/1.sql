CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('items', 0);

CREATE TABLE items (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    categories TEXT NOT NULL,
    brand TEXT NOT NULL,
    description TEXT NOT NULL,
    year INTEGER,
    price REAL,
    attributes TEXT NOT NULL,
    available INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER,
    revision INTEGER NOT NULL,
    search_text TEXT NOT NULL
) STRICT;
CREATE INDEX items_by_revision ON items (revision);
CREATE INDEX items_by_created ON items (created, id) WHERE deleted IS NULL;

CREATE VIRTUAL TABLE item_search USING fts5 (
    search_text, content = 'items', content_rowid = 'number', tokenize = "unicode61 remove_diacritics 0"
);
CREATE TRIGGER items_inserted AFTER INSERT ON items BEGIN
    INSERT INTO item_search (rowid, search_text) VALUES (new.number, new.search_text);
END;
CREATE TRIGGER items_updated AFTER UPDATE OF search_text ON items
WHEN old.search_text <> new.search_text BEGIN
    INSERT INTO item_search (item_search, rowid, search_text)
    VALUES ('delete', old.number, old.search_text);
    INSERT INTO item_search (rowid, search_text) VALUES (new.number, new.search_text);
END;
CREATE TRIGGER items_deleted AFTER DELETE ON items BEGIN
    INSERT INTO item_search (item_search, rowid, search_text)
    VALUES ('delete', old.number, old.search_text);
END;

CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    at INTEGER NOT NULL,
    received INTEGER NOT NULL,
    recommendation TEXT,
    UNIQUE (session, id)
) STRICT;
CREATE INDEX events_by_received ON events (received);

CREATE TABLE disagreements (
    number INTEGER PRIMARY KEY,
    received INTEGER NOT NULL,
    disagreement REAL NOT NULL
) STRICT;

CREATE TABLE forgotten_users (
    name_sha256 TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE activations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    release TEXT NOT NULL,
    previous TEXT,
    caller TEXT NOT NULL
) STRICT;
