//! Tasks: options, filters, schedules, manifests, reports.

use datasync_model::{
    Atime, Gid, LogLevel, Mtime, ObjectMetadata, ObjectTags, OverwriteMode, PosixPermissions,
    PreserveDeletedFiles, PreserveDevices, SecurityDescriptorCopyFlags, TaskQueueing, TransferMode,
    Uid, VerifyMode,
};

use super::texts::{BUCKET_ARN, PATH, ROLE_ARN, arn};
use super::{List, Member, Shape, Text, list, optional, required};

pub(super) static OPTIONS: &[Member] = &[
    optional("VerifyMode", Shape::Word(VerifyMode::WORDS)),
    optional("OverwriteMode", Shape::Word(OverwriteMode::WORDS)),
    optional("Atime", Shape::Word(Atime::WORDS)),
    optional("Mtime", Shape::Word(Mtime::WORDS)),
    optional("Uid", Shape::Word(Uid::WORDS)),
    optional("Gid", Shape::Word(Gid::WORDS)),
    optional(
        "PreserveDeletedFiles",
        Shape::Word(PreserveDeletedFiles::WORDS),
    ),
    optional("PreserveDevices", Shape::Word(PreserveDevices::WORDS)),
    optional("PosixPermissions", Shape::Word(PosixPermissions::WORDS)),
    optional("BytesPerSecond", Shape::Number(-1, i64::MAX)),
    optional("TaskQueueing", Shape::Word(TaskQueueing::WORDS)),
    optional("LogLevel", Shape::Word(LogLevel::WORDS)),
    optional("TransferMode", Shape::Word(TransferMode::WORDS)),
    optional(
        "SecurityDescriptorCopyFlags",
        Shape::Word(SecurityDescriptorCopyFlags::WORDS),
    ),
    optional("ObjectTags", Shape::Word(ObjectTags::WORDS)),
    optional("ObjectMetadata", Shape::Word(ObjectMetadata::WORDS)),
];

static PATTERN: Text = Text::new(0, 102_400, r"[^\x00]+");
static FILTER_RULE: &[Member] = &[
    optional("FilterType", Shape::Word(&["SIMPLE_PATTERN"])),
    optional("Value", Shape::Text(&PATTERN)),
];
pub(super) static FILTER: List = list(Shape::Structure(FILTER_RULE), 0, 1);

static EXPRESSION: Text = Text::new(0, 256, r"[a-zA-Z0-9 _*?,|^/#\t\n\x0B\f\r()+-]*");
pub(super) static SCHEDULE: &[Member] = &[
    required("ScheduleExpression", Shape::Text(&EXPRESSION)),
    optional("Status", Shape::Word(&["ENABLED", "DISABLED"])),
];

pub(super) static LOG_GROUP_ARN: Text = Text::new(
    0,
    562,
    arn!(r"logs:[a-z0-9-]+:[0-9]{12}:log-group:([^:*]*)(:\*)?"),
);

static VERSION_ID: Text = Text::new(1, 100, ".+");
static MANIFEST_OBJECT: &[Member] = &[
    required("ManifestObjectPath", Shape::Text(&PATH)),
    required("BucketAccessRoleArn", Shape::Text(&ROLE_ARN)),
    required("S3BucketArn", Shape::Text(&BUCKET_ARN)),
    optional("ManifestObjectVersionId", Shape::Text(&VERSION_ID)),
];
static MANIFEST_SOURCE: &[Member] = &[required("S3", Shape::Structure(MANIFEST_OBJECT))];
pub(super) static MANIFEST: &[Member] = &[
    optional("Action", Shape::Word(&["TRANSFER"])),
    optional("Format", Shape::Word(&["CSV"])),
    optional("Source", Shape::Structure(MANIFEST_SOURCE)),
];

const REPORT_LEVEL: Shape = Shape::Word(&["ERRORS_ONLY", "SUCCESSES_AND_ERRORS"]);
static REPORT_BUCKET: &[Member] = &[
    optional("Subdirectory", Shape::Text(&PATH)),
    required("S3BucketArn", Shape::Text(&BUCKET_ARN)),
    required("BucketAccessRoleArn", Shape::Text(&ROLE_ARN)),
];
static REPORT_DESTINATION: &[Member] = &[optional("S3", Shape::Structure(REPORT_BUCKET))];
static REPORT_OVERRIDE: &[Member] = &[optional("ReportLevel", REPORT_LEVEL)];
static REPORT_OVERRIDES: &[Member] = &[
    optional("Transferred", Shape::Structure(REPORT_OVERRIDE)),
    optional("Verified", Shape::Structure(REPORT_OVERRIDE)),
    optional("Deleted", Shape::Structure(REPORT_OVERRIDE)),
    optional("Skipped", Shape::Structure(REPORT_OVERRIDE)),
];
pub(super) static REPORT: &[Member] = &[
    optional("Destination", Shape::Structure(REPORT_DESTINATION)),
    optional("OutputType", Shape::Word(&["SUMMARY_ONLY", "STANDARD"])),
    optional("ReportLevel", REPORT_LEVEL),
    optional("ObjectVersionIds", Shape::Word(&["INCLUDE", "NONE"])),
    optional("Overrides", Shape::Structure(REPORT_OVERRIDES)),
];
