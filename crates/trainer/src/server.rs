//! The `cloud-server` program, which is installed beside `tandem`.

use std::{
    env,
    env::consts::EXE_SUFFIX,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::failure::BadInput;

/// A server that can be started.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    port: u16,
}

impl Server {
    /// Looks for the program beside this one and on the `PATH`, and checks the port.
    ///
    /// # Errors
    /// [`BadInput`] if there is no program, or the port is in use.
    pub(crate) fn find(port: u16) -> Result<Self, BadInput> {
        let name = format!("cloud-server{EXE_SUFFIX}");
        let own = env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
        let path = env::var_os("PATH").unwrap_or_default();
        let program = own
            .into_iter()
            .chain(env::split_paths(&path))
            .map(|folder| folder.join(&name))
            .find(|program| program.is_file())
            .ok_or_else(|| {
                BadInput(format!(
                    "--serve: expected `{name}` beside `tandem` or on the PATH, found none; install it with `cargo install --path cloud-server`, or run without --serve"
                ))
            })?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            BadInput(format!(
                "--serve: port {port} of 127.0.0.1 cannot be used ({error}); stop the program that uses it, or choose another with --port"
            ))
        })?;
        Ok(Self { program, port })
    }

    /// Becomes the server, which runs until it is stopped.
    pub(crate) fn run(self, release: &Path) -> Result<()> {
        std::io::stdout().flush()?;
        let mut command = Command::new(&self.program);
        command.arg("--release").arg(release).args(["--port", &self.port.to_string()]);
        let cannot = || format!("cannot start {}", self.program.display());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // Returns only if it fails. The server gets the signals of this process.
            Err(command.exec()).with_context(cannot)
        }
        #[cfg(not(unix))]
        {
            let status = command.status().with_context(cannot)?;
            anyhow::ensure!(status.success(), "cloud-server failed ({status})");
            Ok(())
        }
    }
}
