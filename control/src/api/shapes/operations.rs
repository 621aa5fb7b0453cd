//! Every operation of the API and its input.

use datasync_model::{Operator, TaskMode};

use super::azure::{CREATE_AZURE_BLOB, UPDATE_AZURE_BLOB};
use super::fsx::{
    CREATE_FSX_LUSTRE, CREATE_FSX_ONTAP, CREATE_FSX_OPEN_ZFS, CREATE_FSX_WINDOWS,
    UPDATE_FSX_LUSTRE, UPDATE_FSX_ONTAP, UPDATE_FSX_OPEN_ZFS, UPDATE_FSX_WINDOWS,
};
use super::hdfs::{CREATE_HDFS, UPDATE_HDFS};
use super::locations::{
    CREATE_EFS, CREATE_NFS, CREATE_OBJECT_STORAGE, CREATE_S3, UPDATE_EFS, UPDATE_NFS,
    UPDATE_OBJECT_STORAGE, UPDATE_S3,
};
use super::smb::{CREATE_SMB, UPDATE_SMB};
use super::tasks::{FILTER, LOG_GROUP_ARN, MANIFEST, OPTIONS, REPORT, SCHEDULE};
use super::texts::{
    AGENT_ARN, EXECUTION_ARN, FILTER_VALUES, LOCATION_ARN, MAX_RESULTS, NAME, NEXT_TOKEN,
    ONE_SECURITY_GROUP, ONE_SUBNET, RESOURCE_ARN, TAG_KEYS, TAGS, TASK_ARN,
};
use super::{List, Member, Shape, Text, list, optional, required};

/// Secret until it is used.
static ACTIVATION_KEY: Text = Text::secret(0, 29, "[A-Z0-9]{5}(-[A-Z0-9]{5}){4}");
static VPC_ENDPOINT: Text = Text::new(0, usize::MAX, "vpce-[0-9a-f]{17}");
static CREATE_AGENT: &[Member] = &[
    required("ActivationKey", Shape::Text(&ACTIVATION_KEY)),
    optional("AgentName", Shape::Text(&NAME)),
    optional("Tags", Shape::List(&TAGS)),
    optional("VpcEndpointId", Shape::Text(&VPC_ENDPOINT)),
    optional("SubnetArns", Shape::List(&ONE_SUBNET)),
    optional("SecurityGroupArns", Shape::List(&ONE_SECURITY_GROUP)),
];
static AGENT: &[Member] = &[required("AgentArn", Shape::Text(&AGENT_ARN))];
static UPDATE_AGENT: &[Member] = &[
    required("AgentArn", Shape::Text(&AGENT_ARN)),
    optional("Name", Shape::Text(&NAME)),
];
static LOCATION: &[Member] = &[required("LocationArn", Shape::Text(&LOCATION_ARN))];
static TASK: &[Member] = &[required("TaskArn", Shape::Text(&TASK_ARN))];
static EXECUTION: &[Member] = &[required("TaskExecutionArn", Shape::Text(&EXECUTION_ARN))];

const PAGE_SIZE: Member = optional("MaxResults", MAX_RESULTS);
const PAGE_TOKEN: Member = optional("NextToken", Shape::Text(&NEXT_TOKEN));
static PAGE: &[Member] = &[PAGE_SIZE, PAGE_TOKEN];
const VALUES: Member = required("Values", Shape::List(&FILTER_VALUES));
static LOCATION_FILTER: &[Member] = &[
    required(
        "Name",
        Shape::Word(&["LocationUri", "LocationType", "CreationTime"]),
    ),
    VALUES,
    required("Operator", Shape::Word(Operator::WORDS)),
];
static LOCATION_FILTERS: List = list(Shape::Structure(LOCATION_FILTER), 0, usize::MAX);
static TASK_FILTER: &[Member] = &[
    required("Name", Shape::Word(&["LocationId", "CreationTime"])),
    VALUES,
    required("Operator", Shape::Word(Operator::WORDS)),
];
static TASK_FILTERS: List = list(Shape::Structure(TASK_FILTER), 0, usize::MAX);
static LIST_LOCATIONS: &[Member] = &[
    PAGE_SIZE,
    PAGE_TOKEN,
    optional("Filters", Shape::List(&LOCATION_FILTERS)),
];
static LIST_TASKS: &[Member] = &[
    PAGE_SIZE,
    PAGE_TOKEN,
    optional("Filters", Shape::List(&TASK_FILTERS)),
];
static LIST_EXECUTIONS: &[Member] = &[
    optional("TaskArn", Shape::Text(&TASK_ARN)),
    PAGE_SIZE,
    PAGE_TOKEN,
];

const RESOURCE: Member = required("ResourceArn", Shape::Text(&RESOURCE_ARN));
static LIST_TAGS: &[Member] = &[RESOURCE, PAGE_SIZE, PAGE_TOKEN];
static TAG_RESOURCE: &[Member] = &[RESOURCE, required("Tags", Shape::List(&TAGS))];
static UNTAG_RESOURCE: &[Member] = &[RESOURCE, required("Keys", Shape::List(&TAG_KEYS))];

const OF_TASK: Member = required("TaskArn", Shape::Text(&TASK_ARN));
const LOG_GROUP: Member = optional("CloudWatchLogGroupArn", Shape::Text(&LOG_GROUP_ARN));
const TASK_NAME: Member = optional("Name", Shape::Text(&NAME));
const TASK_OPTIONS: Member = optional("Options", Shape::Structure(OPTIONS));
const INCLUDES: Member = optional("Includes", Shape::List(&FILTER));
const EXCLUDES: Member = optional("Excludes", Shape::List(&FILTER));
const TASK_SCHEDULE: Member = optional("Schedule", Shape::Structure(SCHEDULE));
const TASK_MANIFEST: Member = optional("ManifestConfig", Shape::Structure(MANIFEST));
const TASK_REPORT: Member = optional("TaskReportConfig", Shape::Structure(REPORT));
static CREATE_TASK: &[Member] = &[
    required("SourceLocationArn", Shape::Text(&LOCATION_ARN)),
    required("DestinationLocationArn", Shape::Text(&LOCATION_ARN)),
    LOG_GROUP,
    TASK_NAME,
    TASK_OPTIONS,
    EXCLUDES,
    TASK_SCHEDULE,
    optional("Tags", Shape::List(&TAGS)),
    INCLUDES,
    TASK_MANIFEST,
    TASK_REPORT,
    optional("TaskMode", Shape::Word(TaskMode::WORDS)),
];
static UPDATE_TASK: &[Member] = &[
    OF_TASK,
    TASK_OPTIONS,
    EXCLUDES,
    TASK_SCHEDULE,
    TASK_NAME,
    LOG_GROUP,
    INCLUDES,
    TASK_MANIFEST,
    TASK_REPORT,
];
static START_EXECUTION: &[Member] = &[
    OF_TASK,
    optional("OverrideOptions", Shape::Structure(OPTIONS)),
    INCLUDES,
    EXCLUDES,
    TASK_MANIFEST,
    TASK_REPORT,
    optional("Tags", Shape::List(&TAGS)),
];
static UPDATE_EXECUTION: &[Member] = &[
    required("TaskExecutionArn", Shape::Text(&EXECUTION_ARN)),
    required("Options", Shape::Structure(OPTIONS)),
];

/// The members that `operation` takes, or nothing if DataSync has no such operation.
pub(in crate::api) fn input_of(operation: &str) -> Option<&'static [Member]> {
    OPERATIONS
        .iter()
        .find_map(|(name, members)| (*name == operation).then_some(*members))
}

pub(in crate::api) static OPERATIONS: &[(&str, &[Member])] = &[
    ("CancelTaskExecution", EXECUTION),
    ("CreateAgent", CREATE_AGENT),
    ("CreateLocationAzureBlob", CREATE_AZURE_BLOB),
    ("CreateLocationEfs", CREATE_EFS),
    ("CreateLocationFsxLustre", CREATE_FSX_LUSTRE),
    ("CreateLocationFsxOntap", CREATE_FSX_ONTAP),
    ("CreateLocationFsxOpenZfs", CREATE_FSX_OPEN_ZFS),
    ("CreateLocationFsxWindows", CREATE_FSX_WINDOWS),
    ("CreateLocationHdfs", CREATE_HDFS),
    ("CreateLocationNfs", CREATE_NFS),
    ("CreateLocationObjectStorage", CREATE_OBJECT_STORAGE),
    ("CreateLocationS3", CREATE_S3),
    ("CreateLocationSmb", CREATE_SMB),
    ("CreateTask", CREATE_TASK),
    ("DeleteAgent", AGENT),
    ("DeleteLocation", LOCATION),
    ("DeleteTask", TASK),
    ("DescribeAgent", AGENT),
    ("DescribeLocationAzureBlob", LOCATION),
    ("DescribeLocationEfs", LOCATION),
    ("DescribeLocationFsxLustre", LOCATION),
    ("DescribeLocationFsxOntap", LOCATION),
    ("DescribeLocationFsxOpenZfs", LOCATION),
    ("DescribeLocationFsxWindows", LOCATION),
    ("DescribeLocationHdfs", LOCATION),
    ("DescribeLocationNfs", LOCATION),
    ("DescribeLocationObjectStorage", LOCATION),
    ("DescribeLocationS3", LOCATION),
    ("DescribeLocationSmb", LOCATION),
    ("DescribeTask", TASK),
    ("DescribeTaskExecution", EXECUTION),
    ("ListAgents", PAGE),
    ("ListLocations", LIST_LOCATIONS),
    ("ListTagsForResource", LIST_TAGS),
    ("ListTaskExecutions", LIST_EXECUTIONS),
    ("ListTasks", LIST_TASKS),
    ("StartTaskExecution", START_EXECUTION),
    ("TagResource", TAG_RESOURCE),
    ("UntagResource", UNTAG_RESOURCE),
    ("UpdateAgent", UPDATE_AGENT),
    ("UpdateLocationAzureBlob", UPDATE_AZURE_BLOB),
    ("UpdateLocationEfs", UPDATE_EFS),
    ("UpdateLocationFsxLustre", UPDATE_FSX_LUSTRE),
    ("UpdateLocationFsxOntap", UPDATE_FSX_ONTAP),
    ("UpdateLocationFsxOpenZfs", UPDATE_FSX_OPEN_ZFS),
    ("UpdateLocationFsxWindows", UPDATE_FSX_WINDOWS),
    ("UpdateLocationHdfs", UPDATE_HDFS),
    ("UpdateLocationNfs", UPDATE_NFS),
    ("UpdateLocationObjectStorage", UPDATE_OBJECT_STORAGE),
    ("UpdateLocationS3", UPDATE_S3),
    ("UpdateLocationSmb", UPDATE_SMB),
    ("UpdateTask", UPDATE_TASK),
    ("UpdateTaskExecution", UPDATE_EXECUTION),
];
