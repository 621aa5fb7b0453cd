//! The statements that differ between the databases. Each SELECT gives `id, version, body`, reads what
//! it shows by an index, and no more.

/// One text for each statement.
#[derive(Debug)]
pub(super) struct Statements {
    /// Records of the kind `?1` whose ids are in the JSON array `?2`.
    pub(super) several: &'static str,
    /// Deletes the records of the kind `?1` whose ids are in the JSON array `?2`.
    pub(super) delete_several: &'static str,
    /// `?4` records of the kind `?1` and the parent `?2` after `?3`.
    pub(super) children: &'static str,
    /// `?2` executions that have not ended after `?1`.
    pub(super) live_executions: &'static str,
    /// Executions that an agent was told of and that have not ended.
    pub(super) launched_executions: &'static str,
    /// `?3` executions that wait, the longest waiting first and by id, from the time `?1` on
    /// after `?2`.
    pub(super) queued_executions: &'static str,
    /// How many executions wait, as the version of one row.
    pub(super) queue_length: &'static str,
    /// `?2` executions of the task `?1` that have not ended: first what is launched, then what
    /// waits, the longest waiting first.
    pub(super) live_of_task: &'static str,
    /// Executions of the tasks whose ids are in the JSON array `?1` that have not ended, `?2` at
    /// most.
    pub(super) live_of_tasks: &'static str,
    /// `?4` executions that ended before `?3`, the earliest first and by id, from the time `?1` on
    /// after `?2`.
    pub(super) ended_executions: &'static str,
    /// `?4` tasks whose next start is due at `?3` at the latest, the earliest first and by id, from
    /// the time `?1` on after `?2`.
    pub(super) planned_tasks: &'static str,
    /// `?3` tasks that were found to be `?1`, after `?2`.
    pub(super) tasks_by_readiness: &'static str,
    /// `?3` tasks that read from the location `?1`, after `?2`.
    pub(super) tasks_by_source: &'static str,
    /// `?3` tasks that write to the location `?1`, after `?2`.
    pub(super) tasks_by_destination: &'static str,
    /// `?2` agents that the machine with the key pair `?1` may act as.
    pub(super) agents_by_key: &'static str,
}
