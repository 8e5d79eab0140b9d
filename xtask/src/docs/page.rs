//! Commands in the fenced `sh` blocks of a page, as a shell sees them.
//!
//! A real `sh` runs the blocks, one after another, so variables, loops and line continuations
//! work as documented. Its `PATH` holds only recorders: scripts that write down their name and
//! arguments and succeed. Any other program is an error.

use std::{ffi::OsString, fmt::Write as _, fs, path::Path};

use crate::{failure::Failure, process::Program};

/// Programs that pages may use.
pub(super) const PROGRAMS: [&str; 6] = ["tandem", "cloud-server", "cargo", "npm", "node", "curl"];

/// One command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// The first line of its block in the page, from 1.
    pub(super) line: usize,
}

impl Command {
    pub(super) fn text(&self) -> String {
        let mut text = self.program.clone();
        for arg in &self.args {
            text.push(' ');
            text.push_str(arg);
        }
        text
    }
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    line: usize,
    text: String,
}

/// The `sh` blocks of a page. A block of another kind that begins with one of [`PROGRAMS`] is an
/// error, because it would not be tested.
pub(super) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```") else { continue };
        let mut text = String::new();
        for (_, line) in
            lines.by_ref().take_while(|(_, line)| !line.trim_start().starts_with("```"))
        {
            text.push_str(line);
            text.push('\n');
        }
        let line = number + 2;
        let first = text.split_whitespace().next().unwrap_or_default();
        if kind == "sh" {
            found.push(Block { line, text });
        } else if PROGRAMS.contains(&first) {
            return Err(format!("line {line}: a block with commands must begin with ```sh"));
        }
    }
    Ok(found)
}

/// Separates the arguments of a recorded command, and ends it.
const NEXT: char = '\u{1}';
const END: char = '\u{2}';

/// The commands of `blocks`, run in `folder`.
pub(super) fn commands(blocks: &[Block], folder: &Path) -> Result<Vec<Command>, Failure> {
    let scratch = tempfile::tempdir().map_err(Failure::file(std::env::temp_dir()))?;
    let recorded = scratch.path().join("recorded");
    let path = recorders(scratch.path())?;
    let mut script = "set -eu\n".to_owned();
    for block in blocks {
        // Writing to a string does not fail.
        let _ = write!(script, "BLOCK={}; export BLOCK\n{}", block.line, block.text);
    }
    let (_, status) = Program::new("the commands of a page", "/bin/sh")
        .args(["-c", &script])
        .dir(folder)
        .env("PATH", path)
        .env("RECORDED", &recorded)
        .collect_quietly()?;
    let text = fs::read_to_string(&recorded).unwrap_or_default();
    let commands: Vec<Command> = text.split_terminator(END).filter_map(read).collect();
    if status.success() {
        return Ok(commands);
    }
    let line = commands.last().map_or(0, |command| command.line);
    Err(Failure::Check(format!(
        "a command of the block at line {line} or the next is not one of {}, or is not valid sh",
        PROGRAMS.join(", ")
    )))
}

fn read(record: &str) -> Option<Command> {
    let mut fields = record.split(NEXT).map(str::to_owned);
    let line = fields.next()?.parse().ok()?;
    Some(Command { line, program: fields.next()?, args: fields.collect() })
}

/// Writes a recorder for each of [`PROGRAMS`], and `cat` for `$(cat …)`; returns the `PATH`.
fn recorders(folder: &Path) -> Result<OsString, Failure> {
    let programs = folder.join("bin");
    fs::create_dir(&programs).map_err(Failure::file(&programs))?;
    let record = format!(
        "#!/bin/sh\n\
         {{ printf %s \"$BLOCK\"; for word in \"${{0##*/}}\" \"$@\"; do printf '{}%s' \"$word\"; \
         done; printf '{}'; }} >> \"$RECORDED\"\n",
        octal(NEXT),
        octal(END)
    );
    for program in PROGRAMS {
        executable(&programs.join(program), &record)?;
    }
    executable(&programs.join("cat"), "#!/bin/sh\nPATH=/usr/bin:/bin exec cat \"$@\"\n")?;
    Ok(programs.into_os_string())
}

fn octal(separator: char) -> String {
    format!("\\{:03o}", u32::from(separator))
}

fn executable(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(Failure::file(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(Failure::file(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(page: &str) -> Result<Vec<String>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("current"), "r1").unwrap();
        let blocks = blocks(page).map_err(Failure::Check)?;
        let commands = commands(&blocks, folder.path())?;
        Ok(commands.iter().map(|command| format!("{}: {}", command.line, command.text())).collect())
    }

    #[test]
    fn a_shell_expands_the_commands_of_a_page() {
        let page = "\
            Text `tandem not this`.\n\
            ```sh\n\
            RECIPE=\"--a 1 \\\n    --b\"   # comment\n\
            tandem train $RECIPE\n\
            ```\n\
            ```json\n{}\n```\n\
            ```sh\n\
            for N in 20 10; do\n    tandem lists --out h$N; done\n\
            curl -s /$(cat current) -d '{\"a\": [\"1\"]}'\n\
            ```\n";
        assert_eq!(
            recorded(page).unwrap(),
            [
                "3: tandem train --a 1 --b",
                "11: tandem lists --out h20",
                "11: tandem lists --out h10",
                "11: curl -s /r1 -d {\"a\": [\"1\"]}",
            ]
        );
    }

    #[test]
    fn unknown_programs_and_untagged_blocks_are_refused() {
        let error = recorded("```sh\ntandem a\nwget b\n```\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("not one of tandem"), "{error}");
        let error = recorded("```\ncloud-server --gguf m\n```\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("```sh"), "{error}");
    }
}
