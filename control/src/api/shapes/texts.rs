//! The model's texts, lists and words that several operations share.
//!
//! Patterns are those of the model, without the anchors (a whole text must match), with one
//! exception: the model wants at least one character in a name that it allows to be empty.

use super::{List, Member, Shape, Text, list, optional, required};

/// An ARN of any partition.
macro_rules! arn {
    ($rest:literal) => {
        concat!(
            "arn:(aws|aws-cn|aws-us-gov|aws-eusc|aws-iso|aws-iso-b):",
            $rest
        )
    };
}
pub(super) use arn;

pub(super) static TASK_ARN: Text = Text::new(
    0,
    128,
    arn!("datasync:[a-z0-9-]+:[0-9]{12}:task/task-[0-9a-f]{17}"),
);
pub(super) static EXECUTION_ARN: Text = Text::new(
    0,
    128,
    arn!("datasync:[a-z0-9-]+:[0-9]{12}:task/task-[0-9a-f]{17}/execution/exec-[0-9a-f]{17}"),
);
pub(super) static AGENT_ARN: Text = Text::new(
    0,
    128,
    arn!("datasync:[a-z0-9-]+:[0-9]{12}:agent/agent-[0-9a-z]{17}"),
);
pub(super) static LOCATION_ARN: Text = Text::new(
    0,
    128,
    arn!("datasync:[a-z0-9-]+:[0-9]{12}:location/loc-[0-9a-z]{17}"),
);
/// Discovery jobs and storage systems, which the model still names, are no resources any more.
pub(super) static RESOURCE_ARN: Text = Text::new(
    0,
    128,
    arn!(
        "datasync:[a-z0-9-]+:[0-9]{12}:(agent|task|location)/(agent|task|loc)-[a-z0-9]{17}(/execution/exec-[a-f0-9]{17})?"
    ),
);
pub(super) static ROLE_ARN: Text = Text::new(0, 2048, arn!("iam::[0-9]{12}:role/.*"));
pub(super) static BUCKET_ARN: Text = Text::new(
    0,
    268,
    concat!(
        arn!("s3:[a-z0-9-]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9.-]{1,63}"),
        "|",
        arn!(
            "s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][a-zA-Z0-9-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9-]{1,63}"
        ),
        "|",
        arn!("s3:::[a-zA-Z0-9._-]{1,255}"),
    ),
);
pub(super) static SUBNET_ARN: Text = Text::new(
    0,
    128,
    arn!("ec2:[a-z0-9-]*:[0-9]{12}:subnet/subnet-[a-f0-9]+"),
);
static SECURITY_GROUP_ARN: Text = Text::new(
    0,
    128,
    arn!("ec2:[a-z0-9-]*:[0-9]{12}:security-group/sg-[a-f0-9]+"),
);

pub(super) static SECURITY_GROUPS: List = list(Shape::Text(&SECURITY_GROUP_ARN), 1, 5);
pub(super) static ONE_SECURITY_GROUP: List = list(Shape::Text(&SECURITY_GROUP_ARN), 1, 1);
pub(super) static ONE_SUBNET: List = list(Shape::Text(&SUBNET_ARN), 1, 1);
pub(super) static AGENTS: List = list(Shape::Text(&AGENT_ARN), 1, 8);

/// `TagValue`: also the names of agents and tasks.
pub(super) static NAME: Text = Text::new(0, 256, r"[a-zA-Z0-9\t\n\x0B\f\r +=._:@/-]*");
pub(super) static TAG_KEY: Text = Text::new(1, 256, r"[a-zA-Z0-9\t\n\x0B\f\r +=._:/-]+");
static TAG: &[Member] = &[
    required("Key", Shape::Text(&TAG_KEY)),
    optional("Value", Shape::Text(&NAME)),
];
pub(super) static TAGS: List = list(Shape::Structure(TAG), 0, 50);
pub(super) static TAG_KEYS: List = list(Shape::Text(&TAG_KEY), 1, 50);

pub(super) const MAX_RESULTS: Shape = Shape::Number(0, 100);
pub(super) static NEXT_TOKEN: Text = Text::new(0, 65_535, "[a-zA-Z0-9=_-]+");
static FILTER_VALUE: Text = Text::new(1, 255, r"[0-9a-zA-Z_ :*.\\/?-]*");
pub(super) static FILTER_VALUES: List = list(Shape::Text(&FILTER_VALUE), 0, usize::MAX);
pub(super) static HOSTNAME: Text = Text::new(
    0,
    255,
    "(([a-zA-Z0-9-]*[a-zA-Z0-9])\\.)*([A-Za-z0-9:-]*[A-Za-z0-9])",
);
/// A path that may be empty.
pub(super) static PATH: Text = Text::new(0, 4096, r"[a-zA-Z0-9_+./()\p{Zs}-]*");
/// A path of at least one character.
pub(super) static FULL_PATH: Text = Text::new(0, 4096, r"[a-zA-Z0-9_+./()\p{Zs}-]+");
