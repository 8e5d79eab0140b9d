//! SIGINT and SIGTERM while a file is written.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{names, train};

/// A model whose file takes a while to write.
const LLM: &str = "train llm --data set --out llm.gguf --dims 512 --heads 4 --blocks 4 \
                   --encoding f32 --minutes 30 --patience 100000 --epochs 100000 \
                   --validation-users 1";

#[test]
fn an_interruption_while_a_gguf_is_written_leaves_no_partial_file() {
    for signal in ["-INT", "-TERM"] {
        let bench = train::bench();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(LLM.split_whitespace())
            .current_dir(bench.path("."))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let is_draft = |name: &String| name.contains("gguf") && name != "llm.gguf";
        while !names(&bench.path(".")).iter().any(is_draft) {
            assert!(started.elapsed() < Duration::from_mins(5), "no GGUF file was started");
            assert!(child.try_wait().unwrap().is_none(), "the training ended");
            thread::sleep(Duration::from_millis(1));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        let allowed = ["llm.gguf", "llm.gguf.checkpoint", "log.csv", "set"];
        let found = names(&bench.path("."));
        assert!(found.iter().all(|name| allowed.contains(&name.as_str())), "{signal}: {found:?}");
    }
}
