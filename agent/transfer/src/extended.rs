//! What an item's object is to have beyond POSIX metadata.

use datasync_endpoint::{
    Abilities, Destination, EndpointError, ErrorKind, ExtendedKinds, ExtendedMetadata,
    PosixMetadata, Source,
};
use datasync_model::ErrorCode;

use crate::attempts::{Attempts, is_endpoint_wide};
use crate::outcome::ItemFailure;
use crate::waits::Wait;
use crate::walk::SourceEntry;

/// Access control list and extended attributes of an item, as far as its object can have them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// `None` where the execution keeps none.
    pub(crate) extended: Option<Box<ExtendedMetadata>>,
    /// Why the object is to have less than the item has: content and other metadata are copied all the
    /// same, and the item counts as failed.
    pub(crate) left_out: Option<ItemFailure>,
}

/// Asks the source, which costs a call or more, and fits the answer into what the destination takes.
///
/// # Errors
/// What may be otherwise at the next try, and what is not the item's alone.
pub(crate) async fn kept<S: Source, D: Destination>(
    (source, destination): (&S, &D),
    attempts: &Attempts,
    entry: &SourceEntry,
    metadata: &PosixMetadata,
) -> Result<Kept, EndpointError> {
    if source.extended_kinds().is_none() {
        return Ok(Kept::default());
    }
    let asked = attempts.run(|| source.extended(&entry.node));
    let told = attempts.waits().during(Wait::Source, asked).await;
    match told {
        Ok(extended) => Ok(fitted(extended, metadata, destination.abilities())),
        Err(error) if is_the_items(error.kind) => Ok(Kept {
            extended: Some(Box::default()),
            left_out: Some(unread(&error)),
        }),
        Err(error) => Err(error),
    }
}

/// Whether the source said something of this item that no other try will change.
fn is_the_items(kind: ErrorKind) -> bool {
    let is_gone = matches!(kind, ErrorKind::Stale | ErrorKind::NotFound);
    !kind.is_transient() && !is_endpoint_wide(kind) && !is_gone
}

fn unread(error: &EndpointError) -> ItemFailure {
    let mut failed = ItemFailure::of_source(error);
    if error.kind == ErrorKind::TooLarge {
        failed.failure.code = ErrorCode::MetadataTooLarge;
    }
    failed.failure.detail = format!(
        "copied without access control list and extended attributes, which cannot be read: {}",
        failed.failure.detail
    );
    failed.is_in_place = true;
    failed
}

fn fitted(extended: ExtendedMetadata, metadata: &PosixMetadata, abilities: &Abilities) -> Kept {
    let Some(max) = abilities.user_metadata_max else {
        return Kept {
            extended: Some(Box::new(extended)),
            left_out: None,
        };
    };
    let (has_acl, has_xattrs) = (extended.acl.is_some(), !extended.xattrs.is_empty());
    let (kept, whole) = extended.fitted(&metadata.to_pairs(), max);
    let left_out = whole.map(|whole| {
        let what = match (
            has_acl && kept.acl.is_none(),
            has_xattrs && kept.xattrs.is_empty(),
        ) {
            (true, true) => "access control list and extended attributes",
            (true, false) => "access control list",
            (false, _) => "extended attributes",
        };
        let detail = format!(
            "copied without {what}: with them its metadata have {whole} bytes, and the store takes {max} \
             for each object"
        );
        ItemFailure {
            is_in_place: true,
            ..ItemFailure::new(ErrorCode::MetadataTooLarge, detail)
        }
    });
    Kept {
        extended: Some(Box::new(kept)),
        left_out,
    }
}

/// Whether what the destination told is as it should be. An entry of a file system has a list even where
/// none was given.
pub(crate) fn agrees(
    wanted: Option<&ExtendedMetadata>,
    found: Option<&ExtendedMetadata>,
    kinds: ExtendedKinds,
    abilities: &Abilities,
) -> bool {
    let Some(wanted) = wanted else {
        return true;
    };
    let found = found.cloned().unwrap_or_default().only(kinds);
    let is_given = wanted.acl.is_some() || abilities.user_metadata_max.is_some();
    wanted.xattrs == found.xattrs && (!is_given || wanted.acl == found.acl)
}

/// For messages: of attributes the names alone, since values may be long.
pub(crate) fn in_words(extended: Option<&ExtendedMetadata>) -> String {
    let Some(extended) = extended else {
        return "no access control list, no extended attributes".to_owned();
    };
    let acl = extended.acl.as_ref();
    let acl = acl.map_or_else(|| "none".to_owned(), ToString::to_string);
    let names = extended.xattrs.iter();
    let names: Vec<String> = names
        .map(|(name, _)| name.escape_ascii().to_string())
        .collect();
    format!("access control list {acl}, extended attributes {names:?}")
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::memory::MemoryDestination;

    use super::*;

    const BOTH: ExtendedKinds = ExtendedKinds {
        acls: true,
        xattrs: true,
    };

    fn extended(acl: Option<&str>, value: &[u8]) -> ExtendedMetadata {
        let mut made = ExtendedMetadata {
            acl: acl.map(|acl| acl.parse().unwrap()),
            ..ExtendedMetadata::default()
        };
        assert!(value.is_empty() || made.xattrs.add(b"colour", value));
        made
    }

    fn abilities(user_metadata_max: Option<usize>) -> Abilities {
        let made = MemoryDestination::new();
        let made = made.with_abilities(|abilities| abilities.user_metadata_max = user_metadata_max);
        datasync_endpoint::Destination::abilities(&made).clone()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let metadata = PosixMetadata::default();
        let both = || extended(Some("A::OWNER@:rw"), &[7; 300]);
        let kept = fitted(both(), &metadata, &abilities(Some(200)));
        assert_eq!(*kept.extended.unwrap(), extended(Some("A::OWNER@:rw"), b""));
        let failure = kept.left_out.unwrap().failure;
        assert_eq!(failure.code, ErrorCode::MetadataTooLarge);
        assert!(
            failure.detail.contains("without extended attributes: "),
            "{failure}"
        );
        let kept = fitted(both(), &metadata, &abilities(Some(20)));
        let failure = kept.left_out.unwrap().failure;
        assert!(failure.detail.contains("list and extended"), "{failure}");
        for max in [Some(2048), None] {
            let kept = fitted(both(), &metadata, &abilities(max));
            assert!(kept.left_out.is_none() && *kept.extended.unwrap() == both());
        }
    }

    #[test]
    fn a_list_that_was_not_given_is_compared_with_objects_alone() {
        let (store, files) = (abilities(Some(2048)), abilities(None));
        let (none, some) = (extended(None, b""), extended(Some("A::1:r"), b""));
        let other = extended(Some("A::2:r"), b"");
        assert!(agrees(None, Some(&some), BOTH, &store));
        assert!(agrees(Some(&none), None, BOTH, &store));
        assert!(!agrees(Some(&none), Some(&some), BOTH, &store));
        assert!(agrees(Some(&none), Some(&some), BOTH, &files));
        assert!(!agrees(Some(&some), Some(&other), BOTH, &files));
        let acls = ExtendedKinds {
            acls: true,
            xattrs: false,
        };
        let coloured = extended(Some("A::1:r"), b"blue");
        assert!(agrees(Some(&some), Some(&coloured), acls, &store));
        assert!(!agrees(Some(&some), Some(&coloured), BOTH, &store));
    }
}
