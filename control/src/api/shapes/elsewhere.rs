//! What the locations share that cannot be moved yet: SMB, HDFS, Azure Blob Storage, FSx.

use super::locations::{CMK_SECRET, CUSTOM_SECRET};
use super::texts::{LOCATION_ARN, TAGS};
use super::{Member, Shape, Text, optional, required};

pub(super) const LOCATION: Member = required("LocationArn", Shape::Text(&LOCATION_ARN));
pub(super) const CMK: Member = optional("CmkSecretConfig", Shape::Structure(CMK_SECRET));
pub(super) const CUSTOM: Member = optional("CustomSecretConfig", Shape::Structure(CUSTOM_SECRET));
pub(super) const TAGGED: Member = optional("Tags", Shape::List(&TAGS));

/// With `$`, as Windows shares have it.
pub(super) static SHARE_PATH: Text = Text::new(0, 4096, r"[a-zA-Z0-9_+./()$\p{Zs}-]+");
pub(super) static PRINCIPAL: Text = Text::new(1, 256, ".+");
pub(super) const KERBEROS_PRINCIPAL: Member =
    optional("KerberosPrincipal", Shape::Text(&PRINCIPAL));
pub(super) const KERBEROS_KEYTAB: Member = optional("KerberosKeytab", Shape::Blob(65_536));
pub(super) const KERBEROS_CONFIG: Member = optional("KerberosKrb5Conf", Shape::Blob(131_072));
