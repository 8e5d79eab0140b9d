//! `tandem export`.

use std::{collections::HashMap, fmt::Write as _, fs, io::Read as _, path::PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tandem_collaboration::{Fusion, Policy};
use tandem_dataset::Dataset;
use tandem_model::{
    Body, Checkpoint, CountRows, Device, ItemTable, LearningConfig, Scorer,
    cells::{CellId, CellIndex},
};
use tandem_protocol::{Manifest, ModelConfig, ModelKind};

use crate::{Bench, names, text};

const EXPORT: &str = "export --data set --srm srm.safetensors --out artifacts";

/// A folder with a dataset and an untrained model of it.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.import_sample();
    let hash = Dataset::load(&bench.path("set")).unwrap().catalogue.hash().to_owned();
    bench.write("srm.safetensors", checkpoint(&hash, 6).to_bytes().unwrap());
    bench
}

fn checkpoint(catalogue_hash: &str, items: usize) -> Checkpoint {
    let config =
        ModelConfig { kind: ModelKind::Sasrec, dims: 8, blocks: 1, heads: 2, max_length: 5 };
    let body = Body::new(&config, 0.0, &Device::flex()).unwrap();
    let table: Vec<f32> = (0..items * 8).map(|value| (value as f32).sin()).collect();
    Checkpoint {
        config,
        body: body.to_bytes(&HashMap::new()).unwrap(),
        items: ItemTable::quantise(&table, 8).unwrap(),
        catalogue_hash: catalogue_hash.into(),
        text: None,
        counts: None,
        left_out: None,
        provenance: "untrained".into(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[nibble as usize]);
    Sha256::digest(bytes).iter().flat_map(digits).map(char::from).collect()
}

/// The folder that `current` names.
fn release(bench: &Bench) -> PathBuf {
    bench.path("artifacts").join(fs::read_to_string(bench.path("artifacts/current")).unwrap())
}

#[test]
fn a_release_is_what_its_manifest_says() {
    let bench = bench();
    bench.done(EXPORT);
    let release = release(&bench);
    let bytes = fs::read(release.join("manifest.json")).unwrap();
    assert_eq!(release.file_name().unwrap().to_str().unwrap(), &sha256(&bytes)[..16]);
    let manifest: Manifest<Fusion, Policy, LearningConfig> =
        serde_json::from_slice(&bytes).unwrap();
    assert_eq!((manifest.version, manifest.catalogue.items), (1, 6));
    assert_eq!((manifest.fusion, manifest.policy), (Fusion::default(), Policy::default()));
    assert_eq!(manifest.learning, LearningConfig::default());

    let mut expected = vec!["manifest.json".to_owned()];
    for artifact in [&manifest.body, &manifest.rows, &manifest.items] {
        let bytes = fs::read(release.join(&artifact.path)).unwrap();
        assert_eq!(sha256(&bytes), artifact.sha256);
        assert_eq!(bytes.len() as u64, artifact.bytes);
        assert!(artifact.path.contains(&artifact.sha256[..16]), "{}", artifact.path);
        expected.push(artifact.path.clone());
    }
    for artifact in [&manifest.body, &manifest.rows, &manifest.items] {
        let name = format!("{}.br", artifact.path);
        let Ok(copy) = fs::read(release.join(&name)) else { continue };
        let mut content = Vec::new();
        brotli::Decompressor::new(&*copy, 4096).read_to_end(&mut content).unwrap();
        assert_eq!(sha256(&content), artifact.sha256, "{name}");
        expected.push(name);
    }
    expected.sort();
    assert_eq!(names(&release), expected);

    // What the device will do with them.
    let body = fs::read(release.join(&manifest.body.path)).unwrap();
    Scorer::new(&manifest.model, &body).unwrap();
    let rows = ItemTable::from_bytes(fs::read(release.join(&manifest.rows.path)).unwrap()).unwrap();
    assert_eq!((rows.len(), rows.dims()), (6, 8));
    let items: Value =
        serde_json::from_slice(&fs::read(release.join(&manifest.items.path)).unwrap()).unwrap();
    let ids: Vec<_> = items.as_array().unwrap().iter().map(|item| &item["item"]).collect();
    assert_eq!(ids, ["10", "20", "30", "40", "50", "60"]);
    assert_eq!(items[0]["year"], Value::Null);
    assert!(items[0]["title"].is_string() && items[0]["genres"].is_array());
}

#[test]
fn counts_are_a_file_of_releases_that_search() {
    let bench = bench();
    let said = bench.done(
        "train counts-part --data set --srm srm.safetensors --out counted.safetensors --weight 0.25 --device-neighbours 2",
    );
    assert!(said.contains("counts of weight 0.2500"), "{said}");
    bench.done("export --data set --srm counted.safetensors --out artifacts");
    let release_folder = release(&bench);
    let manifest = || -> Manifest<Fusion, Policy, LearningConfig> {
        serde_json::from_slice(&fs::read(release(&bench).join("manifest.json")).unwrap()).unwrap()
    };
    let counts = manifest().counts.unwrap();
    assert!((counts.weight - 0.25).abs() < 1e-6);
    let bytes = fs::read(release_folder.join(&counts.rows.path)).unwrap();
    assert_eq!(sha256(&bytes), counts.rows.sha256);
    let rows = CountRows::from_bytes(bytes).unwrap();
    assert_eq!(rows.items(), 6);
    assert!((0..6).all(|item| rows.row(item).count() <= 2));
    assert!((0..6).any(|item| rows.row(item).count() > 0));

    // Devices ask a server for those that they need.
    bench.done("export --data set --srm counted.safetensors --out artifacts --search cells");
    assert_eq!(manifest().counts, Some(counts));
    assert!(manifest().search.unwrap().cells.is_some());

    bench.done("export --data set --srm counted.safetensors --out artifacts --search none");
    assert_eq!(manifest().counts, None);
}

#[test]
fn counts_without_their_conditions_are_refused() {
    const COUNTS: &str =
        "train counts-part --data set --srm srm.safetensors --out counted.safetensors --weight 1";
    let bench = bench();
    let said = bench.failed(2, &format!("{COUNTS} --neighbours 4"));
    assert!(
        said.contains("--neighbours of at least --device-neighbours, found 4 and 16"),
        "{said}"
    );
    bench.done(&format!("{COUNTS} --neighbours 4 --device-neighbours 4"));
    // Its weight was fitted without the text part.
    let said = bench.failed(
        2,
        "train text-part --data set --srm counted.safetensors --text none --out both.safetensors",
    );
    assert!(said.contains("counted.safetensors: expected a small model without counts"), "{said}");
    assert!(said.contains("tandem train counts-part"), "{said}");
}

#[test]
fn options_of_cells_are_named_if_there_are_none() {
    let bench = bench();
    let said = |options: &str| {
        let output = bench.run(&format!("{EXPORT} {options}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(said("--cell-bits 5").contains("--cell-bits and --cell-bytes have no effect"));
    assert!(said("--search none --cell-bytes 2048").contains("have no effect"));
    assert!(!said("--cell-bits 5 --search cells").contains("have no effect"));
    assert_eq!(said(""), "");
}

#[test]
fn exporting_again_changes_nothing_and_repairs_damage() {
    let bench = bench();
    bench.done(EXPORT);
    let first = release(&bench);
    bench.done(EXPORT);
    assert_eq!(release(&bench), first);
    let body = names(&first).into_iter().find(|name| name.starts_with("body-")).unwrap();
    let whole = fs::read(first.join(&body)).unwrap();
    fs::write(first.join(&body), &whole[..9]).unwrap();
    bench.done(EXPORT);
    assert_eq!(fs::read(first.join(&body)).unwrap(), whole);
    let folder = first.file_name().unwrap().to_str().unwrap().to_owned();
    // A release is named by its hash, which may sort before or after `current`.
    let mut expected = [folder, "current".to_owned()];
    expected.sort();
    assert_eq!(names(&bench.path("artifacts")), expected);
}

#[test]
fn a_calibration_goes_into_the_manifest() {
    let bench = bench();
    bench.done(EXPORT);
    let old = release(&bench);
    bench.write(
        "c.json",
        r#"{"fusion":{"rule":"paper","beta":2.0},"language_model":{"name":"tiny","sha256":"00"}}"#,
    );
    bench.done(&format!("{EXPORT} --calibration c.json"));
    let new = release(&bench);
    assert_ne!(old, new);
    assert!(old.exists(), "an older release stays for those who load it");
    let manifest: Value =
        serde_json::from_slice(&fs::read(new.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["fusion"]["beta"], 2.0);
    assert_eq!(manifest["language_model"]["name"], "tiny");
    let policy: Policy = serde_json::from_value(manifest["policy"].clone()).unwrap();
    assert_eq!(policy, Policy::default());

    for bad in ["{", r#"{"fuison":{}}"#, r#"{"policy":{"threshold":7.0}}"#] {
        bench.write("c.json", bad);
        let said = bench.failed(2, &format!("{EXPORT} --calibration c.json"));
        assert!(said.starts_with("c.json: expected a calibration: "), "{said}");
    }
    assert_eq!(release(&bench), new);
}

#[test]
fn a_model_that_does_not_fit_is_refused() {
    let bench = bench();
    let hash = Dataset::load(&bench.path("set")).unwrap().catalogue.hash().to_owned();
    let whole = fs::read(bench.path("srm.safetensors")).unwrap();
    let mut shallow = checkpoint(&hash, 6);
    shallow.config.blocks = 2;
    for (bytes, expected) in [
        (whole[..whole.len() - 1].to_vec(), "srm.safetensors: weight file"),
        (b"GGUF".to_vec(), "srm.safetensors: weight file"),
        (checkpoint("00", 6).to_bytes().unwrap(), "train it on this dataset"),
        (checkpoint(&hash, 5).to_bytes().unwrap(), "train it on this dataset"),
        (shallow.to_bytes().unwrap(), "is missing"),
    ] {
        bench.write("srm.safetensors", bytes);
        let said = bench.failed(2, EXPORT);
        assert!(said.contains(expected), "{said}");
    }
    fs::remove_file(bench.path("srm.safetensors")).unwrap();
    assert!(bench.failed(2, EXPORT).starts_with("cannot read srm.safetensors"));
    assert!(!bench.path("artifacts").exists());
}

fn manifest(bench: &Bench) -> Manifest<Fusion, Policy, LearningConfig> {
    serde_json::from_slice(&fs::read(release(bench).join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn popular_items_are_those_with_the_most_training_interactions() {
    let bench = bench();
    bench.done(EXPORT);
    // Training part: 10 20, 10, 20 30, 60 10. Equal counts in the order of the catalogue; 40 and
    // 50 have no interactions.
    let popular: Vec<String> = manifest(&bench).popular.iter().map(ToString::to_string).collect();
    assert_eq!(popular, ["10", "20", "30", "60"]);
    bench.done(&format!("{EXPORT} --popular 2"));
    assert_eq!(manifest(&bench).popular.len(), 2);
}

#[test]
fn the_size_of_the_table_decides_how_the_device_searches() {
    let bench = bench();
    let search = |options: &str| {
        bench.done(&format!("{EXPORT} {options}"));
        manifest(&bench).search.map(|search| (search.k, search.cells.is_some()))
    };
    // 6 items of 4 + 8 bytes and 8 bytes of sizes.
    assert_eq!(search(""), Some((100, false)));
    assert_eq!(search("--search none"), None);
    assert_eq!(search("--whole-limit-items 5"), Some((100, true)));
    assert_eq!(search("--whole-limit-bytes 79 --search-k 9"), Some((9, true)));
    assert_eq!(search("--whole-limit-bytes 80 --whole-limit-items 6"), Some((100, false)));
    assert_eq!(search("--whole-limit-items 5 --search whole"), Some((100, false)));
}

#[test]
fn cells_hold_the_rows_of_all_items_in_files_named_by_their_hash() {
    const ITEMS: usize = 300;
    let bench = Bench::new();
    let mut log = "user,item,timestamp\n".to_owned();
    for user in 0..60 {
        for step in 0..5 {
            writeln!(log, "{user},{},{step}", user * 5 + step).unwrap();
        }
    }
    bench.write("log.csv", log);
    bench.done("import --events log.csv --name large --out set");
    let dataset = Dataset::load(&bench.path("set")).unwrap();
    let checkpoint = checkpoint(dataset.catalogue.hash(), ITEMS);
    bench.write("srm.safetensors", checkpoint.to_bytes().unwrap());
    bench.done(&format!("{EXPORT} --search cells --cell-bytes 1024"));
    let first = release(&bench);
    bench.done(&format!("{EXPORT} --search cells --cell-bytes 1024"));
    assert_eq!(release(&bench), first, "the same cells again");

    let artifact = manifest(&bench).search.unwrap().cells.unwrap();
    let bytes = fs::read(first.join(&artifact.path)).unwrap();
    assert_eq!((sha256(&bytes), bytes.len() as u64), (artifact.sha256, artifact.bytes));
    let index = CellIndex::from_bytes(&bytes).unwrap();
    assert_eq!(index.items(), ITEMS as u64);
    assert_eq!(names(&first.join("cells")).len(), index.len(), "no other files");
    let mut found = 0;
    for cell in (0..index.len() as u32).map(CellId) {
        let file = fs::read(first.join(index.entry(cell).unwrap().path())).unwrap();
        assert!(file.len() <= 1024, "{}", file.len());
        let cell = index.open(cell, &file).unwrap();
        for (at, id) in cell.ids().iter().enumerate() {
            let item = dataset.catalogue.items().iter().position(|item| item.id == *id).unwrap();
            assert_eq!(cell.rows().row(at), checkpoint.items.row(item));
            found += 1;
        }
    }
    assert_eq!(found, ITEMS);
}

#[test]
fn a_shop_where_things_are_bought_again_says_so_in_the_manifest() {
    let bench = bench();
    bench.done(EXPORT);
    assert!(!manifest(&bench).repeats);
    bench.done("import --events log.csv --name sample --out set --repeats keep");
    bench.done(EXPORT);
    assert!(manifest(&bench).repeats);
}
