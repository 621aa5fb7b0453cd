//! Who may mount and read what, and under which names.

use std::fs;

use datasync_endpoint::{ErrorKind, Source};
use datasync_nfs::{NfsConfig, NfsSource};

use crate::export::{Export, assert_same_as_local, find, is_version_3, list, read_all};

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn what_the_user_may_not_read_is_refused() {
    let export = Export::tree();
    let source = NfsSource::mount(NfsConfig {
        uid: 1000,
        gid: 1000,
        ..export.config()
    })
    .await
    .unwrap();
    let closed = find(&source, "closed").await;
    let error = list(&source, &closed.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.detail.contains("uid 1000"), "{error}");
    let error = source.lookup(&closed.handle, b"file").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);

    let squashed = Export::shared("DATASYNC_TEST_NFS_SQUASHED");
    let source = squashed.mount().await;
    let private = find(&source, "private").await;
    let error = read_all(&source, &private.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    let public = find(&source, "public").await;
    assert_eq!(read_all(&source, &public.handle).await.unwrap(), b"public");
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn groups_reach_the_server() {
    let export = Export::tree();
    let config = NfsConfig {
        uid: 1000,
        gid: 1000,
        gids: vec![4242],
        ..export.config()
    };
    let shared = export.local("scratch/for-a-group");
    fs::write(&shared, "group").unwrap();
    std::os::unix::fs::chown(&shared, Some(0), Some(4242)).unwrap();
    fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let with = NfsSource::mount(config.clone()).await.unwrap();
    let file = find(&with, "scratch/for-a-group").await;
    assert_eq!(read_all(&with, &file.handle).await.unwrap(), b"group");
    let config = NfsConfig {
        gids: vec![],
        ..config
    };
    let without = NfsSource::mount(config).await.unwrap();
    let error = read_all(&without, &file.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn directories_below_an_export_are_mounted() {
    let export = Export::tree();
    for below in ["/deep/below/it", "/deep//below/", "/"] {
        let source = NfsSource::mount(export.config_below(below)).await.unwrap();
        let root = source.root().await.unwrap();
        assert_same_as_local(
            &root.attributes,
            &export.local(below.trim_start_matches('/')),
        );
    }
    for below in ["/no/such/directory", "/hello", "/hello/below"] {
        let error = NfsSource::mount(export.config_below(below))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::ContainerNotFound, "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("{}{below}", export.path)),
            "{error}"
        );
    }
    let elsewhere = NfsConfig {
        path: "/not/exported".to_owned(),
        ..export.config()
    };
    let error = NfsSource::mount(elsewhere).await.unwrap_err();
    let kinds = [ErrorKind::ContainerNotFound, ErrorKind::PermissionDenied];
    assert!(kinds.contains(&error.kind), "{error}");
    assert!(error.to_string().contains("/not/exported"), "{error}");
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn the_server_is_found_under_every_form_of_its_name() {
    let export = Export::tree();
    for (name, mount_port) in [
        ("127.0.0.1", None),
        ("localhost", None),
        ("127.0.0.1:2049", None),
        ("localhost:2049", Some(20048)),
        ("::1", None),
        ("[::1]:2049", Some(20048)),
    ] {
        let config = NfsConfig {
            server_hostname: name.to_owned(),
            mount_port,
            ..export.config()
        };
        let source = NfsSource::mount(config)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let hello = find(&source, "hello").await;
        assert_eq!(read_all(&source, &hello.handle).await.unwrap(), b"hello\n");
        let is_portmapped = is_version_3() && mount_port.is_none();
        assert_eq!(source.calls().getport > 0, is_portmapped, "{name}");
    }
    for port in ["127.0.0.1:1", "[::1]:1"] {
        let config = NfsConfig {
            server_hostname: port.to_owned(),
            path: export.path.clone(),
            ..export.config()
        };
        // MOUNT is found by the portmapper; nothing listens on the NFS port.
        let error = NfsSource::mount(config).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    }
}
