//! Containers of Azure Blob Storage.

use super::elsewhere::{CMK, CUSTOM, LOCATION, TAGGED};
use super::texts::{AGENTS, ROLE_ARN};
use super::{Member, Shape, Text, optional, required};

static CONTAINER_URL: Text = Text::new(
    0,
    325,
    r"https://[A-Za-z0-9]((\.|-+)?[A-Za-z0-9]){0,252}/[a-z0-9](-?[a-z0-9]){2,62}",
);
static SAS_TOKEN: Text = Text::secret(1, 255, ".+");
static SAS: &[Member] = &[required("Token", Shape::Text(&SAS_TOKEN))];
static GUID: Text = Text::new(
    36,
    36,
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
);
static AZURE_OIDC: &[Member] = &[
    required("TenantId", Shape::Text(&GUID)),
    required("ClientId", Shape::Text(&GUID)),
];
static AZURE_IDENTITY: &[Member] = &[
    optional("AwsIamRole", Shape::Text(&ROLE_ARN)),
    optional("AzureOidc", Shape::Structure(AZURE_OIDC)),
];
static BLOB_PATH: Text = Text::new(0, 1024, "(?s).*");
const AZURE_AUTHENTICATION: Shape = Shape::Word(&["SAS", "NONE", "OIDC"]);
const SAS_CONFIGURATION: Member = optional("SasConfiguration", Shape::Structure(SAS));
const AZURE_FEDERATION: Member = optional("FederatedIdentity", Shape::Structure(AZURE_IDENTITY));
const BLOB_TYPE: Member = optional("BlobType", Shape::Word(&["BLOCK"]));
const ACCESS_TIER: Member = optional("AccessTier", Shape::Word(&["HOT", "COOL", "ARCHIVE"]));
const BLOB_SUBDIRECTORY: Member = optional("Subdirectory", Shape::Text(&BLOB_PATH));

pub(super) static CREATE_AZURE_BLOB: &[Member] = &[
    required("ContainerUrl", Shape::Text(&CONTAINER_URL)),
    required("AuthenticationType", AZURE_AUTHENTICATION),
    SAS_CONFIGURATION,
    AZURE_FEDERATION,
    BLOB_TYPE,
    ACCESS_TIER,
    BLOB_SUBDIRECTORY,
    optional("AgentArns", Shape::List(&AGENTS)),
    TAGGED,
    CMK,
    CUSTOM,
];
pub(super) static UPDATE_AZURE_BLOB: &[Member] = &[
    LOCATION,
    BLOB_SUBDIRECTORY,
    optional("AuthenticationType", AZURE_AUTHENTICATION),
    SAS_CONFIGURATION,
    AZURE_FEDERATION,
    BLOB_TYPE,
    ACCESS_TIER,
    optional("AgentArns", Shape::List(&AGENTS)),
    CMK,
    CUSTOM,
];
