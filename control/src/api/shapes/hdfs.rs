//! Hadoop file systems.

use super::elsewhere::{
    CMK, CUSTOM, KERBEROS_CONFIG, KERBEROS_KEYTAB, KERBEROS_PRINCIPAL, LOCATION, SHARE_PATH, TAGGED,
};
use super::texts::AGENTS;
use super::{List, Member, Shape, Text, list, optional, required};

static NODE_NAME: Text = Text::new(
    1,
    255,
    r"(([a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([A-Za-z0-9-]*[A-Za-z0-9])",
);
static NAME_NODE: &[Member] = &[
    required("Hostname", Shape::Text(&NODE_NAME)),
    required("Port", Shape::Number(1, 65_536)),
];
static NAME_NODES: List = list(Shape::Structure(NAME_NODE), 1, usize::MAX);
static KMS_URI: Text = Text::new(
    1,
    255,
    r"kms://http[s]?@(([a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([A-Za-z0-9-]*[A-Za-z0-9])(;(([a-zA-Z0-9-]*[a-zA-Z0-9])\.)*([A-Za-z0-9-]*[A-Za-z0-9]))*:[0-9]{1,5}/kms",
);
const PROTECTION: Shape = Shape::Word(&["DISABLED", "AUTHENTICATION", "INTEGRITY", "PRIVACY"]);
static QOP: &[Member] = &[
    optional("RpcProtection", PROTECTION),
    optional("DataTransferProtection", PROTECTION),
];
static HDFS_USER: Text = Text::new(1, 256, "[_.A-Za-z0-9][_.A-Za-z0-9-]*");
const BLOCK_SIZE: Member = optional("BlockSize", Shape::Number(1_048_576, 1_073_741_824));
const REPLICATION: Member = optional("ReplicationFactor", Shape::Number(1, 512));
const KMS_PROVIDER: Member = optional("KmsKeyProviderUri", Shape::Text(&KMS_URI));
const QOP_CONFIGURATION: Member = optional("QopConfiguration", Shape::Structure(QOP));
const HDFS_AUTHENTICATION: Shape = Shape::Word(&["SIMPLE", "KERBEROS"]);
const SIMPLE_USER: Member = optional("SimpleUser", Shape::Text(&HDFS_USER));

pub(super) static CREATE_HDFS: &[Member] = &[
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    required("NameNodes", Shape::List(&NAME_NODES)),
    BLOCK_SIZE,
    REPLICATION,
    KMS_PROVIDER,
    QOP_CONFIGURATION,
    required("AuthenticationType", HDFS_AUTHENTICATION),
    SIMPLE_USER,
    KERBEROS_PRINCIPAL,
    KERBEROS_KEYTAB,
    KERBEROS_CONFIG,
    required("AgentArns", Shape::List(&AGENTS)),
    TAGGED,
    CMK,
    CUSTOM,
];
pub(super) static UPDATE_HDFS: &[Member] = &[
    LOCATION,
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    optional("NameNodes", Shape::List(&NAME_NODES)),
    BLOCK_SIZE,
    REPLICATION,
    KMS_PROVIDER,
    QOP_CONFIGURATION,
    optional("AuthenticationType", HDFS_AUTHENTICATION),
    SIMPLE_USER,
    KERBEROS_PRINCIPAL,
    KERBEROS_KEYTAB,
    KERBEROS_CONFIG,
    optional("AgentArns", Shape::List(&AGENTS)),
    CMK,
    CUSTOM,
];
