//! Services that some tests use: databases and queues on this machine, and simulations of S3 and of
//! Azure Blob Storage.
//! Tests of a service that is not there are skipped.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use crate::{failure::Failure, process::Program, progress::say, workspace::Workspace};

/// Names and ports of the services on this machine.
const SERVICES: [(&str, u16); 3] = [("PostgreSQL", 5432), ("Redis", 6379), ("NATS", 4222)];
/// Simulates the API of S3 (Apache-2.0).
const MOTO: &str = "moto[server]==5.2.5";
/// Simulates Azure Blob Storage (MIT).
const AZURITE: &str = "azurite@3.37.0";

/// Fails if a service does not answer.
pub(crate) fn require() -> Result<(), Failure> {
    let answers = |port: u16| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
    };
    let missing: Vec<String> = SERVICES
        .iter()
        .filter(|(_, port)| !answers(*port))
        .map(|(name, port)| format!("{name} on 127.0.0.1:{port}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Machine(format!(
        "missing: {}. Start them, or leave out --services to skip their tests",
        missing.join(", ")
    )))
}

/// The program that simulates S3, in a Python environment of its own that is made if it is missing.
/// `None`, with a warning, where that fails.
pub(crate) fn s3_server(workspace: &Workspace) -> Result<Option<PathBuf>, Failure> {
    let folder = workspace.assets().join("moto");
    let program =
        folder.join(if cfg!(windows) { "Scripts/moto_server.exe" } else { "bin/moto_server" });
    let stamp = folder.join("requirement");
    if program.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == MOTO) {
        return Ok(Some(program));
    }
    say("Installing", format!("{MOTO} for the tests of object stores"));
    let python = if cfg!(windows) { "python" } else { "python3" };
    let make = || -> Result<(), Failure> {
        Program::new("python3 -m venv", python)
            .args(["-m", "venv", "--clear"])
            .arg(&folder)
            .run()?;
        let pip = folder.join(if cfg!(windows) { "Scripts/pip.exe" } else { "bin/pip" });
        Program::new("pip install moto", pip)
            .args(["install", "--quiet", "--no-input", "--disable-pip-version-check", MOTO])
            .run()?;
        fs::write(&stamp, MOTO).map_err(Failure::file(&stamp))
    };
    match make() {
        Ok(()) => Ok(Some(program)),
        Err(Failure::Interrupted) => Err(Failure::Interrupted),
        Err(failure) => {
            eprintln!("warning: no tests of object stores over S3: {failure}");
            Ok(None)
        }
    }
}

/// The program that simulates Azure Blob Storage, in a folder of its own that is made if it is
/// missing. Its packages are large (360 MB), so only `--services` asks for it.
pub(crate) fn azure_server(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let folder = workspace.assets().join("azurite");
    let name = if cfg!(windows) { "azurite-blob.cmd" } else { "azurite-blob" };
    let program = folder.join("node_modules/.bin").join(name);
    let stamp = folder.join("requirement");
    if program.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == AZURITE) {
        return Ok(program);
    }
    say("Installing", format!("{AZURITE} for the tests of object stores"));
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    Program::new("npm install azurite", "npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&folder)
        .arg(AZURITE)
        .run()?;
    fs::write(&stamp, AZURITE).map_err(Failure::file(&stamp))?;
    Ok(program)
}
