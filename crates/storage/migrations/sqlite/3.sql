-- Whether an item came from the catalogue of a release, and the shop has not sent it since: a later
-- release replaces its texts. Items from before count as sent by the shop.
ALTER TABLE items ADD COLUMN of_release INTEGER NOT NULL DEFAULT 0;
-- Which catalogue was copied last.
INSERT INTO counters VALUES ('catalogue', 0);
