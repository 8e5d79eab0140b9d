//! Generates the JavaScript and the type declarations of a compiled WebAssembly module.
//!
//! A program of its own, so that `cargo xtask` starts in seconds: the library is only compiled when a
//! module is.
//!
//! ```text
//! bind MODULE.wasm FOLDER NAME
//! ```

use std::{env, error::Error};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, folder, name] = arguments.as_slice() else {
        return Err("expected the arguments MODULE.wasm FOLDER NAME".into());
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name(name).typescript(true);
    bindgen.web(true)?.generate(folder)?;
    Ok(())
}
