use tandem_collaboration::{Policy, Trigger};
use tandem_model::LearningConfig;
use tandem_session::Settings;

use crate::{EvaluationError, SessionReplay, Sessions};

/// A choice of learning rates, and its quality on validation sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningTrial {
    /// The learning rates.
    pub config: LearningConfig,
    /// NDCG@10 without a call after the first list.
    pub never: f64,
    /// NDCG@10 with a call after every click.
    pub always: f64,
}

/// Tries four choices of learning rates on sessions in which the device learns: none, those
/// of the settings, the preference alone, and those of the settings with twice the rate of
/// the preference.
///
/// # Errors
/// As [`SessionReplay::run`].
pub fn fit_learning(
    replay: &SessionReplay<'_>,
    sessions: &Sessions,
    settings: &Settings,
) -> Result<Vec<LearningTrial>, EvaluationError> {
    let usual = &settings.learning;
    let preference = LearningConfig { row_rate: 0.0, adapter_rate: 0.0, ..usual.clone() };
    let nothing = LearningConfig { preference_rate: 0.0, ..preference.clone() };
    let twice = LearningConfig { preference_rate: 2.0 * usual.preference_rate, ..usual.clone() };
    let sessions = sessions.learning(true);
    let ndcg10 = |config: &LearningConfig, trigger| {
        let (learning, policy) = (config.clone(), Policy::bare(trigger));
        let settings = Settings { learning, policy, ..settings.clone() };
        Ok::<_, EvaluationError>(replay.run(&sessions, &settings, "learning")?.ndcg10)
    };
    [nothing, usual.clone(), preference, twice]
        .into_iter()
        .map(|config| {
            let never = ndcg10(&config, Trigger::Never)?;
            let always = ndcg10(&config, Trigger::Always)?;
            Ok(LearningTrial { config, never, always })
        })
        .collect()
}

/// The trial with the highest sum of both figures; of equals the first.
#[must_use]
pub fn best_learning(trials: &[LearningTrial]) -> Option<&LearningConfig> {
    let value = |trial: &LearningTrial| trial.never + trial.always;
    let best =
        trials.iter().reduce(|best, other| if value(other) > value(best) { other } else { best });
    best.map(|trial| &trial.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_sum_wins_and_the_first_of_equals() {
        let trial = |preference_rate, never, always| LearningTrial {
            config: LearningConfig { preference_rate, ..LearningConfig::default() },
            never,
            always,
        };
        let trials = [trial(0.0, 0.25, 0.5), trial(1.0, 0.5, 0.5), trial(2.0, 0.25, 0.75)];
        assert_eq!(best_learning(&trials), Some(&trials[1].config));
        assert_eq!(best_learning(&[]), None);
    }
}
