-- The availability of an item has no index on what a change of it writes, and its page has room for
-- another version of each row: a change of many items then writes no index (a HOT update).
DROP INDEX item_availability_by_revision;
ALTER TABLE item_availability DROP COLUMN revision;
ALTER TABLE item_availability SET (fillfactor = 45);

-- Which items have changed, for the servers that follow: one row for each statement. Old rows are
-- removed; the counter has the newest revision that was.
CREATE TABLE availability_changes (
    revision BIGINT NOT NULL,
    available BOOLEAN NOT NULL,
    changed BIGINT NOT NULL,
    items BIGINT[] NOT NULL,
    PRIMARY KEY (revision, available)
);
INSERT INTO counters VALUES ('availability_removed', 0);
