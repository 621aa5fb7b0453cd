//! What is signed of a task report, and the document that carries the signatures.
//!
//! The entries of each object of a report are the records of a tree of their own; the objects, by
//! name, number of entries and root, are the records of the report's tree. Its root is signed.

use serde::{Deserialize, Serialize};

use crate::{AgentArn, Digest, MerkleTree, TaskExecutionArn};

/// One object of a report, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ReportObject {
    /// The last segment of its key, which tells execution, kind and number.
    pub name: String,
    /// How many entries it has; a summary is one.
    pub entries: u64,
    /// The root of the tree over its entries.
    pub root: Digest,
    /// A hash of its entries whatever their order: tells a changed order from a changed entry.
    pub set: Digest,
}

impl ReportObject {
    fn record(&self) -> String {
        let Self {
            name,
            entries,
            root,
            set,
        } = self;
        format!("{name}\n{entries}\n{root}\n{set}")
    }
}

/// The tree over one object's entries while it is written or read: 32 bytes for each entry.
#[derive(Debug, Clone, Default)]
pub struct ObjectTree {
    tree: MerkleTree,
    leaves: Vec<Digest>,
}

impl ObjectTree {
    /// Adds an entry: its bytes in the object.
    pub fn push(&mut self, entry: &[u8]) {
        let leaf = Digest::of_record(entry);
        self.tree.push(leaf);
        self.leaves.push(leaf);
    }

    /// The object of this name with these entries.
    #[must_use]
    pub fn named(mut self, name: &str) -> ReportObject {
        self.leaves.sort_unstable();
        let sorted: Vec<u8> = self
            .leaves
            .iter()
            .flat_map(|leaf| *leaf.as_bytes())
            .collect();
        ReportObject {
            name: name.to_owned(),
            entries: self.tree.records(),
            root: self.tree.root(),
            set: Digest::of(&sorted),
        }
    }
}

/// What agent and control put their names to: the report of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportStatement {
    /// Whose report it is.
    pub execution: TaskExecutionArn,
    /// The number of its objects.
    pub objects: u64,
    /// The number of entries in all of them.
    pub entries: u64,
    /// The root of the tree over the objects, in order.
    pub root: Digest,
}

impl ReportStatement {
    /// Of the report with these objects.
    #[must_use]
    pub fn of(execution: &TaskExecutionArn, objects: &[ReportObject]) -> Self {
        let mut tree = MerkleTree::default();
        for object in objects {
            tree.push(Digest::of_record(object.record().as_bytes()));
        }
        Self {
            execution: execution.clone(),
            objects: tree.records(),
            entries: objects
                .iter()
                .fold(0, |sum, object| sum.saturating_add(object.entries)),
            root: tree.root(),
        }
    }

    /// The text that `agent` signs with the key of this id.
    #[must_use]
    pub fn signed_by_agent(&self, agent: &AgentArn, key_id: &str) -> String {
        format!(
            "datasync-report-v1\nexecution: {}\nobjects: {}\nentries: {}\nroot: {}\n\
             agent: {agent}\nagent-key: {key_id}\n",
            self.execution, self.objects, self.entries, self.root
        )
    }

    /// The text that control signs with the key of this id at this moment (RFC 3339), when `agent`
    /// has signed with its key: its signature is hexadecimal.
    #[must_use]
    pub fn signed_by_control(
        &self,
        (agent, agent_key, agent_signature): (&AgentArn, &str, &str),
        (key_id, signed_at): (&str, &str),
    ) -> String {
        let signed = self.signed_by_agent(agent, agent_key);
        format!(
            "datasync-report-countersignature-v1\n{signed}agent-signature: {agent_signature}\n\
             control-key: {key_id}\nsigned-at: {signed_at}\n"
        )
    }
}

/// An agent's part of [`SignedReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AgentSignature {
    /// The agent that wrote the report.
    pub agent_arn: AgentArn,
    /// SHA-256 of the DER of its public key, hexadecimal.
    pub key_id: String,
    /// The key of its certificate: PEM of an ECDSA P-256 `SubjectPublicKeyInfo`.
    pub public_key: String,
    /// ECDSA with SHA-256 over [`ReportStatement::signed_by_agent`]: DER, hexadecimal.
    pub signature: String,
}

/// Control's part of [`SignedReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ControlSignature {
    /// One of the keys that control publishes: SHA-256 of its DER, hexadecimal.
    pub key_id: String,
    /// When it was signed, by control's clock: RFC 3339.
    pub signed_at: String,
    /// ECDSA with SHA-256 over [`ReportStatement::signed_by_control`]: DER, hexadecimal.
    pub signature: String,
}

/// The document beside a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SignedReport {
    /// [`SignedReport::VERSION`].
    pub version: u32,
    /// Whose report it is.
    pub task_execution_arn: TaskExecutionArn,
    /// The root over [`Self::objects`].
    pub root: Digest,
    /// The objects in order, the summary last.
    pub objects: Vec<ReportObject>,
    /// Who wrote them.
    pub agent: AgentSignature,
    /// Who knows the agent.
    pub control: Option<ControlSignature>,
}

impl SignedReport {
    /// The version of the document that this release writes and reads.
    pub const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, entries: &[&str]) -> ReportObject {
        let mut tree = ObjectTree::default();
        for entry in entries {
            tree.push(entry.as_bytes());
        }
        tree.named(name)
    }

    fn execution() -> TaskExecutionArn {
        "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/\
         exec-0123456789abcdef1"
            .parse()
            .unwrap()
    }

    #[test]
    fn an_object_tells_a_changed_order_from_a_changed_entry() {
        let written = object("n", &["1", "2", "3"]);
        let swapped = object("n", &["2", "1", "3"]);
        assert_ne!(written.root, swapped.root);
        assert_eq!(written.set, swapped.set);
        let changed = object("n", &["1", "2", "4"]);
        assert_ne!(written.root, changed.root);
        assert_ne!(written.set, changed.set);
        assert_eq!(object("n", &["1", "2"]).entries, 2);
    }

    #[test]
    fn the_root_depends_on_everything_that_is_known_of_the_objects() {
        let (one, two) = (object("1", &["a"]), object("2", &["b", "c"]));
        let of = |objects: &[ReportObject]| ReportStatement::of(&execution(), objects);
        let whole = of(&[one.clone(), two.clone()]);
        assert_eq!((whole.objects, whole.entries), (2, 3));
        for other in [
            vec![one.clone()],
            vec![two.clone(), one.clone()],
            vec![one.clone(), object("3", &["b", "c"])],
            vec![one.clone(), object("2", &["c", "b"])],
            vec![one, two.clone(), two],
        ] {
            assert_ne!(of(&other).root, whole.root, "{other:?}");
        }
    }

    #[test]
    fn signatures_are_over_texts_that_name_everything() {
        let agent: AgentArn =
            "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0"
                .parse()
                .unwrap();
        let statement = ReportStatement::of(&execution(), &[object("1", &["a"])]);
        let text = statement.signed_by_agent(&agent, "ab");
        let root = statement.root;
        assert_eq!(
            text,
            format!(
                "datasync-report-v1\nexecution: {}\nobjects: 1\nentries: 1\nroot: {root}\n\
                 agent: {agent}\nagent-key: ab\n",
                execution()
            )
        );
        let countersigned =
            statement.signed_by_control((&agent, "ab", "cd"), ("ef", "2026-01-01T00:00:00Z"));
        assert_eq!(
            countersigned,
            format!(
                "datasync-report-countersignature-v1\n{text}agent-signature: cd\n\
                 control-key: ef\nsigned-at: 2026-01-01T00:00:00Z\n"
            )
        );
    }
}
