//! How much of a destination one execution may delete.

use serde::{Deserialize, Serialize};

/// The largest share of the destination's objects that `PreserveDeletedFiles=REMOVE` may delete
/// once there are more than 1,000 candidates, in percent: 0 to 100; 50 unless something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct DeleteShareMax(u8);

/// Not a share in percent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a whole number from 0 to 100")]
pub struct NotAShare(String);

impl DeleteShareMax {
    /// The tag of a task, or of StartTaskExecution, that says another share. It is not DataSync's.
    pub const TAG: &str = "datasync:delete-share-max-percent";

    /// In percent.
    #[must_use]
    pub fn percent(self) -> u64 {
        self.0.into()
    }
}

impl Default for DeleteShareMax {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u8> for DeleteShareMax {
    type Error = NotAShare;

    fn try_from(percent: u8) -> Result<Self, Self::Error> {
        if percent <= 100 {
            Ok(Self(percent))
        } else {
            Err(NotAShare(percent.to_string()))
        }
    }
}

impl From<DeleteShareMax> for u8 {
    fn from(share: DeleteShareMax) -> Self {
        share.0
    }
}

impl std::str::FromStr for DeleteShareMax {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let percent = text.parse().ok().filter(|_| digits);
        percent
            .and_then(|percent: u8| Self::try_from(percent).ok())
            .ok_or_else(|| NotAShare(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        for (text, percent) in [("0", 0), ("50", 50), ("100", 100), ("007", 7)] {
            assert_eq!(text.parse().map(DeleteShareMax::percent), Ok(percent));
        }
        for text in ["", "101", "-1", "+5", "5.5", "50 %", " 5", "256"] {
            let error = text.parse::<DeleteShareMax>().unwrap_err();
            assert!(error.to_string().contains("from 0 to 100"), "{error}");
        }
        assert!(serde_json::from_str::<DeleteShareMax>("101").is_err());
    }
}
