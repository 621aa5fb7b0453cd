//! Messages as they went over the wire, by the release that said them: a file in hexadecimal for each
//! kind, in `proto/recorded/RELEASE/SIDE`.

#![allow(dead_code, reason = "each of the tests that share this needs a part")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as FromControl;
use datasync_proto::{AgentMessage, ControlMessage, Message};

/// The release that is built.
pub(crate) const PRESENT: &str = env!("CARGO_PKG_VERSION");
/// In hexadecimal digits.
const LINE: usize = 96;

/// What one side says.
pub(crate) trait Said: Message + Default {
    /// The name of the folder.
    const SIDE: &'static str;
    const KINDS: &'static [&'static str];

    /// One of [`Self::KINDS`].
    fn kind(&self) -> &'static str;
}

impl Said for AgentMessage {
    const SIDE: &'static str = "agent";
    const KINDS: &'static [&'static str] = &[
        "applied",
        "execution",
        "heartbeat",
        "hello",
        "log",
        "probed",
        "report_signed",
    ];

    fn kind(&self) -> &'static str {
        match self.message.as_ref().unwrap() {
            FromAgent::Hello(_) => "hello",
            FromAgent::Heartbeat(_) => "heartbeat",
            FromAgent::Execution(_) => "execution",
            FromAgent::Probed(_) => "probed",
            FromAgent::Applied(_) => "applied",
            FromAgent::ReportSigned(_) => "report_signed",
            FromAgent::Log(_) => "log",
        }
    }
}

impl Said for ControlMessage {
    const SIDE: &'static str = "control";
    const KINDS: &'static [&'static str] = &[
        "credentials",
        "deactivate",
        "desired",
        "heartbeat_ack",
        "log_kept",
        "renew",
        "report_countersigned",
        "welcome",
    ];

    fn kind(&self) -> &'static str {
        match self.message.as_ref().unwrap() {
            FromControl::Welcome(_) => "welcome",
            FromControl::HeartbeatAck(_) => "heartbeat_ack",
            FromControl::Desired(_) => "desired",
            FromControl::Credentials(_) => "credentials",
            FromControl::Deactivate(_) => "deactivate",
            FromControl::ReportCountersigned(_) => "report_countersigned",
            FromControl::LogKept(_) => "log_kept",
            FromControl::Renew(_) => "renew",
        }
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/recorded")
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The releases that something is recorded of.
pub(crate) fn releases() -> Vec<String> {
    names(&folder())
}

/// What was recorded of one side of a release, by kind.
pub(crate) fn bytes<M: Said>(release: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = folder().join(release).join(M::SIDE);
    let files = names(&folder).into_iter();
    files
        .map(|name| {
            let text = fs::read_to_string(folder.join(&name)).unwrap();
            let kind = name.strip_suffix(".hex").unwrap().to_owned();
            (kind, from_hex(&text))
        })
        .collect()
}

/// The same, decoded.
pub(crate) fn said<M: Said>(release: &str) -> BTreeMap<String, M> {
    let recorded = bytes::<M>(release).into_iter();
    recorded
        .map(|(kind, bytes)| (kind, M::decode(bytes.as_slice()).unwrap()))
        .collect()
}

/// Whether what is said now is to be recorded.
pub(crate) fn is_recording() -> bool {
    std::env::var("DATASYNC_RECORD").is_ok_and(|wish| wish == "write")
}

/// Records what this release says, of each kind the longest, if that is wished for.
pub(crate) fn record<M: Said>(messages: impl IntoIterator<Item = M>) {
    if !is_recording() {
        return;
    }
    let mut longest = BTreeMap::<&str, Vec<u8>>::new();
    for message in messages {
        let (kind, bytes) = (message.kind(), message.encode_to_vec());
        let known = longest.entry(kind).or_default();
        if bytes.len() >= known.len() {
            *known = bytes;
        }
    }
    let folder = folder().join(PRESENT).join(M::SIDE);
    fs::create_dir_all(&folder).unwrap();
    for (kind, bytes) in longest {
        fs::write(folder.join(format!("{kind}.hex")), to_hex(&bytes)).unwrap();
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let digits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect();
    digits
        .chunks(LINE)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\n")
        .collect()
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}
