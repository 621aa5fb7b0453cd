//! FSx file systems: Lustre, ONTAP, OpenZFS, Windows File Server.

use super::elsewhere::{CMK, CUSTOM, LOCATION, SHARE_PATH, TAGGED};
use super::locations::{MANAGED_SECRET, NFS_MOUNT};
use super::smb::{NEW_SMB_DOMAIN, SMB_DOMAIN, SMB_MOUNT, SMB_PASSWORD, SMB_USER};
use super::texts::{SECURITY_GROUPS, arn};
use super::{Member, Shape, Text, optional, required};

const GROUPS: Member = required("SecurityGroupArns", Shape::List(&SECURITY_GROUPS));
static LINE: Text = Text::new(1, 255, r"[^\x00\u{85}\u{2028}\u{2029}\r\n]+");
static LONG_LINE: Text = Text::new(1, 4096, r"[^\x00\u{85}\u{2028}\u{2029}\r\n]+");

static FSX_ARN: Text = Text::new(
    0,
    128,
    arn!("fsx:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]+"),
);
static SVM_ARN: Text = Text::new(
    0,
    162,
    arn!("fsx:[a-z0-9-]+:[0-9]{12}:storage-virtual-machine/fs-[0-9a-f]+/svm-[0-9a-f]{17,}"),
);
static OVER_NFS: &[Member] = &[optional("MountOptions", Shape::Structure(NFS_MOUNT))];
static OVER_SMB: &[Member] = &[
    optional("Domain", Shape::Text(&SMB_DOMAIN)),
    optional("MountOptions", Shape::Structure(SMB_MOUNT)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    required("User", Shape::Text(&SMB_USER)),
    optional("ManagedSecretConfig", Shape::Structure(MANAGED_SECRET)),
    CMK,
    CUSTOM,
];
static NEW_OVER_SMB: &[Member] = &[
    optional("Domain", Shape::Text(&NEW_SMB_DOMAIN)),
    optional("MountOptions", Shape::Structure(SMB_MOUNT)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    optional("User", Shape::Text(&SMB_USER)),
    CMK,
    CUSTOM,
];
static PROTOCOL: &[Member] = &[
    optional("NFS", Shape::Structure(OVER_NFS)),
    optional("SMB", Shape::Structure(OVER_SMB)),
];
static NEW_PROTOCOL: &[Member] = &[
    optional("NFS", Shape::Structure(OVER_NFS)),
    optional("SMB", Shape::Structure(NEW_OVER_SMB)),
];

pub(super) static CREATE_FSX_LUSTRE: &[Member] = &[
    required("FsxFilesystemArn", Shape::Text(&FSX_ARN)),
    GROUPS,
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    TAGGED,
];
pub(super) static UPDATE_FSX_LUSTRE: &[Member] =
    &[LOCATION, optional("Subdirectory", Shape::Text(&SHARE_PATH))];
pub(super) static CREATE_FSX_ONTAP: &[Member] = &[
    required("Protocol", Shape::Structure(PROTOCOL)),
    GROUPS,
    required("StorageVirtualMachineArn", Shape::Text(&SVM_ARN)),
    optional("Subdirectory", Shape::Text(&LINE)),
    TAGGED,
];
pub(super) static UPDATE_FSX_ONTAP: &[Member] = &[
    LOCATION,
    optional("Protocol", Shape::Structure(NEW_PROTOCOL)),
    optional("Subdirectory", Shape::Text(&LINE)),
];
pub(super) static CREATE_FSX_OPEN_ZFS: &[Member] = &[
    required("FsxFilesystemArn", Shape::Text(&FSX_ARN)),
    required("Protocol", Shape::Structure(PROTOCOL)),
    GROUPS,
    optional("Subdirectory", Shape::Text(&LONG_LINE)),
    TAGGED,
];
pub(super) static UPDATE_FSX_OPEN_ZFS: &[Member] = &[
    LOCATION,
    optional("Protocol", Shape::Structure(PROTOCOL)),
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
];
pub(super) static CREATE_FSX_WINDOWS: &[Member] = &[
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    required("FsxFilesystemArn", Shape::Text(&FSX_ARN)),
    GROUPS,
    TAGGED,
    required("User", Shape::Text(&SMB_USER)),
    optional("Domain", Shape::Text(&SMB_DOMAIN)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    CMK,
    CUSTOM,
];
pub(super) static UPDATE_FSX_WINDOWS: &[Member] = &[
    LOCATION,
    optional("Subdirectory", Shape::Text(&SHARE_PATH)),
    optional("Domain", Shape::Text(&NEW_SMB_DOMAIN)),
    optional("User", Shape::Text(&SMB_USER)),
    optional("Password", Shape::Text(&SMB_PASSWORD)),
    CMK,
    CUSTOM,
];
