use std::fs;

use datasync_model::{AgentArn, AgentSignature, ControlSignature, ObjectTree, ReportObject};
use datasync_proto::ReportSigned;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::ca::PublicKey;
use crate::reports::{Countersigner, PublishedKeys, SigningError, checked, published, rotated};
use crate::state::State;
use crate::store::StoreError;

const EXECUTION: &str = "exec-0123456789abcdef1";
const SIGNED_AT: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Control and an agent, a report that both have signed, and the public keys.
struct World {
    state: State,
    control: TempDir,
    files: TempDir,
    agent: KeyPair,
}

fn name(what: &str) -> String {
    format!("{EXECUTION}.{what}-0123456789abcdef0.json")
}

fn page(kind: &str, entries: &[Value]) -> (String, String, ReportObject) {
    let mut tree = ObjectTree::default();
    let texts: Vec<_> = entries.iter().map(ToString::to_string).collect();
    for text in &texts {
        tree.push(text.as_bytes());
    }
    let name = name(&format!("files-{}-v1-00001", kind.to_lowercase()));
    let text = format!(
        "{{\"TaskExecutionId\":\"{EXECUTION}\",\"{kind}\":[{}]}}",
        texts.join(",")
    );
    let object = tree.named(&name);
    (name, text, object)
}

impl World {
    async fn new() -> Self {
        let control = tempfile::tempdir().unwrap();
        let world = Self {
            state: State::open(control.path(), at(0)).unwrap(),
            control,
            files: tempfile::tempdir().unwrap(),
            agent: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        };
        let entry = |number: u32| json!({"RelativePath": format!("/{number}"), "n": number});
        let mut objects = Vec::new();
        for (kind, numbers) in [("Transferred", 0..5), ("Verified", 5..7)] {
            let entries: Vec<_> = numbers.map(entry).collect();
            let (name, text, object) = page(kind, &entries);
            world.write("Detailed-Reports", &name, &text);
            objects.push(object);
        }
        let summary = json!({"TaskExecutionId": EXECUTION, "Status": "SUCCESS"}).to_string();
        let mut tree = ObjectTree::default();
        tree.push(summary.as_bytes());
        world.write("Summary-Reports", &name("summary-v1"), &summary);
        objects.push(tree.named(&name("summary-v1")));
        world.sign(objects, SIGNED_AT).await;
        world
    }

    /// Both sign a report of these objects.
    async fn sign(&self, objects: Vec<ReportObject>, second: i64) {
        let execution = format!(
            "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/\
             {EXECUTION}"
        );
        let agent: AgentArn =
            "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0"
                .parse()
                .unwrap();
        let key = PublicKey::of_key_pair(&self.agent);
        let statement = ReportStatement::of(&execution.parse().unwrap(), &objects);
        let text = statement.signed_by_agent(&agent, &key.fingerprint());
        let message = ReportSigned {
            execution_arn: execution.clone(),
            objects: statement.objects,
            entries: statement.entries,
            root: statement.root.as_bytes().to_vec(),
            signature: self.agent.sign(text.as_bytes()).unwrap(),
        };
        let proven = checked(&message, &agent, &key).unwrap();
        let signer = Countersigner::new(self.state.store.clone(), self.state.sealer.clone());
        let answer = signer.sign(&proven, at(second)).await.unwrap();
        let document = SignedReport {
            version: SignedReport::VERSION,
            task_execution_arn: execution.parse().unwrap(),
            root: statement.root,
            objects,
            agent: AgentSignature {
                agent_arn: agent,
                key_id: key.fingerprint(),
                public_key: self.agent.public_key_pem(),
                signature: hex::encode(&message.signature),
            },
            control: Some(ControlSignature {
                key_id: answer.key_id,
                signed_at: answer.signed_at,
                signature: hex::encode(&answer.signature),
            }),
        };
        let text = serde_json::to_string(&document).unwrap();
        self.write("Report-Signatures", &name("signature-v1"), &text);
    }

    fn path(&self, folder: &str, name: &str) -> PathBuf {
        self.files.path().join(folder).join(name)
    }

    fn write(&self, folder: &str, name: &str, text: &str) {
        let path = self.path(folder, name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn detailed(&self, kind: &str) -> PathBuf {
        let name = name(&format!("files-{kind}-v1-00001"));
        self.path("Detailed-Reports", &name)
    }

    fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "nothing was changed");
        fs::write(path, changed).unwrap();
    }

    fn resign(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path("Report-Signatures", &name("signature-v1"));
        Self::rewrite(&path, |text| {
            let mut document: Value = serde_json::from_str(&text).unwrap();
            change(&mut document);
            document.to_string()
        });
    }

    async fn keys(&self) -> PublishedKeys {
        let read: Result<_, StoreError> = self.state.store.read(published).await;
        read.unwrap()
    }

    /// What is found with these keys, and the exit code.
    fn found_with(&self, keys: &PublishedKeys) -> (Vec<Finding>, Option<u8>) {
        let file = self.control.path().join("keys.json");
        fs::write(&file, serde_json::to_vec(keys).unwrap()).unwrap();
        let mut verdicts = check(&[self.files.path().to_owned()], &file).unwrap();
        assert_eq!(verdicts.len(), 1);
        let verdict = verdicts.remove(0);
        let told = verdict.to_string();
        assert!(told.starts_with(EXECUTION), "{told}");
        let code = verdict.exit_code();
        (verdict.findings, code)
    }

    async fn found(&self) -> (Vec<Finding>, Option<u8>) {
        let keys = self.keys().await;
        self.found_with(&keys)
    }

    async fn code(&self) -> Option<u8> {
        self.found().await.1
    }
}

#[tokio::test]
async fn what_is_as_it_was_signed_has_no_finding_however_it_is_arranged() {
    let world = World::new().await;
    assert_eq!(world.found().await, (Vec::new(), None));
    for folder in ["Detailed-Reports", "Summary-Reports", "Report-Signatures"] {
        for entry in fs::read_dir(world.files.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::rename(entry.path(), world.files.path().join(entry.file_name())).unwrap();
        }
    }
    world.write("elsewhere", "notes.txt", "of somebody else");
    assert_eq!(world.found().await, (Vec::new(), None));
}

#[tokio::test]
async fn each_alteration_of_an_object_has_its_own_finding() {
    type Change = fn(String) -> String;
    let cases: [(u8, Change); 6] = [
        (25, |text| text.replace("\"n\":3", "\"n\":4")),
        (22, |text| {
            text.replace(",{\"RelativePath\":\"/3\",\"n\":3}", "")
        }),
        (23, |text| {
            text.replace("]}", ",{\"RelativePath\":\"/9\"}]}")
        }),
        (24, |text| {
            let text = text.replace("/0\",\"n\":0", "/X\",\"n\":X");
            let text = text.replace("/1\",\"n\":1", "/0\",\"n\":0");
            text.replace("/X\",\"n\":X", "/1\",\"n\":1")
        }),
        (25, |text| text.replace("},{", "}, {")),
        (25, |text| text.replace("Transferred", "Skipped")),
    ];
    for (number, (code, change)) in cases.into_iter().enumerate() {
        let world = World::new().await;
        World::rewrite(&world.detailed("transferred"), change);
        let (findings, found) = world.found().await;
        assert_eq!(
            (findings.len(), found),
            (1, Some(code)),
            "{number}: {findings:?}"
        );
    }
}

#[tokio::test]
async fn objects_that_are_missing_added_or_exchanged_are_found() {
    let world = World::new().await;
    fs::remove_file(world.detailed("verified")).unwrap();
    assert_eq!(world.code().await, Some(20));

    let world = World::new().await;
    let (added, text, _) = page("Skipped", &[json!({"RelativePath": "/hidden"})]);
    world.write("Detailed-Reports", &added, &text);
    assert_eq!(world.code().await, Some(21));

    let world = World::new().await;
    let verified = fs::read_to_string(world.detailed("verified")).unwrap();
    World::rewrite(&world.detailed("transferred"), |_| {
        verified.replace("Verified", "Transferred")
    });
    let (findings, code) = world.found().await;
    assert_eq!(code, Some(24), "{findings:?}");

    let world = World::new().await;
    let summary = world.path("Summary-Reports", &name("summary-v1"));
    World::rewrite(&summary, |text| text.replace("SUCCESS", "ERROR"));
    assert_eq!(world.code().await, Some(25));
}

#[tokio::test]
async fn each_fault_of_the_signatures_has_its_own_finding() {
    type Change = fn(&mut Value);
    let cases: [(u8, Change); 8] = [
        (12, |document| document["Root"] = json!("0".repeat(64))),
        (12, |document| {
            document["Objects"].as_array_mut().unwrap().swap(0, 1);
        }),
        (13, |document| document["Control"] = Value::Null),
        (14, |document| document["Control"]["KeyId"] = json!("ab")),
        (15, |document| {
            document["Control"]["Signature"] = json!("00")
        }),
        (15, |document| {
            document["Control"]["SignedAt"] = json!("2020-01-01T00:00:00Z");
        }),
        (11, |document| document["Version"] = json!(2)),
        (11, |document| document["Unsigned"] = json!("word")),
    ];
    for (number, (code, change)) in cases.into_iter().enumerate() {
        let world = World::new().await;
        world.resign(change);
        let (findings, found) = world.found().await;
        assert_eq!(found, Some(code), "{number}: {findings:?}");
    }
    let world = World::new().await;
    fs::remove_dir_all(world.files.path().join("Report-Signatures")).unwrap();
    assert_eq!(world.found().await, (vec![Finding::Unsigned], Some(10)));
}

/// Somebody who can write the bucket makes a report anew and signs it with a key of his own.
#[tokio::test]
async fn a_report_that_another_key_signed_is_found() {
    let mut world = World::new().await;
    let honest = world.path("Report-Signatures", &name("signature-v1"));
    let honest: SignedReport = serde_json::from_str(&fs::read_to_string(honest).unwrap()).unwrap();
    world.agent = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    world.sign(honest.objects, SIGNED_AT).await;
    let forged = world.path("Report-Signatures", &name("signature-v1"));
    World::rewrite(&forged, |text| {
        let mut document: SignedReport = serde_json::from_str(&text).unwrap();
        document.control = honest.control;
        serde_json::to_string(&document).unwrap()
    });
    assert_eq!(world.code().await, Some(15));
    world.resign(|document| {
        document["Agent"] = json!(honest.agent);
        let signature = &mut document["Agent"]["Signature"];
        *signature = json!(signature.as_str().unwrap().to_uppercase());
    });
    let (findings, _) = world.found().await;
    let of_control = |finding: &Finding| matches!(finding, Finding::WrongCountersignature { .. });
    assert!(findings.iter().any(of_control), "{findings:?}");
}

#[tokio::test]
async fn an_agents_key_that_is_not_the_one_named_is_found() {
    let world = World::new().await;
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    world.resign(|document| document["Agent"]["PublicKey"] = json!(other.public_key_pem()));
    assert_eq!(world.code().await, Some(17));
}

#[tokio::test]
async fn retired_keys_verify_what_they_signed_and_nothing_later() {
    let world = World::new().await;
    let sealer = world.state.sealer.clone();
    let rotate = world
        .state
        .store
        .commit(move |rows| rotated(rows, &sealer, at(2_000_000)));
    let rotate: Result<String, SigningError> = rotate.await;
    rotate.unwrap();
    let mut keys = world.keys().await;
    assert_eq!(keys.keys.len(), 2);
    assert_eq!(world.found_with(&keys), (Vec::new(), None));
    keys.keys[1].not_after = Some(at(SIGNED_AT - 3_600).to_string());
    assert_eq!(world.found_with(&keys).1, Some(16));
    keys.keys.remove(1);
    assert_eq!(world.found_with(&keys).1, Some(14));
}

#[tokio::test]
async fn what_is_no_report_or_no_keys_is_said_to_be_that() {
    let world = World::new().await;
    let file = world.control.path().join("keys.json");
    let paths = [world.files.path().to_owned()];
    let error = |paths: &[PathBuf]| check(paths, &file).unwrap_err().to_string();
    assert!(error(&paths).contains("keys.json"), "{}", error(&paths));
    fs::write(&file, "{}").unwrap();
    assert!(error(&paths).contains("report keys"));
    let mut keys = world.keys().await;
    keys.keys[0].key_id = "ab".to_owned();
    fs::write(&file, serde_json::to_vec(&keys).unwrap()).unwrap();
    assert!(error(&paths).contains("another one"));
    let keys = world.keys().await;
    fs::write(&file, serde_json::to_vec(&keys).unwrap()).unwrap();
    assert!(error(&[world.control.path().to_owned()]).contains("no file of a report"));
    let copy = world.files.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let summary = name("summary-v1");
    fs::copy(world.path("Summary-Reports", &summary), copy.join(&summary)).unwrap();
    assert!(error(&paths).contains("there twice"));
}
