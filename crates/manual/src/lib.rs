//! Manual pages and shell completions of a program, from the definition of its command line.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_complete::{Shell, generate};

/// Writes the manual pages of `command` and its subcommands, and completions for Bash, Zsh and
/// fish, where these look for them below `share`: `man/man1`, `bash-completion/completions`,
/// `zsh/site-functions` and `fish/vendor_completions.d`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(command: &Command, share: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)?;
    for (shell, file) in [
        (Shell::Bash, PathBuf::from("bash-completion/completions").join(&name)),
        (Shell::Zsh, Path::new("zsh/site-functions").join(format!("_{name}"))),
        (Shell::Fish, Path::new("fish/vendor_completions.d").join(format!("{name}.fish"))),
    ] {
        let path = share.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut script = Vec::new();
        generate(shell, &mut command.clone(), &name, &mut script);
        fs::write(path, script)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn pages_and_completions_name_options_and_subcommands() {
        let command = Command::new("shop")
            .about("Sells things")
            .arg(Arg::new("speed").long("speed").help("How fast"))
            .subcommand(Command::new("sell").about("Sell one"));
        let folder = tempfile::tempdir().unwrap();
        write(&command, folder.path()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        let page = read("man/man1/shop.1");
        assert!(page.contains("Sells things") && page.contains("How fast"), "{page}");
        assert!(read("man/man1/shop-sell.1").contains("Sell one"));
        for file in [
            "bash-completion/completions/shop",
            "zsh/site-functions/_shop",
            "fish/vendor_completions.d/shop.fish",
        ] {
            let script = read(file);
            assert!(script.contains("speed") && script.contains("sell"), "{file}");
        }
    }
}
