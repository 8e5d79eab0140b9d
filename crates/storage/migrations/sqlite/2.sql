-- What the shop says of an item's availability, apart from its texts: a change of many items then
-- writes a few bytes for each. An item without a row is available.
CREATE TABLE item_availability (
    item INTEGER PRIMARY KEY,
    available INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO item_availability
SELECT number, available, updated, revision FROM items WHERE available = 0 AND deleted IS NULL;
CREATE INDEX item_availability_by_revision ON item_availability (revision, item);
ALTER TABLE items DROP COLUMN available;

-- Whether an id is one of a deleted item, without reading the item.
CREATE INDEX items_deleted ON items (id, deleted) WHERE deleted IS NOT NULL;
