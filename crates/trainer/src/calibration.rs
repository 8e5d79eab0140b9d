//! The calibration file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tandem_collaboration::{Fusion, Policy};
use tandem_model::LearningConfig;
use tandem_protocol::{LanguageModelCalibration, LanguageModelInfo};

use crate::{failure::BadInput, write_atomically};

/// Mean share of clicks with a call to the cloud, unless something else is asked for.
pub(crate) const CALL_BUDGET: f64 = 0.1;

/// What `tandem calibrate` chooses on validation data and `tandem export` writes into the
/// manifest.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Calibration {
    pub(crate) fusion: Fusion,
    pub(crate) policy: Policy,
    pub(crate) learning: LearningConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) language_model: Option<LanguageModelInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) language_models: Vec<LanguageModelCalibration<Fusion, Policy>>,
}

/// Reads a calibration; the default one without a path.
pub(crate) fn read_calibration(path: Option<&Path>) -> Result<Calibration> {
    let Some(path) = path else { return Ok(Calibration::default()) };
    let bad = |error: &dyn std::fmt::Display| {
        BadInput(format!("{}: expected a calibration: {error}", path.display()))
    };
    let bytes = fs::read(path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let calibration: Calibration = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
    calibration.fusion.validate().map_err(|error| bad(&error))?;
    calibration.policy.validate().map_err(|error| bad(&error))?;
    calibration.learning.validate().map_err(|error| bad(&error))?;
    for model in &calibration.language_models {
        model.fusion.validate().map_err(|error| bad(&error))?;
        model.policy.validate().map_err(|error| bad(&error))?;
    }
    Ok(calibration)
}

/// Writes a calibration.
pub(crate) fn write_calibration(path: &Path, calibration: &Calibration) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(calibration)?;
    json.push(b'\n');
    write_atomically(path, &json).with_context(|| format!("cannot write {}", path.display()))
}
