use tandem_protocol::ItemId;

use super::{metadata::*, *};
use crate::gguf::Metadata;

/// A decoder over three items with one block and `dims` 4; every block weight is `fill`.
fn small(fill: f32) -> ItemTokenModel {
    let shape = DecoderConfig {
        dims: 4,
        blocks: 1,
        heads: 2,
        kv_heads: 1,
        feed_forward: 32,
        max_length: 5,
        rope_base: 10_000.0,
        norm_epsilon: 1e-5,
    };
    let of = |count: usize| vec![fill; count];
    ItemTokenModel {
        name: "small".to_owned(),
        catalogue_hash: "abc".to_owned(),
        item_ids: ["x", "y", "z"].map(ItemId::new).to_vec(),
        provenance: vec![("seed".to_owned(), "7".to_owned())],
        shape,
        token_embedding: (0..12_u8).map(f32::from).collect(),
        blocks: vec![Block {
            attn_norm: of(4),
            attn_q: of(16),
            attn_k: of(8),
            attn_v: of(8),
            attn_output: of(16),
            ffn_norm: of(4),
            ffn_gate: of(128),
            ffn_up: of(128),
            ffn_down: of(128),
        }],
        output_norm: of(4),
        output: None,
    }
}

#[test]
fn the_metadata_names_engine_catalogue_and_shape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    small(1.0).write(&path, Encoding::Q8_0).unwrap();
    let read = Metadata::read(&path).unwrap();
    assert_eq!(engine_of(&read), Some("item-tokens"));
    let expected = ItemTokenMetadata {
        catalogue_hash: "abc".to_owned(),
        items: 3,
        vocabulary: 4,
        max_length: 5,
    };
    assert_eq!(ItemTokenMetadata::read(&read, &path).unwrap(), expected);
    let ids: Vec<_> =
        read.values["tandem.item_ids"].as_array().unwrap().iter().map(|v| v.as_str()).collect();
    assert_eq!(ids, [Some("x"), Some("y"), Some("z")]);
    assert_eq!(read.text("tandem.training.seed"), Some("7"));
    let tensor = |name: &str| read.tensors.iter().find(|tensor| tensor.name == name).unwrap();
    // Rows of 4 do not fill a block of 32: F16 (1). Rows of 32 do: Q8_0 (8). Norms are F32 (0).
    assert_eq!(
        (tensor("token_embd.weight").encoding, tensor("blk.0.ffn_down.weight").encoding),
        (1, 8)
    );
    assert_eq!(tensor("blk.0.attn_norm.weight").encoding, 0);
    assert_eq!(tensor("token_embd.weight").dims, [4, 4]);
    assert_eq!(tensor("blk.0.ffn_down.weight").dims, [32, 4]);
    assert!(read.tensors.iter().all(|tensor| tensor.name != "output.weight"), "tied");
}

#[test]
fn the_row_of_the_unknown_token_is_the_mean_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    small(1.0).write(&path, Encoding::F32).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let numbers: Vec<u8> = [8.0_f32, 9.0, 10.0, 11.0, 4.0, 5.0, 6.0, 7.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert!(bytes.windows(numbers.len()).any(|window| window == numbers));
}

#[test]
fn an_inconsistent_model_is_refused_by_tensor_name_and_writes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    let refused = |change: &dyn Fn(&mut ItemTokenModel), name: &str| {
        let mut model = small(1.0);
        change(&mut model);
        let message = model.write(&path, Encoding::F32).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    };
    refused(&|m| m.shape.heads = 4, "even");
    refused(&|m| m.shape.kv_heads = 3, "kv_heads");
    refused(&|m| m.shape.max_length = 0, "max_length");
    refused(&|m| m.shape.blocks = 2, "2 blocks");
    refused(&|m| m.item_ids.clear(), "token_embd");
    refused(&|m| m.token_embedding.truncate(8), "token_embd.weight");
    refused(&|m| m.blocks[0].attn_k.push(0.0), "blk.0.attn_k.weight");
    refused(&|m| m.blocks[0].ffn_norm[3] = f32::NAN, "blk.0.ffn_norm.weight");
    refused(&|m| m.output = Some(vec![0.0; 4]), "output.weight");
}

#[test]
fn a_written_model_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    let mut model = small(0.5);
    model.shape.norm_epsilon = f64::from(1e-5_f32);
    for output in [None, Some((0..12_u8).map(|value| -f32::from(value)).collect())] {
        model.output = output;
        for encoding in [Encoding::F32, Encoding::F16] {
            model.write(&path, encoding).unwrap();
            assert_eq!(
                ItemTokenModel::read(&path).unwrap(),
                model,
                "these values are exact in F16"
            );
        }
    }
    model.write(&path, Encoding::Q8_0).unwrap();
    let read = ItemTokenModel::read(&path).unwrap();
    for (found, expected) in read.blocks[0].ffn_down.iter().zip(&model.blocks[0].ffn_down) {
        assert!((found - expected).abs() < 0.5 / 127.0, "{found}");
    }
}
