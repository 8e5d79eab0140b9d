//! `tandem embed` and `tandem fit-signals`.

use std::{fmt::Write as _, fs};

use tandem_dataset::Dataset;
use tandem_generator::{
    item_tokens::{DecoderConfig, Encoding},
    testing::{random_item_tokens, write_tiny_gguf},
};

use crate::{Bench, text};

const EMBED: &str = "embed --gguf embedder.gguf --data set --out text.safetensors";
const FIT: &str = "fit-signals --data set --gguf model.gguf --out signals";

/// A shop of 90 items in which visitors walk through neighbours, a language model of random
/// weights, and an embedding model.
fn bench() -> Bench {
    let bench = Bench::new();
    let (mut items, mut log) = ("item,title\n".to_owned(), "user,item,timestamp\n".to_owned());
    for item in 0..90 {
        writeln!(items, "{item},Item {item}").unwrap();
    }
    for user in 0..60 {
        for step in 0..8 {
            writeln!(log, "{user},{},{}", (user * 7 + step) % 90, 1_700_000_000 + step).unwrap();
        }
    }
    bench.write("items.csv", items);
    bench.write("log.csv", log);
    bench.done("import --events log.csv --catalogue items.csv --name shop --out set");
    let catalogue = Dataset::load(&bench.path("set")).unwrap().catalogue;
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    let model = random_item_tokens(&catalogue, shape, true, 5);
    model.write(&bench.path("model.gguf"), Encoding::F32).unwrap();
    write_tiny_gguf(&bench.path("embedder.gguf"), 3).unwrap();
    bench
}

/// Replaces the titles of the first `count` items of the catalogue, whose ids stay.
fn rename(bench: &Bench, count: usize) {
    let path = bench.path("set/catalogue.jsonl");
    let known = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = known.lines().map(str::to_owned).collect();
    for line in lines.iter_mut().filter(|line| line.contains("\"Item ")).take(count) {
        *line = line.replace("\"Item ", "\"Another ");
    }
    let changed = lines.join("\n") + "\n";
    assert_ne!(changed, known);
    fs::write(path, changed).unwrap();
}

#[test]
fn unknown_fields_of_a_template_are_refused_before_any_work() {
    let said = Bench::new().failed(2, &format!("{EMBED} --template {{title}}/{{Foo}}/{{brnad}}"));
    assert!(said.contains("found {Foo}, {brnad}"), "{said}");
    assert!(said.contains("{title}, {year}, {categories}, {brand}, {description}"), "{said}");
}

#[test]
fn the_report_has_the_signals_that_were_given() {
    let bench = bench();
    let output = bench.run(FIT);
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{noted}");
    assert!(said.contains("signals: language model 1, counts "), "{said}");
    assert!(!said.contains("text") && !said.contains("small model"), "{said}");
    assert!(said.contains("on the validation targets that the weights were fitted on"), "{said}");
    // The model has random weights, so that counts are all that matters: weight 2 is enough to
    // find every target, and no larger one is better.
    assert!(said.contains("counts 2,") && said.contains("NDCG@10 1.0000"), "{said}");
    assert!(!noted.contains("the largest that is tried"), "{noted}");

    bench.done(EMBED);
    let said = bench.done(&format!("{FIT} --text text.safetensors"));
    assert!(said.contains(", text ") && !said.contains("small model"), "{said}");
}

#[test]
fn vectors_of_other_texts_are_refused() {
    let bench = bench();
    bench.done(EMBED);
    let fit = format!("{FIT} --text text.safetensors");
    bench.done(&fit);
    rename(&bench, 90);
    let train = "train srm --data set --out srm.safetensors --minutes 0 --text text.safetensors";
    for line in [fit.as_str(), train] {
        let said = bench.failed(2, line);
        assert!(said.contains("text.safetensors: expected vectors of the texts"), "{said}");
        assert!(said.contains("90 of 90 texts have changed since"), "{said}");
        assert!(said.contains("run `tandem embed` again"), "{said}");
    }
    // Which embeds what has changed.
    bench.done(EMBED);
    bench.done(&fit);
}
