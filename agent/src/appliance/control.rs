//! Where control is, in the agent's configuration file.

use super::files::{MachineFile, NOTE};

/// The agent's configuration.
pub(crate) const AGENT: &str = "etc/datasync/agent.toml";

/// What the operator fills in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ControlSettings {
    /// `HOST:PORT`, several with commas.
    pub(crate) address: String,
    /// Of control's certificate authority; empty: what the agent trusts stays as it is.
    pub(crate) fingerprint: String,
}

/// The agent's configuration with `settings` in it; its other members stay. `before` is the text of
/// the file that is there, `group` the agent's, which has to read it.
///
/// # Errors
/// If `before` is not TOML.
pub(crate) fn control_file(
    before: Option<&str>,
    settings: &ControlSettings,
    group: Option<u32>,
) -> Result<MachineFile, String> {
    let mut table: toml::Table = before
        .unwrap_or_default()
        .parse()
        .map_err(|error: toml::de::Error| format!("/{AGENT}: {}", error.message()))?;
    let text = |text: &str| toml::Value::String(text.to_owned());
    table.insert("control".to_owned(), text(&settings.address));
    if !settings.fingerprint.is_empty() {
        table.insert(
            "control_fingerprint".to_owned(),
            text(&settings.fingerprint),
        );
        table.remove("control_ca");
    }
    Ok(agent_file(&table, group))
}

/// The agent's configuration file with these members.
pub(crate) fn agent_file(members: &toml::Table, group: Option<u32>) -> MachineFile {
    MachineFile {
        path: AGENT,
        content: format!("{NOTE}{members}"),
        // An activation key may be in it.
        mode: group.map_or(0o600, |_| 0o640),
        group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(fingerprint: &str) -> ControlSettings {
        ControlSettings {
            address: "control.example:9443".to_owned(),
            fingerprint: fingerprint.to_owned(),
        }
    }

    #[test]
    fn other_members_stay_and_a_fingerprint_takes_the_place_of_a_certificate() {
        let before =
            "control = 'old:1'\ncontrol_ca = '/ca.pem'\nname = 'n'\n[nfs]\nconnections = 2\n";
        let read = |fingerprint| {
            let file = control_file(Some(before), &settings(fingerprint), Some(997)).unwrap();
            assert_eq!((file.mode, file.group), (0o640, Some(997)));
            file.content.parse::<toml::Table>().unwrap()
        };
        let kept = read("");
        assert_eq!(kept["control"].as_str(), Some("control.example:9443"));
        assert_eq!(kept["control_ca"].as_str(), Some("/ca.pem"));
        assert_eq!(kept["nfs"]["connections"].as_integer(), Some(2));
        let replaced = read("ab");
        assert_eq!(replaced["control_fingerprint"].as_str(), Some("ab"));
        assert_eq!(replaced["name"].as_str(), Some("n"));
        assert!(!replaced.contains_key("control_ca"));
    }

    #[test]
    fn a_file_that_is_none_is_not_replaced() {
        let error = control_file(Some("key = 'canary"), &settings(""), None).unwrap_err();
        assert!(
            error.contains("agent.toml") && !error.contains("canary"),
            "{error}"
        );
        let first = control_file(None, &settings(""), None).unwrap();
        assert_eq!(first.mode, 0o600);
    }
}
