//! Converts a GGUF file to another quantisation: `requantise FROM TO q4_0|q8_0`.

use std::path::Path;

use tandem_generator::llama::{Quantisation, requantise};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, format] = arguments.as_slice() else {
        return Err("expected: requantise FROM TO q4_0|q8_0".into());
    };
    let format = match format.as_str() {
        "q4_0" => Quantisation::Q4_0,
        "q8_0" => Quantisation::Q8_0,
        other => return Err(format!("expected q4_0 or q8_0, found {other}").into()),
    };
    requantise(Path::new(from), Path::new(to), format)?;
    Ok(())
}
