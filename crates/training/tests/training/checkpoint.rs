//! The file of a trained small model.

use std::collections::HashMap;

use futures_lite::future::block_on;
use tandem_model::{Body, Checkpoint, Device, ItemTable, Scorer};

use super::{KINDS, config, within};

#[test]
fn a_checkpoint_scores_as_its_parts() {
    for kind in KINDS {
        let config = config(kind, 8, 1, 2);
        let rows: Vec<f32> = (0..5 * 8).map(|at| (at as f32 * 0.7).sin()).collect();
        let device = Device::flex();
        device.seed(2);
        let body = Body::new(&config, 0.0, &device).unwrap();
        let checkpoint = Checkpoint {
            body: body.to_bytes(&HashMap::new()).unwrap(),
            items: ItemTable::quantise(&rows, 8).unwrap(),
            catalogue_hash: "hash".into(),
            text: None,
            counts: None,
            left_out: None,
            provenance: "test".into(),
            config,
        };
        let read = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap();
        assert_eq!(read.config.kind, kind);
        let scores = |checkpoint: &Checkpoint| {
            let scorer = Scorer::new(&checkpoint.config, &checkpoint.body).unwrap();
            let row = checkpoint.items.row(1).unwrap().unwrap();
            let row: Vec<f32> = row.values().collect();
            block_on(scorer.score(&rows[..16], &row)).unwrap()
        };
        within(&scores(&read), &scores(&checkpoint), 1e-6);
    }
}
