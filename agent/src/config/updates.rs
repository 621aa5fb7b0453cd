//! Settings of updates.

use std::path::Path;
use std::time::Duration;

use super::ConfigFaults;
use super::layers::Layers;
use super::validate::Check;
use crate::updates::{ReleaseKeys, UpdateSettings};

/// Where keys are looked for unless something else is said. It need not be there.
const RELEASE_KEYS: &str = "/etc/datasync/release-keys.d";
const TRIAL_SECONDS: &str = "600";

impl Layers {
    /// What is configured of updates. What else is configured is not looked at: it may be for a newer
    /// release, which is found by this.
    ///
    /// # Errors
    /// [`ConfigFaults`]
    pub fn update_settings(&self) -> Result<UpdateSettings, ConfigFaults> {
        let known = Self {
            given: self.given.clone(),
            faults: Vec::new(),
        };
        known.checked(Check::updates)
    }
}

impl Check {
    /// `None` only where a fault was noted.
    pub(super) fn updates(&mut self) -> Option<UpdateSettings> {
        let is_given = self.text("release_keys").is_some();
        let keys = if is_given || Path::new(RELEASE_KEYS).is_dir() {
            let read = |path: &str| {
                let keys = ReleaseKeys::read(Path::new(path))?;
                if is_given && keys.is_empty() {
                    return Err(format!("{path}: no key in it (files named *.pem)"));
                }
                Ok(keys)
            };
            self.or("release_keys", RELEASE_KEYS, read)
        } else {
            Some(ReleaseKeys::default())
        };
        let trial = self.or("update_trial_seconds", TRIAL_SECONDS, trial);
        Some(UpdateSettings {
            keys: keys?,
            trial: trial?,
        })
    }
}

fn trial(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 5..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "{text:?} is not a number of seconds from 5 to 86400"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn read(given: &[(&str, &str)]) -> Result<UpdateSettings, ConfigFaults> {
        let flags = given
            .iter()
            .fold(Overrides::default(), |flags, (name, value)| {
                flags.set(name, Some(*value)).unwrap()
            });
        Layers::read(None, [], flags).unwrap().update_settings()
    }

    #[test]
    fn a_key_that_is_configured_must_be_there() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.trial, Duration::from_secs(600));
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().to_str().unwrap();
        for wrong in [path, "/nowhere/key.pem"] {
            let faults = read(&[("release_keys", wrong)]).unwrap_err().to_string();
            assert!(
                faults.contains("release_keys (flag --release-keys): "),
                "{faults}"
            );
        }
        let faults = read(&[("update_trial_seconds", "4")]).unwrap_err();
        assert!(faults.to_string().contains("from 5 to 86400"), "{faults}");
    }

    #[test]
    fn settings_of_newer_releases_do_not_stand_in_the_way() {
        let values = [("of_the_future".to_owned(), "1".to_owned())];
        let layers = Layers::from_values("a file", values);
        layers.update_settings().unwrap();
        assert!(layers.validate().is_err());
    }
}
