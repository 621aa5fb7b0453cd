//! Getting an activation key.

use datasync_model::Region;

use super::super::command::Command;
use super::super::form::{Field, Form};
use super::super::page::Line;

const REGION: &str = "Region";

pub(in super::super) fn form() -> Form {
    Form::new(
        "Get activation key",
        &[
            "The region is the one that clients of your control plane use.",
            "The key is for CreateAgent, once, within 30 minutes.",
        ],
        vec![Field::text(REGION, "us-east-1")],
        "Get key",
    )
}

/// # Errors
/// What is wrong with the region.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let region: Region = form.value(REGION).parse()?;
    Ok(Command::RequestKey {
        region: region.into(),
    })
}

/// `key` is what the agent answered.
pub(in super::super) fn lines(region: &str, key: &str) -> Vec<Line> {
    vec![
        Line::plain("Activation key"),
        Line::plain(""),
        Line::plain(format!("    {key}")),
        Line::plain(""),
        Line::plain(format!(
            "Region {region}. Good for one CreateAgent within 30 minutes, for example:"
        )),
        Line::plain(""),
        Line::plain(format!(
            "aws datasync create-agent --region {region} --activation-key {key}"
        )),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_checked_here() {
        let asked = |region: &str| {
            let mut form = form();
            form.fields[0].value = region.to_owned();
            submit(&form)
        };
        assert_eq!(
            asked(" eu-north-1 "),
            Ok(Command::RequestKey {
                region: "eu-north-1".to_owned()
            })
        );
        assert!(asked("").is_err());
        assert!(asked("EU north&x=1").unwrap_err().contains("region"));
    }
}
