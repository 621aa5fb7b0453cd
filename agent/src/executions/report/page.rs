//! Entries gathered into objects of bounded size, each a JSON document of its own.

use datasync_model::{ObjectTree, ReportKind, TaskExecutionArn};

/// An object is full with so many bytes.
pub(super) const PAGE_BYTES: usize = 8 << 20;

/// An object that is being filled.
#[derive(Debug)]
pub(super) struct Page {
    head: String,
    body: Vec<u8>,
    tree: ObjectTree,
}

/// An object that takes no more.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) content: Vec<u8>,
    /// Over its entries.
    pub(super) tree: ObjectTree,
}

impl Page {
    pub(super) fn new(execution: &TaskExecutionArn, kind: ReportKind) -> Self {
        // Neither holds a character that JSON escapes.
        let head = format!("{{\"TaskExecutionId\":\"{}\",\"{kind}\":[", execution.id());
        Self {
            head,
            body: Vec::new(),
            tree: ObjectTree::default(),
        }
    }

    /// Adds the JSON of an entry. The object before it, if there was no room for both.
    pub(super) fn add(&mut self, entry: &[u8]) -> Option<Full> {
        let is_full = !self.body.is_empty() && self.body.len() + entry.len() > PAGE_BYTES;
        let full = if is_full { self.take() } else { None };
        if self.body.is_empty() {
            self.body.extend_from_slice(self.head.as_bytes());
        } else {
            self.body.push(b',');
        }
        self.body.extend_from_slice(entry);
        self.tree.push(entry);
        full
    }

    /// What is left, if anything.
    pub(super) fn take(&mut self) -> Option<Full> {
        if self.body.is_empty() {
            return None;
        }
        let mut content = std::mem::take(&mut self.body);
        content.extend_from_slice(b"]}");
        Some(Full {
            content,
            tree: std::mem::take(&mut self.tree),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn execution() -> TaskExecutionArn {
        "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/\
         exec-0123456789abcdef1"
            .parse()
            .unwrap()
    }

    fn pages(entries: &[Value]) -> Vec<Value> {
        let mut page = Page::new(&execution(), ReportKind::Skipped);
        let mut full: Vec<_> = entries
            .iter()
            .filter_map(|entry| page.add(entry.to_string().as_bytes()))
            .collect();
        full.extend(page.take());
        assert!(
            full.iter()
                .all(|page| page.content.len() <= PAGE_BYTES + 200)
        );
        let read = |page: &Full| serde_json::from_slice(&page.content).unwrap();
        full.iter().map(read).collect()
    }

    #[test]
    fn no_entries_make_no_object() {
        assert!(pages(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_entry_is_in_one_document_in_order(
            lengths in proptest::collection::vec(0usize..3 << 20, 0..12),
        ) {
            let entries: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| json!({"n": number, "text": "x".repeat(*length)}))
                .collect();
            let mut found = Vec::new();
            for page in pages(&entries) {
                prop_assert_eq!(&page["TaskExecutionId"], "exec-0123456789abcdef1");
                prop_assert_eq!(page.as_object().unwrap().len(), 2);
                found.extend(page["Skipped"].as_array().unwrap().clone());
            }
            prop_assert_eq!(found, entries);
        }
    }
}
