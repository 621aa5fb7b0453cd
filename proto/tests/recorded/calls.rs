//! Messages of the calls beside the session, enrollment and the fetch of a release, by the release that
//! said them: a file for each call and side, in `proto/recorded/RELEASE/calls`.

#![allow(dead_code, reason = "each of the tests that share this needs a part")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::fs;
use std::path::PathBuf;

use datasync_proto::Message;

use super::store::{PRESENT, folder, from_hex, is_recording, names, to_hex};

/// Every call, as its files are named: what agents ask.
pub(crate) const REQUESTS: &[&str] = &[
    "await_activation",
    "claim_activation_key",
    "fetch_release",
    "renew_certificate",
    "request_activation_key",
];

fn place(release: &str) -> PathBuf {
    folder().join(release).join("calls")
}

/// The calls of which this side was recorded: `request` or `answer`.
pub(crate) fn recorded(release: &str, side: &str) -> Vec<String> {
    let end = format!(".{side}.hex");
    let all = names(&place(release)).into_iter();
    all.filter_map(|name| name.strip_suffix(&end).map(str::to_owned))
        .collect()
}

/// One message, without a loss: a member that is not known any more would be gone.
pub(crate) fn said<M: Message + Default>(release: &str, call: &str, side: &str) -> M {
    let path = place(release).join(format!("{call}.{side}.hex"));
    let bytes = from_hex(&fs::read_to_string(&path).unwrap());
    let message = M::decode(bytes.as_slice()).unwrap();
    assert_eq!(message.encode_to_vec(), bytes, "{}", path.display());
    message
}

/// Records what this release says, if that is wished for.
pub(crate) fn record(call: &str, side: &str, bytes: &[u8]) {
    if !is_recording() {
        return;
    }
    let place = place(PRESENT);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(format!("{call}.{side}.hex")), to_hex(bytes)).unwrap();
}
