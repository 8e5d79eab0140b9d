use tandem_collaboration::{Fusion, Policy};
use tandem_protocol::LanguageModelCalibration;

use crate::{Session, SessionError};

/// Fusion and policy for the lists of one language model.
pub type Calibration = LanguageModelCalibration<Fusion, Policy>;

/// Calibrations by language model, and the model that is chosen to make the lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibrations {
    known: Vec<Calibration>,
    chosen: Option<String>,
}

impl Calibrations {
    pub(crate) fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    fn of(&self, model: &str) -> Option<&Calibration> {
        self.known.iter().find(|calibration| calibration.name == model)
    }
}

impl Session {
    /// Sets fusion and policy per language model. They apply while a list of that model is in
    /// use; lists of other models use the session's settings. The limit of calls over time
    /// belongs to the device and is always that of the session's settings.
    ///
    /// # Errors
    /// [`SessionError::Collaboration`] for parameters out of range; the previous calibrations
    /// then stay.
    pub fn calibrate(&mut self, calibrations: Vec<Calibration>) -> Result<(), SessionError> {
        for calibration in &calibrations {
            calibration.fusion.validate()?;
            calibration.policy.validate()?;
        }
        self.calibrations.known = calibrations;
        Ok(())
    }

    /// Chooses the language model that makes the next lists; `None` for the server's first.
    /// The list in use stays until the next one.
    pub fn choose_language_model(&mut self, name: Option<String>) {
        self.calibrations.chosen = name;
    }

    /// Fusion for the list in use.
    pub(crate) fn fusion(&self) -> &Fusion {
        self.calibration().map_or(&self.settings.fusion, |calibration| &calibration.fusion)
    }

    /// Policy for the list in use.
    pub(crate) fn policy(&self) -> &Policy {
        self.calibration().map_or(&self.settings.policy, |calibration| &calibration.policy)
    }

    fn calibration(&self) -> Option<&Calibration> {
        self.calibrations.of(self.list.as_ref()?.model())
    }
}
