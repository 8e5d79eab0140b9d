//! `tandem publish`: what is said about a wrong folder or address.

use crate::Bench;

#[test]
fn a_folder_without_a_release_is_explained() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.write("file", "");
    for (out, part) in
        [("nope", "does not exist"), ("empty", "has no such file"), ("file", "is a file")]
    {
        let said = bench.failed(2, &format!("publish --out {out} --to file:///nowhere"));
        let expected = "expected the folder of a recommender with the file `current`";
        assert!(said.contains(expected) && said.contains(part), "{said}");
        assert!(said.starts_with(out), "{said}");
    }
}

#[test]
fn a_store_with_a_slash_too_few_is_named() {
    let bench = Bench::new();
    let said = bench.failed(2, "publish --out x --release 0000000000000001 --to s3:/shop");
    assert!(said.contains("--to: expected `s3://BUCKET/PREFIX`"), "{said}");
    assert!(said.contains("no two slashes after `s3:`"), "{said}");
}
