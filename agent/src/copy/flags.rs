//! The flags of `copy`, all of them text until [`super::CopyRequest::new`] has checked them.

use clap::Args;

use crate::config::ProcessFlags;
use crate::store_flags::StoreFlags;

/// Locations, options and output of one copy. No flag takes a secret.
#[derive(Debug, Clone, Default, Args)]
pub struct CopyFlags {
    /// nfs://HOST[:PORT]/EXPORT/PATH, an IPv6 address in brackets; or s3://BUCKET[/PREFIX]
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// s3://BUCKET[/PREFIX]
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: String,
    #[command(flatten)]
    pub(super) store: StoreFlags,
    /// Store that an s3:// SOURCE is read from [default: that of DESTINATION]
    #[arg(long, value_name = "URL")]
    pub(super) source_endpoint_url: Option<String>,
    /// Region of the source's bucket [default: that of DESTINATION where both are in one store, else
    /// as the store says]
    #[arg(long, value_name = "REGION")]
    pub(super) source_region: Option<String>,
    /// Profile to read an s3:// SOURCE with [default: that of DESTINATION]
    #[arg(long, value_name = "PROFILE")]
    pub(super) source_profile: Option<String>,
    /// Class of new objects: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER,
    /// DEEP_ARCHIVE, OUTPOSTS, GLACIER_INSTANT_RETRIEVAL [default: STANDARD]
    #[arg(long, value_name = "CLASS")]
    pub(super) storage_class: Option<String>,
    /// CHANGED or ALL [default: CHANGED]
    #[arg(long, value_name = "MODE")]
    pub(super) transfer_mode: Option<String>,
    /// ALWAYS or NEVER [default: ALWAYS]
    #[arg(long, value_name = "MODE")]
    pub(super) overwrite_mode: Option<String>,
    /// POINT_IN_TIME_CONSISTENT, ONLY_FILES_TRANSFERRED or NONE [default: ONLY_FILES_TRANSFERRED]
    #[arg(long, value_name = "MODE")]
    pub(super) verify_mode: Option<String>,
    /// deep: reads everything again at the end, also what an earlier end check proved; implies
    /// --verify-mode POINT_IN_TIME_CONSISTENT
    #[arg(long, value_name = "WORD")]
    pub(super) verify: Option<String>,
    /// PRESERVE or REMOVE [default: PRESERVE]
    #[arg(long, value_name = "WORD")]
    pub(super) preserve_deleted_files: Option<String>,
    /// Largest share of the destination's objects to delete once there are more than 1,000 to
    /// delete, in percent [default: 50]
    #[arg(long, value_name = "PERCENT")]
    pub(super) delete_share_max_percent: Option<String>,
    /// SHA256: every object must be proven by the store's own SHA-256, or nothing is copied.
    /// AUTOMATIC: by what the store checks [default: AUTOMATIC]
    #[arg(long, value_name = "WORD")]
    pub(super) checksum_algorithm: Option<String>,
    /// REFUSE: entries whose names are not UTF-8 fail. ESCAPE: their keys have the bytes escaped, so that
    /// the way back restores them [default: ESCAPE]
    #[arg(long, value_name = "WORD")]
    pub(super) name_encoding: Option<String>,
    /// PRESERVE keeps access control lists of NFSv4, in objects as metadata of their own [default: NONE]
    #[arg(long, value_name = "WORD")]
    pub(super) acls: Option<String>,
    /// PRESERVE keeps extended attributes (user.*), in objects as metadata of their own [default: NONE]
    #[arg(long, value_name = "WORD")]
    pub(super) xattrs: Option<String>,
    /// Bandwidth limit, such as 100MiB; -1 for none [default: -1]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(super) bytes_per_second: Option<String>,
    /// Limits by the time of the week, such as 'Europe/Berlin Mon-Fri 08:00-18:00 10MiB / Sat+Sun
    /// unlimited'; --bytes-per-second is for the rest
    #[arg(long, value_name = "TIMETABLE")]
    pub(super) bandwidth_timetable: Option<String>,
    /// INT_VALUE or NONE [default: INT_VALUE; NONE from objects to objects, as for the next four]
    #[arg(long, value_name = "WORD")]
    pub(super) uid: Option<String>,
    /// INT_VALUE or NONE [default: INT_VALUE]
    #[arg(long, value_name = "WORD")]
    pub(super) gid: Option<String>,
    /// PRESERVE or NONE [default: PRESERVE]
    #[arg(long, value_name = "WORD")]
    pub(super) mtime: Option<String>,
    /// BEST_EFFORT or NONE [default: BEST_EFFORT]
    #[arg(long, value_name = "WORD")]
    pub(super) atime: Option<String>,
    /// PRESERVE or NONE [default: PRESERVE]
    #[arg(long, value_name = "WORD")]
    pub(super) posix_permissions: Option<String>,
    /// PRESERVE or NONE [default: NONE]
    #[arg(long, value_name = "WORD")]
    pub(super) preserve_devices: Option<String>,
    /// PRESERVE or NONE: tags of objects that are copied to objects [default: PRESERVE]
    #[arg(long, value_name = "WORD")]
    pub(super) object_tags: Option<String>,
    /// PRESERVE or NONE: metadata of objects that are copied to objects [default: PRESERVE]
    #[arg(long, value_name = "WORD")]
    pub(super) object_metadata: Option<String>,
    /// Copies only what matches, such as /home|/srv/*/www; may be given several times
    #[arg(long, value_name = "PATTERNS")]
    pub(super) include: Vec<String>,
    /// Leaves out what matches, such as '*.tmp|*/cache'; may be given several times
    #[arg(long, value_name = "PATTERNS")]
    pub(super) exclude: Vec<String>,
    /// Directory for what a copy needs to go on after an interruption [default:
    /// $XDG_STATE_HOME/datasync-agent/copy, or the same below ~/.local/state]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) state_dir: Option<String>,
    /// Says what would be copied, deleted and left out, and what it would cost; writes nothing to
    /// DESTINATION
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Prints one JSON document at the end in place of the summary
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(super) process: ProcessFlags,
}
