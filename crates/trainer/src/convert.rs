//! `tandem convert`: makes a GGUF file of a sentence embedder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tandem_generator::bert::convert_bert;

use crate::{
    gguf_encoding::GgufEncoding,
    values::{ADVANCED, FILES},
};

/// Options of `tandem convert`.
#[derive(Args, Debug)]
pub(crate) struct Convert {
    /// Folder of a BERT sentence embedder: config.json, model.safetensors, vocab.txt.
    #[arg(value_name = "FOLDER", help_heading = FILES)]
    folder: PathBuf,
    /// File of the model (.gguf).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Name of the model for people [default: the name of --out].
    #[arg(long, value_name = "TEXT", help_heading = ADVANCED)]
    name: Option<String>,
    /// Encoding of the matrices in the GGUF file.
    #[arg(long, value_enum, default_value_t = GgufEncoding::F16, help_heading = ADVANCED)]
    encoding: GgufEncoding,
}

pub(crate) fn run(args: &Convert) -> Result<()> {
    let stem = || args.out.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(stem).unwrap_or_default();
    convert_bert(&args.folder, &name, &args.out, args.encoding.into())?;
    println!("{}: {name}", args.out.display());
    Ok(())
}
