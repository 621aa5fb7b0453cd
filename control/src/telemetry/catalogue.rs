//! Every metric of control.

datasync_telemetry::metrics! {
    /// 1, with the version of the program.
    BUILD_INFO: Gauge, "", "datasync_control_build_info", ["version"];
    /// When the process was started, since 1970.
    START_TIME: Gauge, "seconds", "datasync_control_start_time_seconds", [];
    /// Time of processors that the process has used.
    CPU: Counter, "seconds", "datasync_control_cpu_seconds_total", [];
    /// Memory of the process that is in RAM.
    RESIDENT: Gauge, "bytes", "datasync_control_resident_memory_bytes", [];
    /// Calls of the API by operation and result: answered, refused (400 to 499), failed (500 and
    /// more). Operations that do not exist are `unknown`.
    API_CALLS: Counter, "calls", "datasync_control_api_calls_total", ["operation", "result"];
    /// How long calls of the API took, from their head to the answer.
    API_TIMES: Histogram, "seconds", "datasync_control_api_call_duration_seconds", [];
    /// Connections that were refused, or did not get through TLS, by port: `api`, `agents`.
    REFUSED: Counter, "connections", "datasync_control_connections_refused_total", ["port"];
    /// Sessions that agents have with this control.
    SESSIONS: Gauge, "sessions", "datasync_control_agent_sessions", [];
    /// Agents by status, in the API's words; the same on every control of a database.
    AGENTS: Gauge, "agents", "datasync_control_agents", ["status"];
    /// Agents that had an update, by where the last one stands: `FETCHING`, `REFUSED`, `WAITING`,
    /// `TRYING`, `CONFIRMED`, `ROLLED_BACK`; the same on every control of a database.
    AGENT_UPDATES: Gauge, "agents", "datasync_control_agent_updates", ["state"];
    /// Executions that have not ended, by status in the API's words; the same on every control of a
    /// database.
    EXECUTIONS: Gauge, "executions", "datasync_control_executions", ["status"];
    /// 1 if the store answered for this page; without it, metrics of its rows are absent.
    STORE_UP: Gauge, "", "datasync_control_store_up", [];
    /// How long transactions took, the wait for their turn included: `read`, `write`.
    STORE_TIMES: Histogram, "seconds", "datasync_control_store_transaction_duration_seconds", ["access"];
    /// Events that were not told to every receiver yet.
    EVENTS_WAITING: Gauge, "events", "datasync_control_events_waiting", [];
    /// Events that had to go although a receiver had not been told, since the database was made.
    EVENTS_DROPPED: Lasting, "events", "datasync_control_events_dropped_total", [];
    /// Logs of executions of which a part is to be sent to CloudWatch Logs.
    LOGS_WAITING: Gauge, "logs", "datasync_control_logs_waiting", [];
    /// When a certificate ends, since 1970: that which `agents` or `api` clients are shown, and the
    /// `authority` that issues.
    CERTIFICATE_END: Gauge, "seconds", "datasync_control_certificate_expiry_timestamp_seconds", ["certificate"];
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
            .filter(|row| row.starts_with("| `datasync_control_"))
            .collect();
        let ours: BTreeSet<String> = CATALOGUE.iter().map(|metric| metric.row()).collect();
        let missing: Vec<_> = ours.difference(&listed).collect();
        let surplus: Vec<_> = listed.difference(&ours).collect();
        assert!(missing.is_empty(), "not in docs/metrics.md:\n{missing:#?}");
        assert!(surplus.is_empty(), "no metric of control:\n{surplus:#?}");
    }
}
