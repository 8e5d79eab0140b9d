//! `tandem lists`.

use crate::Bench;

const LISTS: &str = "lists --gguf model.gguf --data set --out lists.jsonl --clicks 1";

#[test]
fn a_language_model_that_cannot_be_used_is_status_2() {
    let bench = Bench::new();
    bench.import_sample();
    let said = bench.failed(2, LISTS);
    assert!(said.starts_with("cannot read model.gguf: "), "{said}");
    bench.write("model.gguf", "<!doctype html>");
    let said = bench.failed(2, LISTS);
    assert!(said.starts_with("model.gguf is not a valid GGUF file: "), "{said}");
    assert!(!bench.path("lists.jsonl").exists());
}
