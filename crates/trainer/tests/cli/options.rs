//! Options: values out of range are refused before any work, and the help is complete.

use crate::{Bench, text};

/// Runs a command whose input files do not exist. A value that is refused before any work makes
/// no difference to the files, so the message must name the option and not a file.
fn refused(line: &str, option: &str) -> String {
    let bench = Bench::new();
    let output = bench.run(line);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    assert!(message.contains(&format!("for '{option} <")), "{line}: {message}");
    assert!(message.contains("expected "), "{line}: {message}");
    message
}

#[test]
fn values_out_of_range_are_refused_before_any_work() {
    const SRM: &str = "train srm --data none --out model";
    const CALIBRATE: &str = "calibrate --data none --srm none --lists none --out none --skip 10";
    const EVALUATE: &str = "evaluate --protocol session --data none";
    for minutes in ["inf", "nan", "-1", "1e300"] {
        refused(&format!("{SRM} --minutes={minutes}"), "--minutes");
        refused(&format!("{SRM} --checkpoint-minutes={minutes}"), "--checkpoint-minutes");
    }
    for option in [
        "--newest",
        "--refit",
        "--epochs",
        "--dims",
        "--batch",
        "--max-length",
        "--hold-out",
        "--validation-users",
        "--learning-rate",
    ] {
        refused(&format!("{SRM} {option} 0"), option);
    }
    refused(&format!("{SRM} --dropout 1.5"), "--dropout");

    let message = refused(&format!("{CALIBRATE} --budget 10"), "--budget");
    assert!(message.contains("share from 0 to 1"), "{message}");
    refused(&format!("{CALIBRATE} --clicks 0"), "--clicks");
    refused(&format!("{CALIBRATE} --horizon 0"), "--horizon");
    for ridge in ["0", "nan"] {
        refused(&format!("{CALIBRATE} --ridge {ridge}"), "--ridge");
    }

    refused(&format!("{EVALUATE} --clicks 0"), "--clicks");
    refused(&format!("{EVALUATE} --budgets 0.1,2"), "--budgets");

    for number in ["0", "256"] {
        let line = format!(
            "train counts-part --data none --srm none --out none --device-neighbours {number}"
        );
        let message = refused(&line, "--device-neighbours");
        assert!(message.contains("from 1 to 255"), "{message}");
    }

    let message =
        refused("export --data none --srm none --out none --cell-bytes 10", "--cell-bytes");
    assert!(message.contains("at least 1024"), "{message}");
}

#[cfg(feature = "llama")]
#[test]
fn values_of_language_model_commands_are_refused_before_any_work() {
    const LISTS: &str = "lists --gguf none --data none --out none";
    for option in ["--clicks", "--newest", "--users", "--k"] {
        refused(&format!("{LISTS} {option} 0"), option);
    }
    refused("train llm --data none --out none --minutes inf", "--minutes");
    for minutes in ["inf", "nan", "-1"] {
        refused(&format!("quickstart --events none --minutes={minutes}"), "--minutes");
        refused(&format!("retrain --out none --minutes={minutes}"), "--minutes");
    }
    for every in ["0s", "24", "nan", "-1h"] {
        refused(&format!("retrain --out none --every={every}"), "--every");
    }
    refused("quickstart --events none --max-bad-rows 2", "--max-bad-rows");
    refused("quickstart --events none --max-events-per-user-hour 0", "--max-events-per-user-hour");
    refused("train llm --data none --out none --blocks 0", "--blocks");
}

/// Each option of each subcommand is under a heading and has a help text.
#[test]
fn the_help_groups_every_option() {
    let bench = Bench::new();
    let mut commands = vec!["import", "train srm", "calibrate", "evaluate", "export", "forget"];
    commands.extend(["quickstart", "retrain", "publish"]);
    if cfg!(feature = "llama") {
        commands.extend(["train llm", "extend", "lists"]);
    }
    for command in commands {
        let help = bench.done(&format!("{command} -h"));
        let (_, options) = help.split_once("Usage:").unwrap();
        assert!(help.contains("Input and output:"), "{command}: {help}");
        let mut heading = "";
        for line in options.lines().skip(1) {
            if line.ends_with(':') && !line.starts_with(' ') {
                heading = line;
            } else if line.trim_start().starts_with("--") {
                assert_ne!(heading, "Options:", "{command}: `{line}` is under no heading");
                let names_only =
                    line.trim().split("  ").filter(|part| !part.is_empty()).count() < 2;
                assert!(!names_only, "{command}: `{line}` has no help text");
            }
        }
    }
}
