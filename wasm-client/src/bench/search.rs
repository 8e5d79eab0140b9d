//! Exact search in an item table, to measure its speed.

use js_sys::Float32Array;
use tandem_model::ItemTable;
use wasm_bindgen::prelude::*;

/// An item table to search.
#[wasm_bindgen]
#[derive(Debug)]
pub struct BenchTable(ItemTable);

#[wasm_bindgen]
impl BenchTable {
    /// Reads an item table file.
    ///
    /// # Errors
    /// If the file is not an item table.
    #[wasm_bindgen(constructor)]
    pub fn new(file: Vec<u8>) -> Result<BenchTable, JsError> {
        Ok(Self(ItemTable::from_bytes(file)?))
    }

    /// The best `k` rows for a query `[dims]`, best first: `k` positions, then `k` scores.
    ///
    /// # Errors
    /// If the query does not have the width of the table.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Float32Array, JsError> {
        let hits = self.0.top_k(query, k, |_| true)?;
        let positions = hits.iter().map(|hit| hit.position as f32);
        let found: Vec<f32> = positions.chain(hits.iter().map(|hit| hit.score)).collect();
        Ok(Float32Array::from(found.as_slice()))
    }
}
