use std::path::Path;

use datasync_model::{Location, S3Location};

use super::*;
use crate::store_flags::StoreFlags;

const HOME_DIR: (&str, &str) = ("HOME", "/home/somebody");

fn flags() -> CopyFlags {
    CopyFlags {
        source: "nfs://nas/export/home".to_owned(),
        destination: "s3://bucket/prefix".to_owned(),
        ..CopyFlags::default()
    }
}

fn request(flags: &CopyFlags, variables: &[(&str, &str)]) -> Result<CopyRequest, ConfigFaults> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    CopyRequest::new(flags, variables.iter().map(owned))
}

fn s3(request: &CopyRequest) -> &S3Location {
    match &request.spec.destination {
        Location::S3(s3) => s3,
        Location::Nfs(_) | Location::Efs(_) => panic!("not a bucket"),
    }
}

#[test]
fn flags_win_over_variables_and_the_one_of_s3_over_the_general_one() {
    let mut flags = flags();
    let mut variables = vec![
        HOME_DIR,
        ("AWS_ENDPOINT_URL", "http://general:9000"),
        ("AWS_DEFAULT_REGION", "garage"),
        ("AWS_REGION", ""),
    ];
    let found = request(&flags, &variables).unwrap();
    assert_eq!(s3(&found).endpoint.as_deref(), Some("http://general:9000"));
    assert_eq!(s3(&found).region.as_deref(), Some("garage"));
    variables.push(("AWS_ENDPOINT_URL_S3", "http://special:9000"));
    variables.push(("DATASYNC_AGENT_NFS_CONNECTIONS", "7"));
    let found = request(&flags, &variables).unwrap();
    assert_eq!(s3(&found).endpoint.as_deref(), Some("http://special:9000"));
    assert_eq!(found.process.nfs.connections, 7);
    assert_eq!(found.process.log_level, "warn");
    flags.store.endpoint_url = Some("https://flag/".to_owned());
    flags.store.region = Some("eu-west-1".to_owned());
    let found = request(&flags, &variables).unwrap();
    assert_eq!(s3(&found).endpoint.as_deref(), Some("https://flag"));
    assert_eq!(s3(&found).region.as_deref(), Some("eu-west-1"));
    assert_eq!(
        found.state_dir,
        Path::new("/home/somebody/.local/state/datasync-agent/copy")
    );
}

#[test]
fn every_fault_is_named_at_once_and_nothing_secret() {
    let flags = CopyFlags {
        source: "nas:/export".to_owned(),
        destination: "bucket".to_owned(),
        store: StoreFlags {
            endpoint_url: Some("http://key:canary@host".to_owned()),
            ca_bundle: Some("/nowhere/ca.pem".to_owned()),
            ..StoreFlags::default()
        },
        storage_class: Some("COLD".to_owned()),
        verify_mode: Some("ALL".to_owned()),
        include: vec!["home".to_owned()],
        ..CopyFlags::default()
    };
    let variables = [("DATASYNC_AGENT_MEMORY_TARGET", "lots")];
    let faults = request(&flags, &variables).unwrap_err().to_string();
    for expected in [
        "has 9 fault(s)",
        "SOURCE: \"nas:/export\" is not s3://BUCKET[/PREFIX] or nfs://HOST",
        "DESTINATION: \"bucket\" is not s3://BUCKET",
        "--endpoint-url: the URL holds a name or password",
        "--storage-class: \"COLD\" is not a StorageClass",
        "--verify-mode: \"ALL\"",
        "--include: pattern \"home\"",
        "--ca-bundle: cannot read /nowhere/ca.pem",
        "memory_target (variable DATASYNC_AGENT_MEMORY_TARGET)",
        "--state-dir: missing",
    ] {
        assert!(faults.contains(expected), "{expected} not in:\n{faults}");
    }
    assert!(!faults.contains("canary"), "{faults}");
}

#[test]
fn the_same_command_line_is_the_same_copy() {
    let ids = |change: &dyn Fn(&mut CopyFlags)| {
        let mut flags = flags();
        change(&mut flags);
        let spec = request(&flags, &[HOME_DIR]).unwrap().spec;
        let task = spec.execution.task().id().to_owned();
        (task, spec.execution.id().to_owned())
    };
    let plain = ids(&|_| {});
    for same in [
        ids(&|flags| flags.source.push('/')),
        ids(&|flags| flags.bytes_per_second = Some("1MiB".to_owned())),
        ids(&|flags| flags.verify_mode = Some("ONLY_FILES_TRANSFERRED".to_owned())),
        ids(&|flags| flags.store.region = Some("eu-west-1".to_owned())),
    ] {
        assert_eq!(same, plain);
    }
    for (other, same_pair) in [
        (ids(&|flags| flags.exclude = vec!["*.tmp".to_owned()]), true),
        (ids(&|flags| flags.include = vec!["/x".to_owned()]), true),
        (ids(&|flags| flags.uid = Some("NONE".to_owned())), true),
        (
            ids(&|flags| flags.storage_class = Some("GLACIER".to_owned())),
            true,
        ),
        (ids(&|flags| flags.source.push('x')), false),
        (ids(&|flags| flags.destination.push('x')), false),
        (
            ids(&|flags| flags.store.endpoint_url = Some("http://s:1".to_owned())),
            false,
        ),
    ] {
        assert_ne!(other.1, plain.1);
        assert_eq!(other.0 == plain.0, same_pair);
    }
}

#[test]
fn a_bundle_must_hold_certificates() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let path = file.display().to_string();
    let variables = [HOME_DIR, ("AWS_CA_BUNDLE", path.as_str())];
    let faults = request(&flags(), &variables).unwrap_err().to_string();
    assert!(faults.contains("AWS_CA_BUNDLE"), "{faults}");
    assert!(faults.contains("holds no certificate"), "{faults}");
    let certificate = rcgen::CertificateParams::new(vec!["ca".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    std::fs::write(&file, &certificate[..certificate.len() / 2]).unwrap();
    let faults = request(&flags(), &variables).unwrap_err().to_string();
    assert!(faults.contains("is not valid PEM"), "{faults}");
    std::fs::write(&file, certificate).unwrap();
    let found = request(&flags(), &variables).unwrap();
    assert!(s3(&found).server_certificate.is_some());
}

#[test]
fn another_checksum_algorithm_begins_another_copy() {
    let mut flags = flags();
    let before = request(&flags, &[HOME_DIR]).unwrap().spec;
    assert_eq!(before.extensions.checksum_algorithm.as_str(), "AUTOMATIC");
    flags.checksum_algorithm = Some("SHA256".to_owned());
    let spec = request(&flags, &[HOME_DIR]).unwrap().spec;
    assert_eq!(spec.extensions.checksum_algorithm.as_str(), "SHA256");
    assert_ne!(spec.execution, before.execution);
    flags.checksum_algorithm = Some("MD5".to_owned());
    let faults = request(&flags, &[HOME_DIR]).unwrap_err();
    assert!(faults.0[0].contains("AUTOMATIC, SHA256"), "{faults}");
}

#[test]
fn a_larger_share_of_deletes_continues_the_same_copy() {
    let mut flags = flags();
    let ids = |flags: &CopyFlags| {
        let spec = request(flags, &[HOME_DIR]).unwrap().spec;
        (spec.execution, spec.extensions.delete_share_max.percent())
    };
    let (execution, share) = ids(&flags);
    assert_eq!(share, 50);
    flags.delete_share_max_percent = Some("100".to_owned());
    assert_eq!(ids(&flags), (execution, 100));
    flags.delete_share_max_percent = Some("101".to_owned());
    let faults = request(&flags, &[HOME_DIR]).unwrap_err();
    assert!(faults.0[0].contains("from 0 to 100"), "{faults}");
}

#[test]
fn a_bucket_is_read_as_the_destination_is_unless_something_else_is_said() {
    let mut flags = CopyFlags {
        source: "s3://from/in".to_owned(),
        store: StoreFlags {
            region: Some("eu-west-1".to_owned()),
            profile: Some("both".to_owned()),
            endpoint_url: Some("http://here:9000".to_owned()),
            ..StoreFlags::default()
        },
        ..flags()
    };
    let source = |found: &CopyRequest| match &found.spec.source {
        Location::S3(s3) => s3.clone(),
        Location::Nfs(_) | Location::Efs(_) => panic!("not a bucket"),
    };
    let found = request(&flags, &[HOME_DIR]).unwrap();
    let from = source(&found);
    assert_eq!(
        (from.bucket.as_str(), from.prefix.as_str()),
        ("from", "in/")
    );
    assert_eq!(from.endpoint.as_deref(), Some("http://here:9000"));
    assert_eq!(from.region.as_deref(), Some("eu-west-1"));
    assert_eq!(found.source_profile.as_deref(), Some("both"));
    assert_eq!(found.spec.options.uid, datasync_model::Uid::None);
    flags.source_endpoint_url = Some("http://there:9000/".to_owned());
    flags.source_profile = Some("reader".to_owned());
    let found = request(&flags, &[HOME_DIR]).unwrap();
    let from = source(&found);
    assert_eq!(from.endpoint.as_deref(), Some("http://there:9000"));
    assert_eq!(from.region, None);
    assert_eq!(found.source_profile.as_deref(), Some("reader"));
    let faults = |flags: &CopyFlags| request(flags, &[HOME_DIR]).unwrap_err().to_string();
    flags.mtime = Some("PRESERVE".to_owned());
    assert!(faults(&flags).contains("Mtime"), "{}", faults(&flags));
    flags.mtime = None;
    flags.source = flags.destination.clone();
    assert!(request(&flags, &[HOME_DIR]).is_ok(), "in another store");
    flags.source_endpoint_url = None;
    assert!(faults(&flags).contains("overlap"), "{}", faults(&flags));
}
