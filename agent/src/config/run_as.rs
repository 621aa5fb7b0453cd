//! The user that a process which started as root becomes.

use std::fmt;
use std::str::FromStr;

use super::layers::Layers;

/// A user and a group, by number: an image may have no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    /// Not root.
    pub user: u32,
    /// The only group.
    pub group: u32,
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

impl FromStr for RunAs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The largest number is how the system says "no change".
        let number = |text: &str| text.parse().ok().filter(|n| (1..u32::MAX).contains(n));
        text.split_once(':')
            .and_then(|(user, group)| Some((number(user)?, number(group)?)))
            .map(|(user, group)| Self { user, group })
            .ok_or_else(|| {
                format!("{text:?} is not USER:GROUP in numbers other than 0, for example 2000:2000")
            })
    }
}

impl Layers {
    /// The user to become before anything else is read, checked or opened.
    ///
    /// # Errors
    /// A sentence, if the value is none.
    pub fn run_as(&self) -> Result<Option<RunAs>, String> {
        let parsed = self.given.get("run_as").map(|given| {
            let fault = |what| format!("run_as ({}): {what}", given.origin);
            given.value.parse().map_err(fault)
        });
        parsed.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn read(text: &str) -> Result<Option<RunAs>, String> {
        let flags = Overrides::default().set("run_as", Some(text)).unwrap();
        Layers::read(None, [], flags).unwrap().run_as()
    }

    #[test]
    fn user_and_group_are_numbers_and_never_root() {
        let (user, group) = (2000, 2001);
        assert_eq!(read("2000:2001"), Ok(Some(RunAs { user, group })));
        assert_eq!(Layers::default().run_as(), Ok(None));
        for wrong in [
            "",
            "2000",
            "0:2000",
            "2000:0",
            "a:b",
            "-1:1",
            "4294967295:1",
            "1:1:1",
        ] {
            let fault = read(wrong).unwrap_err();
            assert!(fault.starts_with("run_as (flag --run-as): "), "{fault}");
        }
    }
}
