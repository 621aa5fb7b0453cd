//! Takes secrets out of lines that others wrote.

use regex::Regex;

const HIDDEN: &str = "[removed]";

/// What secrets look like: the part that goes, behind a part that stays.
const FORMS: &[&str] = &[
    // Activation keys.
    r"()(?-u:\b)[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}(?-u:\b)",
    // User and password of URLs.
    r"([a-z][a-z0-9+.-]*://)[^/@ \t]+@",
    // Ids of access keys.
    r"()(?-u:\b)(?:AKIA|ASIA)[A-Z0-9]{12,}",
    // Signed URLs and headers, settings.
    r#"((?i-u:x-amz-(?:signature|credential|security-token)|authorization|password|passwd|secret[a-z_]*|session_?token|secret_?access_?key)["']?[ \t]*[=:][ \t]*)(?:"[^"]*"|'[^']*'|(?i-u:aws4-hmac-sha256|basic|bearer)[ \t]+[^ ].*|[^ \t&,;]+)"#,
    // Keys in PEM, however the lines are joined.
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*",
];

/// Finds secrets, by their forms and by their values.
#[derive(Debug)]
pub(super) struct Scrubber {
    forms: Vec<Regex>,
    /// Values that are known to be secret.
    values: Vec<String>,
}

impl Scrubber {
    /// `values` that are shorter than four characters are not looked for: they are in many words.
    ///
    /// # Errors
    /// If one of the forms is none.
    pub(super) fn new(values: impl IntoIterator<Item = String>) -> Result<Self, regex::Error> {
        Ok(Self {
            forms: FORMS
                .iter()
                .map(|form| Regex::new(form))
                .collect::<Result<_, _>>()?,
            values: values
                .into_iter()
                .filter(|value| value.len() >= 4)
                .collect(),
        })
    }

    /// The line without secrets.
    pub(super) fn clean(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for value in &self.values {
            line = line.replace(value.as_str(), HIDDEN);
        }
        for form in &self.forms {
            let kept = format!("${{1}}{HIDDEN}");
            line = form.replace_all(&line, kept.as_str()).into_owned();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_secrets_are_removed_and_the_rest_stays() {
        let scrubber = Scrubber::new(["canary-value".to_owned(), "abc".to_owned()]).unwrap();
        for (line, left) in [
            (
                "key ABCDE-12345-FGHJK-67890-MNPQR given",
                "key [removed] given",
            ),
            (
                "via http://user:canary@proxy:3128/",
                "via http://[removed]proxy:3128/",
            ),
            ("id AKIAIOSFODNN7EXAMPLE used", "id [removed] used"),
            (
                "?X-Amz-Signature=0a1b2c&x=1",
                "?X-Amz-Signature=[removed]&x=1",
            ),
            (
                "Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=c",
                "Authorization: [removed]",
            ),
            (
                r#"{"secret_access_key":"ca nary"}"#,
                r#"{"secret_access_key":[removed]}"#,
            ),
            ("password = canary", "password = [removed]"),
            (
                "-----BEGIN EC PRIVATE KEY-----MHcCAQ",
                "-----BEGIN EC PRIVATE KEY-----[removed]",
            ),
            ("it says canary-value.", "it says [removed]."),
            ("abc files=3 path=/a/b", "abc files=3 path=/a/b"),
        ] {
            assert_eq!(scrubber.clean(line), left);
        }
    }
}
