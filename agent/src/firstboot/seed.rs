//! What a seed says, however it was brought.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::updates::ReleaseKeys;

/// Names and values as a seed gives them; the names are those of the settings in `agent.toml`, and
/// those below that are the machine's.
pub(super) type Properties = BTreeMap<String, String>;

/// Characters of a value that is no certificate.
const VALUE_MAX: usize = 2_000;
/// Characters of a value that is one, or several.
const PEM_MAX: usize = 48 * 1024;
const PORTS_MAX: usize = 16;
const PEM_COLUMNS: usize = 64;

/// The value of what is to be taken back.
pub(super) const NONE: &str = "none";

/// Settings of the agent that the image decides upon, and what a seed has in their place.
const NOT_HERE: &[(&str, &str)] = &[
    ("state_dir", "the image has its own"),
    ("run_as", "the image has its own"),
    ("activation_listen", "the image has its own"),
    ("activation_key_file", "give activation_key"),
    ("release_keys", "give release_key"),
    ("https_proxy", "give proxy"),
    ("http_proxy", "give proxy"),
];

/// One interface, as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: Option<String>,
    pub(super) mac: Option<String>,
    /// `ADDRESS/PREFIX`; `None`: DHCP.
    pub(super) address: Option<String>,
    pub(super) gateway: Option<String>,
}

/// Everything that a seed may say. Values are checked where they are used.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Seed {
    /// Names the seed: the same one is carried out once.
    pub(super) instance: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) interface: Option<Interface>,
    pub(super) dns: Vec<String>,
    pub(super) time: Vec<String>,
    /// With user and password, if there are any; [`NONE`] takes back what was set before.
    pub(super) proxy: Option<String>,
    /// The same.
    pub(super) no_proxy: Option<String>,
    /// PEM.
    pub(super) control_ca: Option<String>,
    /// PEM.
    pub(super) ca_bundle: Option<String>,
    /// PEM: whose releases the agent runs.
    pub(super) release_key: Option<String>,
    /// TCP ports that the firewall admits; `None`: those of before.
    pub(super) admit_tcp: Option<Vec<u16>>,
    /// Settings of the agent, by their names in `agent.toml`.
    pub(super) agent: Properties,
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed")
            .field("instance", &self.instance)
            .field("agent", &self.agent.keys())
            .finish_non_exhaustive()
    }
}

impl Seed {
    /// Sorts `properties` out; what is empty counts as absent. Adds to `faults`, one for each value
    /// that cannot be.
    pub(super) fn read(properties: Properties, faults: &mut Vec<String>) -> Self {
        let mut seed = Self::default();
        let mut interface = Interface::default();
        for (name, value) in properties {
            let value = value.trim().to_owned();
            if value.is_empty() {
                continue;
            }
            let most = match name.as_str() {
                "control_ca" | "ca_bundle" | "release_key" => PEM_MAX,
                _ => VALUE_MAX,
            };
            if value.len() > most {
                faults.push(format!("{name}: longer than {most} bytes"));
                continue;
            }
            match name.as_str() {
                "instance_id" => seed.instance = Some(value),
                "hostname" => seed.hostname = Some(value),
                "interface" => interface.name = Some(value),
                "address" => interface.address = Some(value),
                "gateway" => interface.gateway = Some(value),
                "dns" => seed.dns = list(&value),
                "time_servers" => seed.time = list(&value),
                "proxy" => seed.proxy = Some(value),
                "no_proxy" => seed.no_proxy = Some(value),
                "control_ca" => seed.control_ca = noted(certificates(&value), &name, faults),
                "ca_bundle" => seed.ca_bundle = noted(certificates(&value), &name, faults),
                "release_key" => {
                    seed.release_key = noted(release_key(&value), &name, faults);
                }
                "admit_tcp" => seed.admit_tcp = noted(ports(&value), &name, faults),
                _ => match NOT_HERE.iter().find(|(refused, _)| *refused == name) {
                    Some((_, instead)) => {
                        faults.push(format!("{name}: not to be set by a seed: {instead}"));
                    }
                    None => {
                        seed.agent.insert(name, value);
                    }
                },
            }
        }
        if interface != Interface::default() {
            seed.interface = Some(interface);
        }
        seed
    }
}

fn noted<T>(result: Result<T, String>, name: &str, faults: &mut Vec<String>) -> Option<T> {
    result
        .map_err(|what| faults.push(format!("{name}: {what}")))
        .ok()
}

/// What commas or spaces separate.
pub(super) fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ', '\n', '\t']).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn ports(text: &str) -> Result<Vec<u16>, String> {
    if text == NONE {
        return Ok(Vec::new());
    }
    let ports: Option<Vec<u16>> = list(text)
        .iter()
        .map(|one| one.parse().ok().filter(|port| *port > 0))
        .collect();
    match ports {
        Some(ports) if ports.len() <= PORTS_MAX => Ok(ports),
        Some(_) => Err(format!("more than {PORTS_MAX} ports")),
        None => Err(format!(
            "must be ports from 1 to 65535, separated by commas, or {NONE}"
        )),
    }
}

fn certificates(text: &str) -> Result<String, String> {
    let pem = in_lines(text, "CERTIFICATE").ok_or("a certificate has no end")?;
    let all: Result<Vec<CertificateDer<'_>>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(pem),
        Ok(_) => Err("no certificate in PEM is in it".to_owned()),
        Err(error) => Err(format!("not a certificate in PEM: {error}")),
    }
}

fn release_key(text: &str) -> Result<String, String> {
    let pem = in_lines(text, "PUBLIC KEY").ok_or("a key has no end")?;
    match ReleaseKeys::from_pem(pem.as_bytes()) {
        Ok(keys) if !keys.is_empty() => Ok(pem),
        Ok(_) => Err("no public key in PEM is in it".to_owned()),
        Err(what) => Err(what),
    }
}

/// PEM in lines again: forms of hypervisors turn line ends into spaces. `None` if one of the
/// documents named `label` has no end.
fn in_lines(text: &str, label: &str) -> Option<String> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut pem = String::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, behind) = after.split_once(&end)?;
        let digits: String = body.split_whitespace().collect();
        let digits = digits.replace("\\n", "");
        pem.push_str(&begin);
        for (index, digit) in digits.chars().enumerate() {
            if index % PEM_COLUMNS == 0 {
                pem.push('\n');
            }
            pem.push(digit);
        }
        pem.push_str(&format!("\n{end}\n"));
        rest = behind;
    }
    Some(pem)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::firstboot) fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["control".to_owned()]).unwrap();
        params
            .self_signed(&key)
            .unwrap()
            .pem()
            .replace("\r\n", "\n")
    }

    pub(in crate::firstboot) fn properties(given: &[(&str, &str)]) -> Properties {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        given.iter().map(owned).collect()
    }

    #[test]
    fn the_machine_s_settings_are_told_from_the_agent_s() {
        let mut faults = Vec::new();
        let seed = Seed::read(
            properties(&[
                ("control", "control:9443"),
                ("dns", "192.0.2.53, 192.0.2.54"),
                ("address", "192.0.2.10/24"),
                ("admit_tcp", "9464"),
                ("proxy", ""),
            ]),
            &mut faults,
        );
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(seed.agent, properties(&[("control", "control:9443")]));
        assert_eq!(seed.dns, ["192.0.2.53", "192.0.2.54"]);
        assert_eq!(seed.admit_tcp, Some(vec![9464]));
        assert_eq!(seed.proxy, None);
        assert_eq!(
            seed.interface.unwrap().address.as_deref(),
            Some("192.0.2.10/24")
        );
    }

    #[test]
    fn a_certificate_survives_forms_of_one_line() {
        let pem = pem();
        for given in [
            pem.clone(),
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\r\n"),
        ] {
            assert_eq!(certificates(&given), Ok(pem.clone()));
        }
        let two = format!("{pem}{pem}");
        assert_eq!(certificates(&two.replace('\n', "  ")), Ok(two));
    }

    #[test]
    fn every_value_that_cannot_be_is_named() {
        let mut faults = Vec::new();
        let long = "x".repeat(VALUE_MAX + 1);
        Seed::read(
            properties(&[
                ("admit_tcp", "0"),
                ("ca_bundle", "-----BEGIN CERTIFICATE-----"),
                ("control_ca", "nonsense"),
                ("hostname", &long),
                ("https_proxy", "http://proxy"),
                ("state_dir", "/tmp"),
            ]),
            &mut faults,
        );
        let told = faults.join("\n");
        for name in [
            "admit_tcp",
            "ca_bundle",
            "control_ca",
            "hostname",
            "https_proxy",
            "state_dir",
        ] {
            assert!(told.contains(&format!("{name}: ")), "{told}");
        }
        assert!(!told.contains("xxx") && faults.len() == 6, "{told}");
    }
}
