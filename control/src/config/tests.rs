use super::*;

fn no_environment(_: &str) -> Option<String> {
    None
}

fn with_file(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.toml");
    std::fs::write(&path, text).unwrap();
    let flags = Flags {
        config: Some(path.to_str().unwrap().to_owned()),
        ..Flags::default()
    };
    Config::load(flags, environment)
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.toml");
    std::fs::write(
        &path,
        "state_dir = \"/from/file\"\nregion = \"eu-central-1\"\naccount = \"111122223333\"\n\
         server_names = [\"control.example\", \"192.0.2.1\"]\nexecutions_per_agent = 2\n",
    )
    .unwrap();
    let environment = |name: &str| match name {
        "DATASYNC_CONTROL_REGION" => Some("us-west-2".to_owned()),
        "DATASYNC_CONTROL_STATE_DIR" => Some("/from/environment".to_owned()),
        "DATASYNC_CONTROL_CONFIG" => Some(path.to_str().unwrap().to_owned()),
        _ => None,
    };
    let flags = Flags {
        state_dir: Some("/from/flag".to_owned()),
        ..Flags::default()
    };
    let config = Config::load(flags, &environment).unwrap();
    assert_eq!(config.state_dir, PathBuf::from("/from/flag"));
    assert_eq!(config.home.region.as_str(), "us-west-2");
    assert_eq!(config.home.account.as_str(), "111122223333");
    assert_eq!(config.server_names, ["control.example", "192.0.2.1"]);
    assert_eq!(config.executions_per_agent.get(), 2);
    assert_eq!(config.heartbeat_interval, Duration::from_secs(15));
    assert_eq!(config.offline_after, Duration::from_secs(60));
    assert_eq!(config.failover_after, Duration::from_secs(120));
}

#[test]
fn executions_move_only_after_agents_were_offline_for_a_while() {
    let load = |text: &str| with_file(&format!("state_dir = \"/s\"\n{text}"), &no_environment);
    let config = load("offline_after_seconds = 300\n").unwrap();
    assert_eq!(config.failover_after, Duration::from_secs(600));
    let config = load("failover_after_seconds = 900\n").unwrap();
    assert_eq!(config.failover_after, Duration::from_secs(900));
    let error = load("failover_after_seconds = 119\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("at least twice offline_after_seconds"),
        "{error}"
    );
}

#[test]
fn every_fault_is_reported_at_once_with_its_origin() {
    let environment =
        |name: &str| (name == "DATASYNC_CONTROL_ACCOUNT").then(|| "not-an-account".to_owned());
    let error = with_file(
        "api_listen = \"nowhere\"\nunknown_thing = 1\nheartbeat_interval_seconds = 0\n\
         offline_after_seconds = 301\nserver_names = [\"bad name\"]\nlog_format = \"xml\"\n\
         [[role]]\narn = \"nonsense\"\nkind = \"sealed-key\"\n\
         [[role]]\narn = \"*\"\nkind = \"magic\"\n",
        &environment,
    )
    .unwrap_err();
    let text = error.to_string();
    for part in [
        "api_listen in ",
        "unknown setting \"unknown_thing\"",
        "heartbeat_interval_seconds in ",
        "from 2 to 300",
        "\"bad name\"",
        "text or json",
        "environment DATASYNC_CONTROL_ACCOUNT",
        "state_dir: is required",
        "\"nonsense\"",
        "\"magic\"",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert_eq!(error.faults().len(), 10, "{text}");
}

#[test]
fn plain_http_needs_loopback_or_permission() {
    let load = |listen: &str, allow: Option<&str>| {
        Config::load(
            Flags {
                state_dir: Some("/state".to_owned()),
                api_listen: Some(listen.to_owned()),
                api_tls: Some("false".to_owned()),
                allow_insecure_http: allow.map(str::to_owned),
                ..Flags::default()
            },
            &no_environment,
        )
    };
    assert_eq!(
        load("127.0.0.1:0", None).unwrap().api_security,
        ApiSecurity::Plain
    );
    assert!(load("0.0.0.0:8080", None).is_err());
    assert!(load("0.0.0.0:8080", Some("true")).is_ok());
}

#[test]
fn certificate_and_key_go_together() {
    let error = with_file(
        "state_dir = \"/state\"\napi_certificate_file = \"/tls/cert.pem\"\n",
        &no_environment,
    )
    .unwrap_err();
    assert!(error.to_string().contains("go together"), "{error}");
}

#[test]
fn roles_are_read_and_unknown_members_refused() {
    let config = with_file(
        "state_dir = \"/state\"\n[[role]]\narn = \"arn:aws:iam::123456789012:role/r\"\n\
         kind = \"assume-role\"\nexternal_id = \"x\"\n[[role]]\narn = \"*\"\nkind = \"sealed-key\"\n",
        &no_environment,
    )
    .unwrap();
    assert_eq!(config.roles.len(), 2);
    assert_eq!(config.roles[1].kind, RoleKind::SealedKey);
    let error = with_file(
        "state_dir = \"/state\"\n[[role]]\narn = \"*\"\nkind = \"sealed-key\"\nsecret = \"s3cr3t\"\n",
        &no_environment,
    )
    .unwrap_err();
    assert!(error.to_string().contains("secret"), "{error}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

#[test]
fn the_defaults_are_valid() {
    let config = Config::new("/state").unwrap();
    assert_eq!(config.api_security, ApiSecurity::OwnCa);
    assert_eq!(config.agent_certificate_lifetime, DAY * 30);
}

#[test]
fn the_way_out_is_known_by_the_variables_of_other_programs_and_undone_by_an_empty_setting() {
    let environment = |name: &str| match name {
        "HTTPS_PROXY" => Some("http://user:canary@proxy:3128".to_owned()),
        "NO_PROXY" => Some("store.internal".to_owned()),
        _ => None,
    };
    let config = with_file("state_dir = \"/s\"\n", &environment).unwrap();
    let proxy = config.egress.https_proxy.clone().unwrap();
    assert_eq!(proxy.to_string(), "http://proxy:3128");
    assert!(proxy.no_proxy().ends_with(",store.internal"));
    assert_eq!(config.egress.http_proxy, None);
    assert!(!format!("{config:?}").contains("canary"));
    let undone = with_file("state_dir = \"/s\"\nhttps_proxy = \"\"\n", &environment).unwrap();
    assert_eq!(undone.egress.https_proxy, None);
    let bad =
        "state_dir = \"/s\"\nhttps_proxy = \"socks5://u:canary@p\"\nca_bundle_file = \"/none\"\n";
    let faults = with_file(bad, &environment).unwrap_err().to_string();
    assert!(faults.contains("https_proxy: must be http://"), "{faults}");
    assert!(
        faults.contains("ca_bundle_file: cannot read /none"),
        "{faults}"
    );
    assert!(!faults.contains("canary"), "{faults}");
}

#[test]
fn a_database_on_a_server_is_named_and_its_password_is_never_shown() {
    let load = |file: &str| with_file(file, &no_environment);
    let url = "postgresql://u:CANARY@127.0.0.1/rows";
    let config = load(&format!("state_dir = \"/s\"\ndatabase_url = \"{url}\"\n")).unwrap();
    let Database::Postgres(settings) = &config.database else {
        panic!("{config:?}");
    };
    assert_eq!(settings.place(), "postgresql://127.0.0.1:5432/rows");
    assert!(!format!("{config:?}").contains("CANARY"));
    let faults = load(
        "state_dir = \"/s\"\ndatabase_url = \"postgresql://u:CANARY@\"\ndatabase_ca_file = \"/none\"\n",
    );
    let faults = faults.unwrap_err().to_string();
    assert!(
        faults.contains("database_ca_file: cannot read /none"),
        "{faults}"
    );
    assert!(!faults.contains("CANARY"), "{faults}");
    let faults = load("state_dir = \"/s\"\ndatabase_ca_file = \"/none\"\n").unwrap_err();
    assert!(
        faults.to_string().contains("without database_url"),
        "{faults}"
    );
}

#[test]
fn an_address_may_have_half_of_the_connections_unless_it_is_said() {
    let connections = |text: &str| {
        let text = format!("state_dir = \"/x\"\n{text}");
        with_file(&text, &no_environment).map(|config| config.api_connections)
    };
    let of = |total, per_address| ApiConnections { total, per_address };
    assert_eq!(connections(""), Ok(of(512, 256)));
    assert_eq!(connections("api_connections_max = 100"), Ok(of(100, 50)));
    let both = "api_connections_max = 100\napi_connections_per_address = 100";
    assert_eq!(connections(both), Ok(of(100, 100)));
    for wrong in [
        "api_connections_max = 15",
        "api_connections_max = 100\napi_connections_per_address = 101",
    ] {
        assert!(connections(wrong).is_err(), "{wrong}");
    }
}
