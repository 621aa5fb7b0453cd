//! SMB shares.

use super::elsewhere::{
    CMK, CUSTOM, KERBEROS_CONFIG, KERBEROS_KEYTAB, KERBEROS_PRINCIPAL, LOCATION, SHARE_PATH, TAGGED,
};
use super::texts::{AGENTS, HOSTNAME};
use super::{List, Member, Shape, Text, list, optional, required};

pub(super) static SMB_USER: Text = Text::new(1, 104, r#"[^"\[\]/\\:;|=,+*?<>]+"#);
pub(super) static SMB_PASSWORD: Text = Text::secret(0, 104, ".*");
pub(super) static SMB_DOMAIN: Text = Text::new(1, 253, r"[A-Za-z0-9]((\.|-+)?[A-Za-z0-9])*");
pub(super) static NEW_SMB_DOMAIN: Text = Text::new(0, 253, r"([A-Za-z0-9]((\.|-+)?[A-Za-z0-9])*)?");
pub(super) static SMB_MOUNT: &[Member] = &[optional(
    "Version",
    Shape::Word(&["AUTOMATIC", "SMB2", "SMB3", "SMB1", "SMB2_0"]),
)];
static ADDRESS: Text = Text::new(
    7,
    39,
    r"(25[0-5]|2[0-4][0-9]|[0-1]?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|[0-1]?[0-9]?[0-9])){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*",
);
static DNS: List = list(Shape::Text(&ADDRESS), 0, 2);

const SMB_AUTHENTICATION: Member =
    optional("AuthenticationType", Shape::Word(&["NTLM", "KERBEROS"]));

pub(super) static CREATE_SMB: &[Member] = &[
    required("Subdirectory", Shape::Text(&SHARE_PATH)),
    required("ServerHostname", Shape::Text(&HOSTNAME)),
    optional("User", Shape::Text(&SMB_USER)),
    optional("Domain", Shape::Text(&SMB_DOMAIN)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    CMK,
    CUSTOM,
    required("AgentArns", Shape::List(&AGENTS)),
    optional("MountOptions", Shape::Structure(SMB_MOUNT)),
    TAGGED,
    SMB_AUTHENTICATION,
    optional("DnsIpAddresses", Shape::List(&DNS)),
    KERBEROS_PRINCIPAL,
    KERBEROS_KEYTAB,
    KERBEROS_CONFIG,
];
pub(super) static UPDATE_SMB: &[Member] = &[
    LOCATION,
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    optional("ServerHostname", Shape::Text(&HOSTNAME)),
    optional("User", Shape::Text(&SMB_USER)),
    optional("Domain", Shape::Text(&SMB_DOMAIN)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    CMK,
    CUSTOM,
    optional("AgentArns", Shape::List(&AGENTS)),
    optional("MountOptions", Shape::Structure(SMB_MOUNT)),
    SMB_AUTHENTICATION,
    optional("DnsIpAddresses", Shape::List(&DNS)),
    KERBEROS_PRINCIPAL,
    KERBEROS_KEYTAB,
    KERBEROS_CONFIG,
];
