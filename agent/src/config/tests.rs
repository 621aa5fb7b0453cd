use std::path::Path;

use clap::{Args, FromArgMatches};

use datasync_model::BytesPerSecond;
use datasync_transfer::ServerLimits;

use super::*;

const FINGERPRINT: &str = "aa11223344556677889900aabbccddeeff00112233445566778899aabbccddee";

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .fold(Overrides::default(), |flags, (member, value)| {
            flags.set(member, Some(*value)).unwrap()
        })
}

fn faults(file: Option<&Path>, flags: Overrides) -> Vec<String> {
    let layers = Layers::read(file, [], flags).unwrap();
    layers.validate().unwrap_err().0
}

#[test]
fn flags_win_over_environment_over_file() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("agent.toml");
    let text = format!(
        "control = \"file:1\"\nname = \"file\"\nexecutions_max = 3\n\
         control_fingerprint = \"{FINGERPRINT}\"\n[nfs]\nconnections = 9\n[log]\nlevel = \"debug\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let environment = variables(&[
        ("DATASYNC_AGENT_CONTROL", "environment:2"),
        ("DATASYNC_AGENT_NAME", "environment"),
        ("DATASYNC_AGENT_LOG_LEVEL", ""),
        ("DATASYNC_AGENT_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ]);
    let layers = Layers::read(Some(&file), environment, flags(&[("control", "flag:3")])).unwrap();
    let config = layers.validate().unwrap();
    assert_eq!(config.control.to_string(), "flag:3");
    assert_eq!(config.name.as_deref(), Some("environment"));
    assert_eq!(config.executions_max, 3);
    assert_eq!(config.process.nfs.connections, 9);
    assert_eq!(config.process.log_level, "debug");
    assert_eq!(config.activation_listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.state_dir, Path::new("/var/lib/datasync-agent"));
}

#[test]
fn every_fault_is_reported_at_once_with_its_origin() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("agent.toml");
    std::fs::write(&file, "colour = 1\nname = true\n[nfs]\nspeed = 1\n").unwrap();
    let found = faults(
        Some(&file),
        flags(&[
            ("activation_listen", "eighty"),
            ("memory_target", "1KiB"),
            ("log.format", "xml"),
            ("activation_key", "canary-key"),
        ]),
    );
    let all = found.join("\n");
    for expected in [
        "colour (file ",
        "name (file ",
        "nfs.speed (file ",
        "activation_listen (flag --activation-listen)",
        "memory_target (flag --memory-target)",
        "log.format (flag --log-format)",
        "activation_key (flag --activation-key)",
        "control: missing",
        "control_ca: missing",
    ] {
        assert!(all.contains(expected), "{expected} not in:\n{all}");
    }
    assert!(!all.contains("canary-key"), "{all}");
}

#[test]
fn the_bound_on_the_disk_is_for_all_executions_at_once() {
    let read = |flags| {
        let layers = Layers::read(None, [], flags).unwrap();
        layers.validate_process("warn").unwrap()
    };
    assert_eq!(read(Overrides::default()).state_disk_max_bytes, None);
    let given = read(flags(&[("state_disk_max", "2GiB")]));
    assert_eq!(given.state_disk_max_bytes, Some(2 << 30));
    let given = [("state_disk_max", "100MiB"), ("executions_max", "2")];
    let found = faults(None, flags(&given)).join("\n");
    assert!(found.contains("state_disk_max (flag --state-disk-max)"));
    assert!(found.contains("together 128 MiB"), "{found}");
}

#[test]
fn the_mount_port_has_a_flag_a_variable_and_a_member() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("agent.toml");
    std::fs::write(&file, "[nfs]\nmount_port = 1\n").unwrap();
    let read = |variables_given: &[(&str, &str)], flags| {
        let layers = Layers::read(Some(&file), variables(variables_given), flags).unwrap();
        layers.validate_process("warn").unwrap().nfs.mount_port
    };
    let variable = ("DATASYNC_AGENT_NFS_MOUNT_PORT", "20048");
    assert_eq!(read(&[], Overrides::default()), Some(1));
    assert_eq!(read(&[variable], Overrides::default()), Some(20_048));
    let command = ProcessFlags::augment_args(clap::Command::new("agent"));
    let given = command.get_matches_from(["agent", "--nfs-mount-port", "65535"]);
    let flag = ProcessFlags::from_arg_matches(&given).unwrap();
    let flag = flag.lay_over(Overrides::default()).unwrap();
    assert_eq!(read(&[variable], flag), Some(65_535));
    let none = Layers::read(None, [], Overrides::default()).unwrap();
    let none = none.validate_process("warn").unwrap();
    assert_eq!(none.nfs.mount_port, None);
    for bad in ["0", "65536", "mountd"] {
        let found = faults(None, flags(&[("nfs.mount_port", bad)])).join("\n");
        assert!(found.contains("nfs.mount_port (flag --nfs-mount-port)"));
        assert!(found.contains(bad), "{found}");
    }
}

#[test]
fn an_object_larger_than_uploads_can_make_is_refused() {
    for (text, is_good) in [
        ("1", true),
        ("50000GiB", true),
        ("0", false),
        ("53687091200001", false),
        ("50TiB", false),
    ] {
        let layers = Layers::read(None, [], flags(&[("s3.object_max", text)])).unwrap();
        let found = layers.validate_process("warn").map_err(|e| e.to_string());
        assert_eq!(found.is_ok(), is_good, "{text}: {found:?}");
        if let Err(fault) = found {
            assert!(fault.contains("50000 GiB"), "{fault}");
        }
    }
}

#[test]
fn trust_must_be_one_readable_thing() {
    let found = faults(
        None,
        flags(&[("control", "c:1"), ("control_ca", "/nowhere/ca.pem")]),
    );
    assert!(found[0].contains("/nowhere/ca.pem"), "{found:?}");
    let found = faults(
        None,
        flags(&[
            ("control", "c:1"),
            ("control_ca", "/nowhere/ca.pem"),
            ("control_fingerprint", FINGERPRINT),
        ]),
    );
    assert!(found[0].contains("not both"), "{found:?}");
    let found = faults(
        None,
        flags(&[("control", "c:1"), ("control_fingerprint", "12ab")]),
    );
    assert!(found[0].contains("64 hexadecimal"), "{found:?}");
}

#[test]
fn addresses_of_control_take_names_and_both_families() {
    for (text, shown) in [
        ("control.example.com:9443", Some("control.example.com:9443")),
        ("10.0.0.1:9443", Some("10.0.0.1:9443")),
        ("[fd00::1]:9443", Some("[fd00::1]:9443")),
        (
            "a.example:9443, [fd00::1]:9444",
            Some("a.example:9443,[fd00::1]:9444"),
        ),
        ("a.example:9443,", None),
        ("control", None),
        ("fd00::1:9443", None),
        ("https://control:9443", None),
        ("control:0", None),
    ] {
        let layers = Layers::read(
            None,
            [],
            flags(&[("control", text), ("control_fingerprint", FINGERPRINT)]),
        );
        let config = layers.unwrap().validate().ok();
        let found = config.map(|config| config.control.to_string());
        assert_eq!(found.as_deref(), shown, "{text}");
    }
}

#[test]
fn a_key_may_come_from_a_file_and_never_shows() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("key");
    std::fs::write(&file, "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE\n").unwrap();
    let layers = Layers::read(
        None,
        [],
        flags(&[
            ("control", "c:1"),
            ("control_fingerprint", FINGERPRINT),
            ("activation_key_file", file.to_str().unwrap()),
        ]),
    )
    .unwrap();
    let shown = format!("{layers:?}");
    let config = layers.validate().unwrap();
    let key = config.activation_key.as_ref().unwrap();
    assert_eq!(key.reveal(), "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE");
    assert!(!format!("{config:?}{shown}").contains("AAAAA"));
}

#[test]
fn broken_toml_is_reported_by_line_without_its_content() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("agent.toml");
    std::fs::write(&file, "name = \"a\"\nactivation_key = canary\n").unwrap();
    let error = Layers::read(Some(&file), [], Overrides::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("line 2"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(Overrides::default().set("colour", Some("red")).is_err());
}

#[test]
fn servers_are_spared_as_far_as_one_says() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("agent.toml");
    let text = format!(
        "control = \"file:1\"\ncontrol_fingerprint = \"{FINGERPRINT}\"\nbytes_per_second = \"5MB\"\n\
         failures_max = 7\n[nfs]\nrequests_max = 9\noperations_per_second = 0\n\
         [s3]\nrequests_per_second = 3500\n"
    );
    std::fs::write(&file, text).unwrap();
    let layers = Layers::read(Some(&file), [], Overrides::default()).unwrap();
    let config = layers.validate().unwrap();
    assert_eq!(i64::from(config.bytes_per_second), 5_000_000);
    assert_eq!(config.process.failures_max.map(u64::from), Some(7));
    let (nfs, s3) = (config.process.nfs.limits, config.process.s3.limits);
    assert_eq!(
        (nfs.in_flight_max, nfs.operations_per_second),
        (Some(9), None)
    );
    assert_eq!(s3.in_flight_max, None);
    assert_eq!(s3.operations_per_second.map(u32::from), Some(3500));
    // Nothing said: as much as the servers sustain, and executions that end at some time.
    let given = flags(&[("control", "c:1"), ("control_fingerprint", FINGERPRINT)]);
    let config = Layers::read(None, [], given).unwrap().validate().unwrap();
    assert_eq!(config.bytes_per_second, BytesPerSecond::UNLIMITED);
    assert_eq!(config.process.failures_max.map(u64::from), Some(1_000_000));
    assert_eq!(config.process.nfs.limits, ServerLimits::default());
    let given = flags(&[
        ("bytes_per_second", "0"),
        ("failures_max", "-1"),
        ("stalled_after_seconds", "60"),
        ("nfs.requests_max", "0"),
        ("nfs.operations_per_second", "2000000"),
        ("s3.requests_max", "321"),
        ("s3.requests_per_second", "fast"),
    ]);
    let all = faults(None, given).join("\n");
    for expected in [
        "bytes_per_second (flag --bytes-per-second): must be more than 0",
        "failures_max (flag --failures-max)",
        "stalled_after_seconds (flag --stalled-after-seconds)",
        "nfs.requests_max (flag --nfs-requests-max)",
        "nfs.operations_per_second (flag --nfs-operations-per-second)",
        "s3.requests_max (flag --s3-requests-max)",
        "s3.requests_per_second (flag --s3-requests-per-second)",
    ] {
        assert!(all.contains(expected), "{expected} not in:\n{all}");
    }
}

fn process(
    variables_: &[(&str, &str)],
    given: &[(&str, &str)],
) -> Result<ProcessSettings, ConfigFaults> {
    let layers = Layers::read(None, variables(variables_), flags(given)).unwrap();
    layers.validate_process("warn")
}

#[test]
fn proxies_are_known_by_the_variables_of_other_programs_and_undone_by_an_empty_setting() {
    let around = [
        ("HTTPS_PROXY", "http://user:canary@proxy:3128"),
        ("http_proxy", "http://plain:3128"),
        ("NO_PROXY", "store.internal"),
    ];
    let found = process(&around, &[]).unwrap();
    assert!(!format!("{found:?}").contains("canary"));
    let proxy = found.egress.proxy_to(None).unwrap();
    assert!(proxy.url().contains("canary@proxy:3128"));
    assert!(proxy.no_proxy().ends_with(",store.internal"));
    let plain = found.egress.proxy_to(Some("http://store:9000")).unwrap();
    assert_eq!(plain.to_string(), "http://plain:3128");
    let own = process(&around, &[("https_proxy", "http://own:1")]).unwrap();
    assert_eq!(own.egress.https_proxy.unwrap().to_string(), "http://own:1");
    let undone = process(&around, &[("https_proxy", "")]).unwrap();
    assert_eq!(undone.egress.https_proxy, None);
    let faults = process(&[("ALL_PROXY", "socks5://u:canary@p:1")], &[]).unwrap_err();
    let text = faults.to_string();
    assert!(
        text.contains("https_proxy (variable ALL_PROXY): must be http://"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn settings_of_stores_are_checked_together() {
    let kms = process(
        &[],
        &[
            ("s3.server_side_encryption", "aws:kms"),
            ("s3.kms_key_id", "alias/k"),
            ("s3.bucket_key", "true"),
            ("s3.acl", "bucket-owner-full-control"),
            ("s3.requester_pays", "true"),
        ],
    )
    .unwrap()
    .s3;
    let expected = datasync_s3::Kms {
        dual_layer: false,
        key_id: Some("alias/k".to_owned()),
        bucket_key: Some(true),
    };
    assert_eq!(kms.encryption, Some(Encryption::Kms(expected)));
    assert!(kms.bucket_owner_full_control && kms.requester_pays);
    assert_eq!(process(&[], &[]).unwrap().s3, S3Settings::default());
    for (given, what) in [
        (
            &[("s3.kms_key_id", "k")][..],
            "s3.kms_key_id (flag --s3-kms-key-id): needs",
        ),
        (
            &[
                ("s3.server_side_encryption", "aws:kms:dsse"),
                ("s3.bucket_key", "true"),
            ],
            "s3.bucket_key (flag --s3-bucket-key): needs",
        ),
        (
            &[("s3.server_side_encryption", "SSE-C")],
            "none of AES256, aws:kms, aws:kms:dsse",
        ),
        (&[("s3.acl", "public-read")], "neither none nor"),
        (&[("s3.requester_pays", "maybe")], "neither true nor false"),
        (&[("ca_bundle", "/none")], "cannot read /none"),
    ] {
        let faults = process(&[], given).unwrap_err().to_string();
        assert!(faults.contains(what), "{faults}");
    }
}
