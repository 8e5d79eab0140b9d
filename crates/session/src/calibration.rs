use tandem_collaboration::{Fusion, Policy};
use tandem_protocol::LanguageModelCalibration;

use crate::{Session, SessionError};

/// Fusion and policy for the lists of one language model.
pub type Calibration = LanguageModelCalibration<Fusion, Policy>;

/// What is known of the server's language models, and which one is to make the lists.
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
    /// What fusion and policy become while a list of one of these language models is in use:
    /// log-probabilities of another model deserve another weight. The settings hold for the
    /// lists of all others, and for the token bucket, which belongs to the device.
    ///
    /// # Errors
    /// [`SessionError::Collaboration`] for parameters that make no sense; what was known
    /// before then stays.
    pub fn calibrate(&mut self, calibrations: Vec<Calibration>) -> Result<(), SessionError> {
        for calibration in &calibrations {
            calibration.fusion.validate()?;
            calibration.policy.validate()?;
        }
        self.calibrations.known = calibrations;
        Ok(())
    }

    /// Which of the server's language models is to make the next lists; `None`: its first.
    /// The list in use stays until another comes.
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
        self.calibrations.of(&self.list.as_ref()?.model)
    }
}
