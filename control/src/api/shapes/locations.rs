//! Locations of the types that are moved: NFS, EFS, S3, object storage.

use datasync_model::{NfsVersion, StorageClass};

use super::texts::{
    AGENTS, BUCKET_ARN, FULL_PATH, HOSTNAME, LOCATION_ARN, PATH, ROLE_ARN, SECURITY_GROUPS,
    SUBNET_ARN, TAGS, arn,
};
use super::{Member, Shape, Text, optional, required};

static ON_PREM: &[Member] = &[required("AgentArns", Shape::List(&AGENTS))];
pub(super) static NFS_MOUNT: &[Member] = &[optional("Version", Shape::Word(NfsVersion::WORDS))];
pub(super) static CREATE_NFS: &[Member] = &[
    required("Subdirectory", Shape::Text(&FULL_PATH)),
    required("ServerHostname", Shape::Text(&HOSTNAME)),
    required("OnPremConfig", Shape::Structure(ON_PREM)),
    optional("MountOptions", Shape::Structure(NFS_MOUNT)),
    optional("Tags", Shape::List(&TAGS)),
];
pub(super) static UPDATE_NFS: &[Member] = &[
    required("LocationArn", Shape::Text(&LOCATION_ARN)),
    optional("Subdirectory", Shape::Text(&FULL_PATH)),
    optional("ServerHostname", Shape::Text(&HOSTNAME)),
    optional("OnPremConfig", Shape::Structure(ON_PREM)),
    optional("MountOptions", Shape::Structure(NFS_MOUNT)),
];

static FILE_SYSTEM_ARN: Text = Text::new(
    0,
    128,
    arn!("elasticfilesystem:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]{8,40}"),
);
static ACCESS_POINT_ARN: Text = Text::new(
    0,
    128,
    arn!("elasticfilesystem:[a-z0-9-]+:[0-9]{12}:access-point/fsap-[0-9a-f]{8,40}"),
);
static NEW_ACCESS_POINT_ARN: Text = Text::new(
    0,
    128,
    concat!(
        "(",
        arn!("elasticfilesystem:[a-z0-9-]+:[0-9]{12}:access-point/fsap-[0-9a-f]{8,40}"),
        ")|()"
    ),
);
static NEW_ROLE_ARN: Text = Text::new(
    0,
    2048,
    concat!("(", arn!("iam::[0-9]{12}:role/.*"), ")|()"),
);
const ENCRYPTION: Shape = Shape::Word(&["NONE", "TLS1_2"]);
static EC2: &[Member] = &[
    required("SubnetArn", Shape::Text(&SUBNET_ARN)),
    required("SecurityGroupArns", Shape::List(&SECURITY_GROUPS)),
];
pub(super) static CREATE_EFS: &[Member] = &[
    optional("Subdirectory", Shape::Text(&PATH)),
    required("EfsFilesystemArn", Shape::Text(&FILE_SYSTEM_ARN)),
    required("Ec2Config", Shape::Structure(EC2)),
    optional("Tags", Shape::List(&TAGS)),
    optional("AccessPointArn", Shape::Text(&ACCESS_POINT_ARN)),
    optional("FileSystemAccessRoleArn", Shape::Text(&ROLE_ARN)),
    optional("InTransitEncryption", ENCRYPTION),
];
pub(super) static UPDATE_EFS: &[Member] = &[
    required("LocationArn", Shape::Text(&LOCATION_ARN)),
    optional("Subdirectory", Shape::Text(&PATH)),
    optional("AccessPointArn", Shape::Text(&NEW_ACCESS_POINT_ARN)),
    optional("FileSystemAccessRoleArn", Shape::Text(&NEW_ROLE_ARN)),
    optional("InTransitEncryption", ENCRYPTION),
];

static S3_CONFIG: &[Member] = &[required("BucketAccessRoleArn", Shape::Text(&ROLE_ARN))];
pub(super) static CREATE_S3: &[Member] = &[
    optional("Subdirectory", Shape::Text(&PATH)),
    required("S3BucketArn", Shape::Text(&BUCKET_ARN)),
    optional("S3StorageClass", Shape::Word(StorageClass::WORDS)),
    required("S3Config", Shape::Structure(S3_CONFIG)),
    optional("AgentArns", Shape::List(&AGENTS)),
    optional("Tags", Shape::List(&TAGS)),
];
pub(super) static UPDATE_S3: &[Member] = &[
    required("LocationArn", Shape::Text(&LOCATION_ARN)),
    optional("Subdirectory", Shape::Text(&PATH)),
    optional("S3StorageClass", Shape::Word(StorageClass::WORDS)),
    optional("S3Config", Shape::Structure(S3_CONFIG)),
];

static BUCKET_NAME: Text = Text::new(3, 63, r"[a-zA-Z0-9_+.()$\p{Zs}-]+");
static ACCESS_KEY: Text = Text::new(0, 200, ".*");
static SECRET_KEY: Text = Text::secret(0, 200, ".*");
const PROTOCOL: Shape = Shape::Word(&["HTTPS", "HTTP"]);
/// As the model has it; the operation refuses 65,536.
const PORT: Shape = Shape::Number(1, 65_536);
/// Of a server certificate.
const CERTIFICATE: Shape = Shape::Blob(32_768);

static SECRET_ARN: Text = Text::new(
    0,
    2048,
    concat!(
        "(",
        arn!("secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.*"),
        ")|()"
    ),
);
static KMS_KEY_ARN: Text = Text::new(
    0,
    2048,
    concat!("(", arn!("kms:[a-z0-9-]+:[0-9]{12}:key/.*"), ")|()"),
);
static SECRET_ROLE_ARN: Text = Text::new(
    0,
    2048,
    concat!(
        "(",
        arn!("iam::[0-9]{12}:role/[a-zA-Z0-9+=,.@_/-]+"),
        ")|()"
    ),
);
pub(super) static CMK_SECRET: &[Member] = &[
    optional("SecretArn", Shape::Text(&SECRET_ARN)),
    optional("KmsKeyArn", Shape::Text(&KMS_KEY_ARN)),
];
pub(super) static CUSTOM_SECRET: &[Member] = &[
    optional("SecretArn", Shape::Text(&SECRET_ARN)),
    optional("SecretAccessRoleArn", Shape::Text(&SECRET_ROLE_ARN)),
];
pub(super) static MANAGED_SECRET: &[Member] = &[optional("SecretArn", Shape::Text(&SECRET_ARN))];

static PROJECT_NAME: Text = Text::new(6, 30, "[a-z][a-z0-9-]{4,28}[a-z0-9]");
static PROJECT_NUMBER: Text = Text::new(1, 20, "[0-9]+");
/// The model also refuses names that begin with `gcp-`.
static FEDERATION_NAME: Text = Text::new(4, 32, "[a-z][a-z0-9-]{2,30}[a-z0-9]");
static GOOGLE: &[Member] = &[
    required("ProjectName", Shape::Text(&PROJECT_NAME)),
    required("ProjectNumber", Shape::Text(&PROJECT_NUMBER)),
    required("IdentityPoolName", Shape::Text(&FEDERATION_NAME)),
    required("IdentityProviderName", Shape::Text(&FEDERATION_NAME)),
];
static EXTERNAL_IDENTITY: &[Member] = &[optional("GoogleOidc", Shape::Structure(GOOGLE))];
static FEDERATED_IDENTITY: &[Member] = &[
    optional("AwsIamRole", Shape::Text(&ROLE_ARN)),
    optional("ExternalIdentity", Shape::Structure(EXTERNAL_IDENTITY)),
];

pub(super) static CREATE_OBJECT_STORAGE: &[Member] = &[
    required("ServerHostname", Shape::Text(&HOSTNAME)),
    optional("ServerPort", PORT),
    optional("ServerProtocol", PROTOCOL),
    optional("Subdirectory", Shape::Text(&PATH)),
    required("BucketName", Shape::Text(&BUCKET_NAME)),
    optional("AccessKey", Shape::Text(&ACCESS_KEY)),
    optional("SecretKey", Shape::Text(&SECRET_KEY)),
    optional("FederatedIdentity", Shape::Structure(FEDERATED_IDENTITY)),
    optional("AgentArns", Shape::List(&AGENTS)),
    optional("Tags", Shape::List(&TAGS)),
    optional("ServerCertificate", CERTIFICATE),
    optional("CmkSecretConfig", Shape::Structure(CMK_SECRET)),
    optional("CustomSecretConfig", Shape::Structure(CUSTOM_SECRET)),
];
pub(super) static UPDATE_OBJECT_STORAGE: &[Member] = &[
    required("LocationArn", Shape::Text(&LOCATION_ARN)),
    optional("ServerPort", PORT),
    optional("ServerProtocol", PROTOCOL),
    optional("Subdirectory", Shape::Text(&PATH)),
    optional("ServerHostname", Shape::Text(&HOSTNAME)),
    optional("AccessKey", Shape::Text(&ACCESS_KEY)),
    optional("SecretKey", Shape::Text(&SECRET_KEY)),
    optional("FederatedIdentity", Shape::Structure(FEDERATED_IDENTITY)),
    optional("AgentArns", Shape::List(&AGENTS)),
    optional("ServerCertificate", CERTIFICATE),
    optional("CmkSecretConfig", Shape::Structure(CMK_SECRET)),
    optional("CustomSecretConfig", Shape::Structure(CUSTOM_SECRET)),
];
