//! Random trees, changes, options and faults against the reference model.

use std::collections::BTreeMap;
use std::time::Duration;

use datasync_endpoint::memory::{
    Action, Fault, MemoryDestination, MemorySource, Operation, Stored, Tree,
};
use datasync_endpoint::{EntryKind, ErrorKind, Integrity, Key};
use datasync_model::{
    Atime, Excludes, Gid, Mtime, OverwriteMode, PosixPermissions, PreserveDeletedFiles,
    TransferMode, Uid, VerifyMode,
};
use proptest::prelude::*;

use crate::world::{INTEGRITIES, World, bytes, cut_journal};

#[derive(Debug, Clone)]
enum Change {
    Write(usize, u8, u64),
    WriteQuietly(usize, u64),
    WriteSecretly(usize, u64),
    Add(Vec<u8>, u8),
    AddDirectory(Vec<u8>),
    Link(Vec<u8>, u8),
    Remove(usize),
    Mode(usize, u32),
    Owner(usize, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let names: [&[u8]; 10] = [
        b"a",
        b"a-b",
        b"a.c",
        b"b",
        b"\xff",
        "\u{10f7ff}".as_bytes(),
        b"n\n",
        b"0",
        b"~",
        b"aa",
    ];
    proptest::sample::select(names.map(<[u8]>::to_vec).to_vec())
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>(), any::<u64>()).prop_map(|(n, l, s)| Change::Write(n, l, s)),
        (any::<usize>(), any::<u64>()).prop_map(|(n, s)| Change::WriteQuietly(n, s)),
        (any::<usize>(), any::<u64>()).prop_map(|(n, s)| Change::WriteSecretly(n, s)),
        (path(), any::<u8>()).prop_map(|(path, length)| Change::Add(path, length)),
        path().prop_map(Change::AddDirectory),
        (path(), any::<u8>()).prop_map(|(path, length)| Change::Link(path, length)),
        any::<usize>().prop_map(Change::Remove),
        (any::<usize>(), 0u32..0o10000).prop_map(|(n, mode)| Change::Mode(n, mode)),
        (any::<usize>(), any::<u32>()).prop_map(|(n, owner)| Change::Owner(n, owner)),
    ]
}

/// One of the entries of this kind; not the root, and not the file that keeps the source from being
/// empty.
fn nth(tree: &Tree, n: usize, kind: Option<EntryKind>) -> Option<Vec<u8>> {
    let mut found: Vec<_> = tree
        .entries()
        .into_iter()
        .filter(|(_, inode)| kind.is_none_or(|kind| inode.attributes.kind == kind))
        .map(|(path, _)| path.to_absolute())
        .filter(|path| path != b"/" && path != b"/keep")
        .collect();
    found.sort();
    let count = found.len();
    (count > 0).then(|| found.swap_remove(n % count))
}

fn apply(tree: &mut Tree, change: &Change) {
    let file = Some(EntryKind::File);
    match change {
        Change::Write(n, length, seed) => {
            if let Some(path) = nth(tree, *n, file) {
                tree.write(path, bytes(*seed, u64::from(*length)));
            }
        }
        // With mtime put back the change is seen where the size differs: one byte more.
        Change::WriteQuietly(n, seed) => {
            if let Some(path) = nth(tree, *n, file) {
                let length = tree.get(&path).unwrap().attributes.size + 1;
                tree.write_and_put_mtime_back(path, bytes(*seed, length));
            }
        }
        // With the same size as well only the catalog tells.
        Change::WriteSecretly(n, seed) => {
            if let Some(path) = nth(tree, *n, file) {
                let length = tree.get(&path).unwrap().attributes.size;
                tree.write_and_put_mtime_back(path, bytes(*seed, length));
            }
        }
        Change::Add(path, length) => {
            tree.add(
                path,
                EntryKind::File,
                bytes(u64::from(*length), u64::from(*length)),
            );
        }
        Change::AddDirectory(path) => tree.add_dir(path),
        Change::Link(path, length) => {
            tree.add(path, EntryKind::Symlink, bytes(3, 1 + u64::from(*length)));
        }
        Change::Remove(n) => {
            if let Some(path) = nth(tree, *n, None) {
                tree.remove(path);
            }
        }
        Change::Mode(n, mode) => {
            if let Some(path) = nth(tree, *n, None) {
                tree.set(path, |attributes| attributes.mode = *mode);
            }
        }
        Change::Owner(n, owner) => {
            if let Some(path) = nth(tree, *n, None) {
                tree.set(path, |attributes| attributes.uid = *owner);
            }
        }
    }
}

/// What becomes of the catalog between the runs.
#[derive(Debug, Clone)]
enum Catalog {
    None,
    Kept,
    Lost,
    Damaged(prop::sample::Index),
}

fn catalog() -> impl Strategy<Value = Catalog> {
    prop_oneof![
        1 => Just(Catalog::None),
        4 => Just(Catalog::Kept),
        1 => Just(Catalog::Lost),
        2 => any::<prop::sample::Index>().prop_map(Catalog::Damaged),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    catalog: Catalog,
    first: Vec<Change>,
    second: Vec<Change>,
    page: usize,
    metadata: bool,
    mtime: bool,
    all: bool,
    never: bool,
    verify: VerifyMode,
    integrity: Integrity,
    excludes: bool,
    faults: Vec<(usize, u64, bool)>,
    stop_ms: Option<u64>,
    /// How many records of the journal outlive the stop.
    cut: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let changes = || proptest::collection::vec(change(), 0..14);
    let fault = (0usize..FAULTY.len(), 0u64..6, any::<bool>());
    let flags = proptest::array::uniform5(any::<bool>());
    (
        (changes(), changes(), 1usize..5, flags),
        proptest::sample::select(VerifyMode::ALL.to_vec()),
        proptest::sample::select(INTEGRITIES.to_vec()),
        proptest::collection::vec(fault, 0..4),
        proptest::option::of(0u64..60),
        proptest::option::of(0usize..60),
        catalog(),
    )
        .prop_map(|(tree, verify, integrity, faults, stop_ms, cut, catalog)| {
            let (first, second, page, [metadata, mtime, all, never, excludes]) = tree;
            Case {
                first,
                second,
                page,
                metadata,
                mtime,
                all,
                never,
                verify,
                integrity,
                excludes,
                faults,
                stop_ms,
                cut,
                catalog,
            }
        })
}

const FAULTY: [Operation; 15] = [
    Operation::ReadDir,
    Operation::Read,
    Operation::ReadLink,
    Operation::List,
    Operation::Stat,
    Operation::Put,
    Operation::CreateUpload,
    Operation::UploadPart,
    Operation::CompleteUpload,
    Operation::SetMetadata,
    Operation::CopyPart,
    Operation::AbortUpload,
    Operation::DeleteBatch,
    Operation::Delete,
    Operation::ReadBack,
];

fn world_of(case: &Case) -> World {
    let mut tree = Tree::new().file("keep", "x");
    case.first
        .iter()
        .for_each(|change| apply(&mut tree, change));
    // About half of the files go out in parts.
    let destination = MemoryDestination::new()
        .with_page(case.page + 1)
        .with_abilities(|a| (a.integrity, a.put_max) = (case.integrity, 120));
    let source = MemorySource::new(tree)
        .with_page(case.page)
        .with_read_max(100);
    let mut world = World::of(source, destination);
    if matches!(case.catalog, Catalog::None) {
        world.settings.catalog_file = None;
    }
    let options = world.options();
    if !case.metadata {
        (options.uid, options.gid) = (Uid::None, Gid::None);
        options.posix_permissions = PosixPermissions::None;
    }
    if !case.mtime {
        (options.atime, options.mtime) = (Atime::None, Mtime::None);
    }
    options.verify_mode = case.verify;
    options.transfer_mode = if case.all {
        TransferMode::All
    } else {
        TransferMode::Changed
    };
    if case.never {
        options.overwrite_mode = OverwriteMode::Never;
    }
    // The API refuses ALL together with REMOVE.
    if !case.all {
        options.preserve_deleted_files = PreserveDeletedFiles::Remove;
    }
    if case.excludes {
        world.spec.excludes = Excludes::parse("/b|*.c").unwrap();
    }
    world
}

fn add_faults(world: &World, case: &Case) {
    for (operation, after, lost) in &case.faults {
        let operation = FAULTY[*operation];
        let action = if *lost {
            Action::LoseReply(ErrorKind::Timeout)
        } else {
            Action::Fail(ErrorKind::Busy)
        };
        let fault = || Fault::new(operation, action.clone()).after(*after).times(2);
        world.at_source(fault());
        world.at_destination(fault());
    }
}

/// What is not as it should be after a run that began with `before`: without REMOVE old objects
/// stay, with NEVER they also stay as they were.
fn differences(world: &World, case: &Case, before: &BTreeMap<Key, Stored>) -> Vec<String> {
    let mut found = world.destination.snapshot();
    let mut wanted = world.expected();
    let mut lines = Vec::new();
    if case.never {
        for (key, stored) in before {
            if wanted.remove(key).is_some() && found.remove(key).as_ref() != Some(stored) {
                lines.push(format!("{key:?} was touched"));
            }
        }
    }
    lines.extend(datasync_endpoint::memory::differences(&wanted, &found));
    lines.retain(|line| !case.all || !line.ends_with("should not be there"));
    if case.cut.is_none() {
        let open = world.destination.open_upload_keys();
        lines.extend(open.iter().map(|key| format!("{key:?} has an open upload")));
    }
    lines
}

/// One execution, which may be stopped once; it ends well.
async fn run(world: &World, case: &Case, stop_ms: Option<u64>) -> Result<(), TestCaseError> {
    let before = world.destination.snapshot();
    add_faults(world, case);
    let directory = world.directory();
    if let Some(stop_ms) = stop_ms {
        let slow = |operation| Fault::new(operation, Action::Delay(Duration::from_millis(3)));
        world.at_destination(slow(Operation::Put));
        world.at_source(slow(Operation::ReadDir));
        let time = Duration::from_millis(stop_ms);
        let stopped = Box::pin(world.run_for(&directory, time)).await.is_none();
        if let Some(records) = case.cut.filter(|_| stopped) {
            // An upload whose record is lost would stay in the way of one whose creation is.
            world.destination.script().clear();
            cut_journal(&directory, records);
        }
    }
    let run = Box::pin(world.resume(directory)).await;
    prop_assert_eq!(&run.report.result.failure, &None, "{:?}", run.failures());
    prop_assert_eq!(differences(world, case, &before), Vec::<String>::new());
    Ok(())
}

fn meddle(world: &World, catalog: &Catalog) {
    let Some(file) = &world.settings.catalog_file else {
        return;
    };
    match catalog {
        Catalog::None | Catalog::Kept => {}
        Catalog::Lost => std::fs::remove_file(file).unwrap(),
        Catalog::Damaged(place) => {
            let mut bytes = std::fs::read(file).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 0x10;
            std::fs::write(file, bytes).unwrap();
        }
    }
}

/// Content that changes without size and mtime is seen if the catalog is there and nothing else of
/// the inode explains its ctime.
fn is_visible(case: &Case, change: &Change) -> bool {
    let is_kept = matches!(case.catalog, Catalog::Kept) && !case.metadata;
    case.all || is_kept || !matches!(change, Change::WriteSecretly(..))
}

/// Two executions with changes between them, and one without; the second one may be stopped once,
/// and lose any part of its journal (I2).
async fn check(case: Case) -> Result<(), TestCaseError> {
    let world = world_of(&case);
    run(&world, &case, None).await?;
    meddle(&world, &case.catalog);
    world.source.edit(|tree| {
        let changes = case.second.iter();
        let visible = changes.filter(|change| is_visible(&case, change));
        visible.for_each(|change| apply(tree, change));
    });
    run(&world, &case, case.stop_ms).await?;
    let third = Case {
        faults: Vec::new(),
        ..case
    };
    world.source.script().clear();
    world.destination.script().clear();
    let before = world.destination.snapshot();
    let last = Box::pin(world.run()).await;
    prop_assert_eq!(&last.report.result.failure, &None);
    prop_assert!(third.all || last.report.counters.transferred == 0);
    prop_assert_eq!(differences(&world, &third, &before), Vec::<String>::new());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn after_every_run_the_store_is_what_the_model_says(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(case))?;
    }
}
