use serde::Serialize;

/// What one unit of work costs on one machine. Times are processor time of one core.
///
/// The defaults are measured; `docs/scaling.md` has the commands and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// Milliseconds of a list of item tokens that do not depend on the catalogue.
    pub list_ms: f64,
    /// Milliseconds of a list for each 1,000 items of the catalogue.
    pub list_ms_per_1000_items: f64,
    /// Items from which lists come from an index.
    pub indexed_items: f64,
    /// Milliseconds of a list from an index.
    pub indexed_list_ms: f64,
    /// Milliseconds of HTTP and JSON for a list.
    pub list_http_ms: f64,
    /// Milliseconds to accept and store the event of a click.
    pub event_ms: f64,
    /// Durable events in a second that one database takes.
    pub database_events_per_s: f64,
    /// Bytes of a candidate list on the wire, request and headers included.
    pub list_bytes: f64,
    /// Bytes of a stored event on the disk, indexes included.
    pub stored_event_bytes: f64,
    /// Bytes of the package's scripts and module, compressed.
    pub package_bytes: f64,
    /// Bytes of weights and catalogue-independent files of a release, compressed.
    pub body_bytes: f64,
    /// Bytes of an item that a device loads (row and item list), compressed.
    pub item_bytes: f64,
    /// Items up to which a device loads the whole table. Above, it loads an index and cells.
    pub whole_table_items: f64,
    /// Bytes of the index of cells for each item.
    pub index_bytes_per_item: f64,
    /// Bytes of cells that a visit loads: first click and later clicks together.
    pub cells_bytes_per_visit: f64,
    /// Bytes of memory of a server without a catalogue.
    pub server_memory: f64,
    /// Bytes of memory of a server for each item.
    pub memory_per_item: f64,
    /// Bytes of memory for each open connection.
    pub memory_per_connection: f64,
    /// Seconds that a connection stays open after its last request.
    pub keep_alive_s: f64,
}

impl Default for Costs {
    /// The measured costs of `docs/scaling.md`: an item-token model with counts, SQLite, Chromium.
    fn default() -> Self {
        Self {
            list_ms: 0.33,
            list_ms_per_1000_items: 0.031,
            indexed_items: 200_000.0,
            indexed_list_ms: 2.5,
            list_http_ms: 0.38,
            event_ms: 0.22,
            database_events_per_s: 6629.0,
            list_bytes: 2900.0,
            stored_event_bytes: 132.0,
            package_bytes: 276e3,
            body_bytes: 200e3,
            item_bytes: 103.0,
            whole_table_items: 20_000.0,
            index_bytes_per_item: 0.145,
            cells_bytes_per_visit: 410e3,
            server_memory: 65e6,
            memory_per_item: 1240.0,
            memory_per_connection: 14e3,
            keep_alive_s: 5.0,
        }
    }
}

impl Costs {
    /// Processor time of the model for one list, in milliseconds.
    #[must_use]
    pub fn list_ms_for(&self, items: f64) -> f64 {
        if items >= self.indexed_items {
            self.indexed_list_ms
        } else {
            self.list_ms + self.list_ms_per_1000_items * items / 1000.0
        }
    }

    /// Bytes that a device loads with a release: weights, and the whole item table or the index
    /// of its cells.
    #[must_use]
    pub fn release_bytes(&self, items: f64) -> f64 {
        let per_item = if items <= self.whole_table_items {
            self.item_bytes
        } else {
            self.index_bytes_per_item
        };
        self.body_bytes + per_item * items
    }

    /// Bytes of cells that a visit loads; 0 for devices with the whole table.
    #[must_use]
    pub fn cell_bytes(&self, items: f64) -> f64 {
        if items <= self.whole_table_items { 0.0 } else { self.cells_bytes_per_visit }
    }
}
