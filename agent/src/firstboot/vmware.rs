//! What VMware keeps for its machines: the environment of OVF, where no optical drive holds it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::found::bounded;

/// What people know it as.
pub(super) const PLACE: &str = "guestinfo.ovfEnv";
/// Of open-vm-tools.
const TOOL: &str = "vmware-rpctool";
/// The tool's exit code where the value is not set: "No value found".
const EXIT_UNSET: i32 = 1;

/// The environment, if this is a machine of VMware, its tools are there and it has one.
///
/// # Errors
/// If there is one that cannot be had.
pub(super) fn environment(root: &Path) -> Result<Option<String>, String> {
    let vendor = fs::read_to_string(root.join("sys/class/dmi/id/sys_vendor")).unwrap_or_default();
    if !vendor.starts_with("VMware") {
        return Ok(None);
    }
    answer().map_err(|error| format!("{PLACE}: {error}"))
}

fn answer() -> io::Result<Option<String>> {
    let started = Command::new(TOOL)
        .arg(format!("info-get {PLACE}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut tool = match started {
        Ok(tool) => tool,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Taken: what writes more than is read fails at it, and ends.
    let document = tool.stdout.take().map(bounded);
    let ended = tool.wait()?;
    let document = document.transpose()?.unwrap_or_default();
    match ended.code() {
        Some(0) if document.trim().is_empty() => Ok(None),
        Some(0) => Ok(Some(document)),
        Some(EXIT_UNSET) => Ok(None),
        _ => Err(io::Error::other(format!("{TOOL}: {ended}"))),
    }
}
