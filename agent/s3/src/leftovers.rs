//! What probes that were cut off left behind: an open that was cancelled, a machine that lost
//! power. The next open of the location removes it.

use datasync_endpoint::{EndpointError, ErrorKind, Key, ListPage, ListedObject, Timestamp};

use crate::destination::Store;
use crate::probe::DIRECTORY;

/// Begins the name of every probe's object; 16 hexadecimal digits follow.
pub(crate) const NAME: &str = "probe-";
const DIGITS: usize = 16;
/// A probe lasts at most half as long: what is older belongs to none that still runs.
pub(crate) const STALE_SECONDS: i64 = 600;
/// The most objects that one open removes; more wait for the next.
const REMOVED_MAX: usize = 50;

fn is_probe(key: &Key) -> bool {
    let name = key.as_str().strip_prefix(DIRECTORY);
    let digits = name.and_then(|name| name.strip_prefix(NAME));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Of a listing, the objects of probes that ended long before `now`.
fn stale(listed: &[ListedObject], now: Timestamp) -> impl Iterator<Item = &Key> {
    let ended = move |object: &&ListedObject| {
        let age = now.seconds.saturating_sub(object.last_modified.seconds);
        is_probe(&object.key) && age >= STALE_SECONDS
    };
    listed.iter().filter(ended).map(|object| &object.key)
}

/// Whether the first page of a listing tells that there are no objects of probes.
fn tells_of_none(first: &ListPage) -> bool {
    let behind = format!("{DIRECTORY}{}", NAME.replace('-', "."));
    let reaches = |last: &ListedObject| last.key.as_str() >= behind.as_str();
    let covers = !first.more || first.objects.last().is_some_and(reaches);
    covers && !first.objects.iter().any(|object| is_probe(&object.key))
}

impl Store {
    /// Removes what other probes left. `own` is the object of this one: its date tells the store's
    /// time, to which those of the others are compared. `first` is the first page of the location's
    /// listing, of before this probe.
    pub(crate) async fn remove_leftovers(
        &self,
        own: &Key,
        first: &ListPage,
    ) -> Result<(), EndpointError> {
        if tells_of_none(first) {
            return Ok(());
        }
        let before = Key::from_listing(format!("{DIRECTORY}{NAME}"));
        let listed = self.list_page(Some(&before)).await?.objects;
        let Some(now) = listed.iter().find(|object| object.key == *own) else {
            return Ok(());
        };
        for key in stale(&listed, now.last_modified).take(REMOVED_MAX) {
            let object_key = self.place.object_key(key);
            tracing::info!(object_key, "removing what an unfinished probe left");
            self.clear(&object_key).await?;
        }
        Ok(())
    }

    /// Aborts a probe's uploads, then deletes its object: while an upload cannot be aborted, the
    /// object stays and tells of it.
    pub(crate) async fn clear(&self, object_key: &str) -> Result<(), EndpointError> {
        let uploads = match self.uploads_of(object_key).await {
            // Most probably they could not be begun either.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::PermissionDenied | ErrorKind::NotSupported
                ) =>
            {
                Vec::new()
            }
            uploads => uploads?,
        };
        for upload in uploads {
            self.abort(object_key, &upload.id).await?;
        }
        self.remove(object_key, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, seconds: i64) -> ListedObject {
        ListedObject {
            key: Key::from_listing(key.to_owned()),
            size: 1,
            etag: "\"e\"".to_owned(),
            last_modified: Timestamp {
                seconds,
                nanoseconds: 0,
            },
            storage_class: None,
        }
    }

    #[test]
    fn a_first_page_that_reaches_beyond_probes_tells_of_all() {
        let probe = ".aws-datasync/probe-0123456789abcdef";
        for (keys, more, tells) in [
            (&[][..], false, true),
            (&[" ", "-"], true, false),
            (&[" ", "-"], false, true),
            (&["-", ".aws-datasync/probe-"], true, false),
            (&["-", ".aws-datasync/report"], true, true),
            (&["-", "a"], true, true),
            (&["-", probe], false, false),
            (&["-", probe, "a"], true, false),
        ] {
            let objects = keys.iter().map(|key| object(key, 0)).collect();
            assert_eq!(
                tells_of_none(&ListPage { objects, more }),
                tells,
                "{keys:?}"
            );
        }
    }

    #[test]
    fn only_old_objects_of_probes_are_stale() {
        let listed = [
            object(".aws-datasync/probe-0123456789abcde", 0),
            object(".aws-datasync/probe-0123456789abcdef", 400),
            object(".aws-datasync/probe-0123456789abcdee", 401),
            object(".aws-datasync/probe-0123456789abcdef/x", 0),
            object(".aws-datasync/probe-0123456789abcdeg", 0),
            object(".aws-datasync/report", 0),
            object("probe-0123456789abcdef", 0),
        ];
        let now = Timestamp {
            seconds: 1000,
            nanoseconds: 0,
        };
        let found: Vec<&str> = stale(&listed, now).map(Key::as_str).collect();
        assert_eq!(found, [".aws-datasync/probe-0123456789abcdef"]);
    }
}
