//! Weight files are written and read, and other files are refused.

use std::collections::HashMap;

use burn::tensor::Device;
use tandem_model::{Body, ModelError, Scorer};
use tandem_protocol::ModelConfig;

use super::{KINDS, config, weights_of};

fn load(config: &ModelConfig, bytes: &[u8]) -> Result<(), ModelError> {
    Scorer::new(config, bytes).map(|_| ())
}

#[test]
fn weights_are_written_and_read() {
    for kind in KINDS {
        let config = config(kind, 8, 2, 2);
        let bytes = weights_of(&config, 1);
        let device = Device::flex();
        let body = Body::from_bytes(&config, &bytes, &device).unwrap();
        assert!(body.to_bytes(&HashMap::new()).unwrap() == bytes, "{kind:?}");
    }
}

#[test]
fn damaged_weights_are_refused() {
    for kind in KINDS {
        let config = config(kind, 8, 1, 2);
        let bytes = weights_of(&config, 1);
        assert_eq!(load(&config, &bytes), Ok(()));
        for cut in [0, 7, 100, bytes.len() / 2, bytes.len() - 3] {
            assert!(matches!(load(&config, &bytes[..cut]), Err(ModelError::Format(_))), "{cut}");
        }
        assert!(matches!(load(&config, b"<html>"), Err(ModelError::Format(_))));

        let mut nan = bytes.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = load(&config, &nan).unwrap_err();
        assert!(matches!(error, ModelError::NotFinite { .. }), "{error}");
        let file = safetensors::SafeTensors::deserialize(&nan).unwrap();
        let last = file
            .tensors()
            .into_iter()
            .find(|(_, tensor)| tensor.data().chunks(4).any(|word| word == f32::NAN.to_le_bytes()));
        let (name, _) = last.unwrap();
        assert!(error.to_string().contains(&name), "{error} does not name {name}");
    }
}

#[test]
fn weights_of_another_kind_or_shape_are_refused() {
    for kind in KINDS {
        let own = config(kind, 8, 1, 2);
        let bytes = weights_of(&own, 1);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let error = load(&ModelConfig { kind: other, ..own.clone() }, &bytes).unwrap_err();
            assert!(matches!(error, ModelError::MissingTensor { .. }), "{kind:?} {other:?}");
        }
        let deeper = ModelConfig { blocks: 2, ..own.clone() };
        assert!(matches!(load(&deeper, &bytes), Err(ModelError::MissingTensor { .. })));
        let wider = ModelConfig { dims: 16, ..own.clone() };
        assert!(matches!(load(&wider, &bytes), Err(ModelError::TensorShape { .. })));
        let uneven = ModelConfig { heads: 3, ..own.clone() };
        assert!(matches!(load(&uneven, &bytes), Err(ModelError::Config(_))));
        for (blocks, max_length) in [(0, 6), (5_000, 6), (1, 0), (1, 100_000)] {
            let config = ModelConfig { blocks, max_length, ..own.clone() };
            assert!(matches!(load(&config, &bytes), Err(ModelError::Config(_))));
        }
    }
}

#[test]
fn weights_of_another_maximum_length_are_read_only_without_position_embeddings() {
    for kind in KINDS {
        let own = config(kind, 8, 1, 2);
        let longer = ModelConfig { max_length: 9, ..own.clone() };
        let read = load(&longer, &weights_of(&own, 1));
        match kind {
            tandem_protocol::ModelKind::Gru4rec => assert_eq!(read, Ok(())),
            _ => assert!(matches!(read, Err(ModelError::TensorShape { .. }))),
        }
    }
}
