//! The settings as they may be shown to others.

use super::layers::Layers;

/// Settings that hold no secret. What is not among them is shown as set or not, no more.
const SHOWN: &[&str] = &[
    "state_dir",
    "control",
    "control_ca",
    "control_fingerprint",
    "control_server_name",
    "activation_listen",
    "activation_key_file",
    "no_proxy",
    "ca_bundle",
    "memory_target",
    "state_disk_max",
    "executions_max",
    "bytes_per_second",
    "failures_max",
    "stalled_after_seconds",
    "name",
    "run_as",
    "telemetry_listen",
    "otlp_endpoint",
    "otlp_interval_seconds",
    "otlp_headers_file",
    "release_keys",
    "update_trial_seconds",
    "nfs.connections",
    "nfs.mount_port",
    "nfs.privileged_ports",
    "nfs.requests_max",
    "nfs.operations_per_second",
    "nfs.users",
    "nfs.groups",
    "efs.addresses",
    "s3.object_max",
    "s3.requests_max",
    "s3.requests_per_second",
    "s3.server_side_encryption",
    "s3.bucket_key",
    "s3.acl",
    "s3.requester_pays",
    "log.level",
    "log.format",
    "log.output",
];

impl Layers {
    /// Each setting that is given, with its origin.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.given
            .iter()
            .map(|(member, given)| {
                let is_shown = SHOWN.contains(member);
                let value = if is_shown {
                    given.value.as_str()
                } else {
                    "(set)"
                };
                format!("{member} = {value}   # {}", given.origin)
            })
            .collect()
    }

    /// The values of all that is not shown.
    pub(crate) fn hidden(&self) -> Vec<String> {
        self.given
            .iter()
            .filter(|(member, _)| !SHOWN.contains(member))
            .map(|(_, given)| given.value.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn only_what_is_listed_is_shown() {
        let flags = Overrides::default()
            .set("control", Some("control:9443"))
            .and_then(|flags| flags.set("activation_key", Some("CANAR-Y0000-00000-00000-00000")))
            .and_then(|flags| flags.set("https_proxy", Some("http://u:canary@proxy")))
            .unwrap();
        let layers = Layers::read(None, [], flags).unwrap();
        let shown = layers.shown().join("\n");
        assert!(
            shown.contains("control = control:9443   # flag --control"),
            "{shown}"
        );
        assert!(shown.contains("activation_key = (set)"), "{shown}");
        assert!(!shown.to_lowercase().contains("canar"), "{shown}");
        assert_eq!(layers.hidden().len(), 2);
    }
}
