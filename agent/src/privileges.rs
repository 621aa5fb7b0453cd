//! Giving up root. Docker and Kubernetes give added capabilities to root alone, so that only a
//! process that starts as root may open port 80: this is how it becomes an ordinary user and keeps
//! that one right.

use std::io;

use datasync_agent::RunAs;
use rustix::process::{getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, configure_capability_in_ambient_set,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

/// Becomes `wanted`, with no capability but that of ports below 1024, if it is there.
///
/// To be called while the process has one thread: the system knows these rights by thread.
///
/// # Errors
/// A sentence that says what the system refused.
pub(crate) fn become_user(wanted: RunAs) -> Result<(), String> {
    let (user, group) = (Uid::from_raw(wanted.user), Gid::from_raw(wanted.group));
    if !getuid().is_root() {
        if getuid() == user && getgid() == group {
            return Ok(());
        }
        return Err(format!(
            "run_as is {wanted}, and only root can become another user: the process started as {}:{}",
            getuid().as_raw(),
            getgid().as_raw()
        ));
    }
    let kept = held().map_err(|e| format!("cannot read this process's capabilities: {e}"))?;
    change(user, group, kept).map_err(|e| {
        format!("cannot become {wanted}: {e}; root needs the capabilities SETUID and SETGID for it")
    })
}

/// What is kept of the capabilities that there are.
fn held() -> io::Result<CapabilitySet> {
    Ok(capabilities(None)?.permitted & CapabilitySet::NET_BIND_SERVICE)
}

fn change(user: Uid, group: Gid, kept: CapabilitySet) -> io::Result<()> {
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_keep_capabilities(false)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: kept,
        },
    )?;
    // What this process starts has the right too: a new version of it, say.
    if !kept.is_empty() {
        configure_capability_in_ambient_set(kept, true)?;
    }
    Ok(())
}
