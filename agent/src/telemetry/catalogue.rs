//! Every metric of the agent.

datasync_telemetry::metrics! {
    /// 1, with the version of the program.
    BUILD_INFO: Gauge, "", "datasync_agent_build_info", ["version"];
    /// When the process was started, since 1970.
    START_TIME: Gauge, "seconds", "datasync_agent_start_time_seconds", [];
    /// Time of processors that the process has used.
    CPU: Counter, "seconds", "datasync_agent_cpu_seconds_total", [];
    /// Memory of the process that is in RAM.
    RESIDENT: Gauge, "bytes", "datasync_agent_resident_memory_bytes", [];
    /// Bytes of files that may be in memory (`memory_target`), of all executions together.
    MEMORY_TARGET: Gauge, "bytes", "datasync_agent_memory_target_bytes", [];
    /// The limit of the control group on the process's memory; absent without one.
    MEMORY_LIMIT: Gauge, "bytes", "datasync_agent_memory_limit_bytes", [];
    /// Free on the file system of the state directory.
    DISK_FREE: Gauge, "bytes", "datasync_agent_state_disk_free_bytes", [];
    /// Size of the file system of the state directory.
    DISK_SIZE: Gauge, "bytes", "datasync_agent_state_disk_size_bytes", [];
    /// Journals of executions, which a killed agent goes on by.
    JOURNALS: Gauge, "bytes", "datasync_agent_journal_bytes", [];
    /// Catalogs: what is known of the objects of each pair of locations.
    CATALOGS: Gauge, "bytes", "datasync_agent_catalog_bytes", [];
    /// Logs of executions that control has not kept yet.
    LOGS_WAITING: Gauge, "bytes", "datasync_agent_logs_waiting_bytes", [];
    /// 1 while the agent is activated.
    ACTIVATED: Gauge, "", "datasync_agent_activated", [];
    /// 1 while there is a session with control.
    CONNECTED: Gauge, "", "datasync_agent_connected", [];
    /// 1 for where the last update stands: `NONE`, `FETCHING`, `REFUSED`, `WAITING`, `TRYING`,
    /// `CONFIRMED`, `ROLLED_BACK`; `version` is what it is about, empty if there was none.
    UPDATE: Gauge, "", "datasync_agent_update", ["state", "version"];
    /// When the agent's certificate ends, since 1970; absent before activation.
    CERTIFICATE_END: Gauge, "seconds", "datasync_agent_certificate_expiry_timestamp_seconds", [];
    /// Executions on the agent, by their status in the API's words.
    EXECUTIONS: Gauge, "executions", "datasync_agent_executions", ["status"];
    /// Executions that may run at once; others wait as LAUNCHING.
    EXECUTIONS_MAX: Gauge, "executions", "datasync_agent_executions_max", [];
    /// Executions that ended on the agent, by their last status.
    EXECUTIONS_ENDED: Counter, "executions", "datasync_agent_executions_ended_total", ["status"];
    /// Items found at sources, inside the filters: files, directories, symlinks.
    ITEMS_FOUND: Counter, "items", "datasync_agent_items_discovered_total", [];
    /// Items whose object agreed already.
    ITEMS_UNCHANGED: Counter, "items", "datasync_agent_items_unchanged_total", [];
    /// Items that were written and acknowledged by the store with the right checksum.
    ITEMS_TRANSFERRED: Counter, "items", "datasync_agent_items_transferred_total", [];
    /// Items that were left out on purpose.
    ITEMS_SKIPPED: Counter, "items", "datasync_agent_items_skipped_total", [];
    /// Items that should have been handled and were not.
    ITEMS_FAILED: Counter, "items", "datasync_agent_items_failed_total", [];
    /// Items that a verification confirmed.
    ITEMS_VERIFIED: Counter, "items", "datasync_agent_items_verified_total", [];
    /// Items that a verification found to differ.
    ITEMS_MISMATCHED: Counter, "items", "datasync_agent_items_mismatched_total", [];
    /// Objects that were deleted at destinations.
    OBJECTS_DELETED: Counter, "objects", "datasync_agent_objects_deleted_total", [];
    /// Bytes of content that were read of sources, what was read again included.
    BYTES_READ: Counter, "bytes", "datasync_agent_read_bytes_total", [];
    /// Bytes of items that are with a store; what is sent again counts once.
    BYTES_WRITTEN: Counter, "bytes", "datasync_agent_written_bytes_total", [];
    /// Bytes of bodies that were given to the network, retries included: what the limits count.
    BYTES_SENT: Counter, "bytes", "datasync_agent_sent_bytes_total", [];
    /// NFS calls by procedure, retries included.
    NFS_REQUESTS: Counter, "requests", "datasync_agent_nfs_requests_total", ["kind"];
    /// Requests to stores by operation, retries included.
    S3_REQUESTS: Counter, "requests", "datasync_agent_s3_requests_total", ["kind"];
    /// Calls to sources and stores that were made again after an error that may pass.
    RETRIES: Counter, "calls", "datasync_agent_retries_total", [];
    /// Answers that asked to come again later, such as 503 SlowDown and JUKEBOX.
    THROTTLES: Counter, "answers", "datasync_agent_throttles_total", [];
    /// Requests in flight that concern an item or move content.
    IN_FLIGHT: Gauge, "requests", "datasync_agent_requests_in_flight", ["protocol"];
    /// Bytes written per second, over the last ten seconds, by all executions.
    RATE: Gauge, "bytes per second", "datasync_agent_rate_bytes_per_second", [];
    /// What all running executions together may send in a second; absent while one of them has no
    /// limit and the agent has none.
    LIMIT: Gauge, "bytes per second", "datasync_agent_limit_bytes_per_second", [];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Their list for people has exactly these rows.
    #[test]
    fn the_document_has_every_metric_and_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let document = std::fs::read_to_string(path).unwrap();
        let rows = document.lines().map(str::to_owned);
        let listed: BTreeSet<String> = rows
            .filter(|row| row.starts_with("| `datasync_agent_"))
            .collect();
        let ours: BTreeSet<String> = CATALOGUE.iter().map(|metric| metric.row()).collect();
        let missing: Vec<_> = ours.difference(&listed).collect();
        let surplus: Vec<_> = listed.difference(&ours).collect();
        assert!(missing.is_empty(), "not in docs/metrics.md:\n{missing:#?}");
        assert!(surplus.is_empty(), "no metric of the agent:\n{surplus:#?}");
    }
}
