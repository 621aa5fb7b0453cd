//! What the console changes in the agent's configuration file; its other members stay, its comments go.

use super::files::{MachineFile, NOTE};

/// The agent's configuration.
pub(crate) const AGENT: &str = "etc/datasync/agent.toml";

// The log's level is the member `log.level`.
const LOG: &str = "log";
const LEVEL: &str = "level";

/// What the operator fills in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ControlSettings {
    /// `HOST:PORT`, several with commas.
    pub(crate) address: String,
    /// Of control's certificate authority; empty: what the agent trusts stays as it is.
    pub(crate) fingerprint: String,
}

/// The members of the agent's configuration; `before` is the text of the file that is there.
///
/// # Errors
/// If `before` is not TOML.
fn members(before: Option<&str>) -> Result<toml::Table, String> {
    let text = before.unwrap_or_default();
    text.parse()
        .map_err(|error: toml::de::Error| format!("/{AGENT}: {}", error.message()))
}

/// The agent's configuration with `settings` in it. `before` is the text of the file that is there,
/// `group` the agent's, which has to read it.
///
/// # Errors
/// If `before` is not TOML.
pub(crate) fn control_file(
    before: Option<&str>,
    settings: &ControlSettings,
    group: Option<u32>,
) -> Result<MachineFile, String> {
    let mut table = members(before)?;
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

/// The log's level in the agent's configuration: a level or directives; `None` if it says nothing of it.
///
/// # Errors
/// If `before` is not TOML.
pub(crate) fn configured_log_level(before: Option<&str>) -> Result<Option<String>, String> {
    let table = members(before)?;
    let level = table.get(LOG).and_then(|log| log.get(LEVEL));
    Ok(level.and_then(toml::Value::as_str).map(str::to_owned))
}

/// Likewise [`control_file`], with another level of the log.
///
/// # Errors
/// If `before` is not TOML, or its `log` is no table.
pub(crate) fn log_level_file(
    before: Option<&str>,
    level: &str,
    group: Option<u32>,
) -> Result<MachineFile, String> {
    let mut table = members(before)?;
    table
        .entry(LOG)
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
        .ok_or_else(|| format!("/{AGENT}: {LOG} is not a table"))?
        .insert(LEVEL.to_owned(), level.into());
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
    #[test]
    fn the_logs_level_is_changed_beside_what_else_is_said_of_the_log() {
        let before = "control = 'one:1'\n[log]\nformat = 'json'\n";
        assert_eq!(configured_log_level(Some(before)), Ok(None));
        let file = log_level_file(Some(before), "debug", Some(997)).unwrap();
        assert_eq!((file.mode, file.group), (0o640, Some(997)));
        let written = file.content.parse::<toml::Table>().unwrap();
        assert_eq!(written["control"].as_str(), Some("one:1"));
        assert_eq!(written["log"]["format"].as_str(), Some("json"));
        let level = configured_log_level(Some(&file.content)).unwrap();
        assert_eq!(level.as_deref(), Some("debug"));
        let first = log_level_file(None, "warn", None).unwrap();
        let level = configured_log_level(Some(&first.content)).unwrap();
        assert_eq!(level.as_deref(), Some("warn"));
        let refused = log_level_file(Some("log = 1"), "warn", None).unwrap_err();
        assert!(refused.contains("not a table"), "{refused}");
    }
}
