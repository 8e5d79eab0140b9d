use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{
    encoding::{f16_to_f32, f32_to_f16},
    *,
};

fn sample(dir: &Path) -> PathBuf {
    let path = dir.join("sample.gguf");
    let mut writer = Writer::new("llama");
    writer
        .set("a.bool", true)
        .set("a.text", "Ünïcode")
        .set("a.numbers", vec![1_i32, -2, 3])
        .set("a.texts", vec!["x", ""])
        .set("a.float", 1.5_f32)
        .set("a.double", -2.5_f64)
        .set("a.large", u64::MAX)
        .set("a.bool", false);
    let values: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
    writer.tensor("first", &[3], Encoding::F32, &[1.0, 2.0, 3.0]).unwrap();
    writer.tensor("second", &[32, 2], Encoding::Q8_0, &values).unwrap();
    writer.tensor("third", &[4, 2], Encoding::F16, &values[..8]).unwrap();
    writer.write(&path).unwrap();
    path
}

#[test]
fn a_written_file_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(dir.path());
    let read = Metadata::read(&path).unwrap();
    assert_eq!(read.version, VERSION);
    assert_eq!(read.text("general.architecture"), Some("llama"));
    assert_eq!(read.text("a.text"), Some("Ünïcode"));
    assert_eq!(read.values["a.bool"], Value::Bool(false));
    assert_eq!(read.values["a.numbers"], Value::from(vec![1_i32, -2, 3]));
    assert_eq!(read.values["a.texts"].as_array().unwrap()[1].as_str(), Some(""));
    assert_eq!(read.values["a.float"], Value::F32(1.5));
    assert_eq!(read.values["a.double"], Value::F64(-2.5));
    assert_eq!(read.number("a.large"), Some(u64::MAX));
    let offsets: Vec<(&str, u64)> =
        read.tensors.iter().map(|t| (t.name.as_str(), t.offset)).collect();
    // 12 bytes pad to 32; two blocks of 34 bytes pad to 96.
    assert_eq!(offsets, [("first", 0), ("second", 32), ("third", 128)]);
    assert_eq!(read.tensors[1].dims, [32, 2]);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() % 32, 0);
    let data = &bytes[bytes.len() - 160..];
    assert_eq!(data[4..8], 2.0_f32.to_le_bytes());
    // The first block is -20..=11: its scale is 20 / 127, so -20 is stored as -127.
    assert_eq!(data[32..34], f32_to_f16(20.0 / 127.0).to_le_bytes());
    assert_eq!(data[34], (-127_i8).to_le_bytes()[0]);
    assert_eq!(data[128..130], f32_to_f16(-20.0).to_le_bytes());
}

#[test]
fn half_precision_rounds_to_nearest_even() {
    for (value, bits) in [
        (0.0, 0x0000),
        (-0.0, 0x8000),
        (1.0, 0x3c00),
        (-2.0, 0xc000),
        (65504.0, 0x7bff),
        (65519.0, 0x7bff),
        (65520.0, 0x7c00),
        (f32::INFINITY, 0x7c00),
        (f32::NEG_INFINITY, 0xfc00),
        // The smallest normal, the smallest subnormal, and half of it.
        (6.103_515_6e-5, 0x0400),
        (5.960_464_5e-8, 0x0001),
        (2.980_232_2e-8, 0x0000),
        // 1 + 2^-11 is a tie and rounds down to even; 1 + 3 * 2^-11 rounds up.
        (1.000_488_3, 0x3c00),
        (1.001_464_8, 0x3c02),
        (0.333_333_34, 0x3555),
    ] {
        assert_eq!(f32_to_f16(value), bits, "{value}");
    }
    assert_eq!(f32_to_f16(f32::NAN) & 0x7c00, 0x7c00);
    assert_ne!(f32_to_f16(f32::NAN) & 0x03ff, 0);
}

#[test]
fn files_of_other_formats_are_refused_with_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let check = |bytes: &[u8], expected: &str, found: &str| {
        std::fs::write(&path, bytes).unwrap();
        let message = Metadata::read(&path).unwrap_err().to_string();
        assert!(message.contains("x.gguf"), "{message}");
        assert!(message.contains(expected) && message.contains(found), "{message}");
    };
    check(b"", "magic bytes GGUF", "0 bytes");
    check(b"PK\x03\x04 a zip", "magic bytes GGUF", "PK");
    check(b"GGUF\x09\0\0\0", "version 2 or 3", "version 9");
    check(b"GGUF\x03\0\0\0\0\0", "8 more bytes", "2");
    let absurd = [b"GGUF\x03\0\0\0".as_slice(), &[0xff; 16]].concat();
    check(&absurd, "at most 0 tensors", "18446744073709551615");
    let error = Metadata::read(&dir.path().join("none")).unwrap_err();
    assert!(matches!(error, GgufError::Io { .. }) && error.blames_input(), "{error}");
}

#[test]
fn a_tensor_of_the_wrong_size_is_refused() {
    let mut writer = Writer::new("llama");
    let error = writer.tensor("w", &[2, 2], Encoding::F32, &[0.0; 3]).unwrap_err();
    assert!(error.to_string().contains("tensor w"), "{error}");
    assert!(writer.tensor("w", &[16, 2], Encoding::Q8_0, &[0.0; 32]).is_err());
}

proptest! {
    #[test]
    fn a_truncated_file_is_refused(cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path());
        let bytes = std::fs::read(&path).unwrap();
        // The last tensor has 16 bytes of data and 16 bytes of optional padding.
        let kept = cut.index(bytes.len() - 16);
        std::fs::write(&path, &bytes[..kept]).unwrap();
        prop_assert!(Metadata::read(&path).is_err());
    }
}

#[test]
fn tensors_are_read_back_in_every_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(dir.path());
    let read = Metadata::read(&path).unwrap();
    assert_eq!(read.tensor(&path, "first").unwrap(), [1.0, 2.0, 3.0]);
    let values: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
    assert_eq!(
        read.tensor(&path, "third").unwrap(),
        values[..8],
        "small integers are exact in F16"
    );
    let second = read.tensor(&path, "second").unwrap();
    assert_eq!(second.len(), 64);
    for (found, expected) in second.iter().zip(&values) {
        // Half a step of the block's scale, at most 43/127, plus the rounding of the scale.
        assert!((found - expected).abs() < 0.2, "{found} {expected}");
    }
    let error = read.tensor(&path, "fourth").unwrap_err().to_string();
    assert!(error.contains("a tensor fourth"), "{error}");
}

proptest! {
    #[test]
    fn half_precision_values_round_trip(bits in any::<u16>()) {
        let value = f16_to_f32(bits);
        prop_assume!(!value.is_nan());
        prop_assert_eq!(f32_to_f16(value), bits);
    }
}
