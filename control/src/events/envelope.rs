//! An event as EventBridge writes it (user guide: "AWS service events"; DataSync: "EventBridge").

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::records::{Event, Subject};

pub(super) fn envelope(event: &Event) -> Value {
    let (what, arn) = match &event.subject {
        Subject::Agent(arn) => ("Agent", arn.to_string()),
        Subject::Task(arn) => ("Task", arn.to_string()),
        Subject::Execution(arn) => ("Task Execution", arn.to_string()),
        Subject::Control(arn) => ("Control", arn.clone()),
    };
    // arn:partition:service:region:account:resource
    let mut fields = arn.split(':').skip(3);
    let (region, account) = (fields.next(), fields.next());
    let time = Timestamp::from_second(event.at_ms.div_euclid(1000)).unwrap_or_default();
    let mut detail = json!({"State": event.state});
    let kind = match &event.warning {
        None => "State Change",
        Some(warning) => {
            detail["Warning"] = json!(warning.kind);
            detail["Message"] = warning.message.as_str().into();
            "Warning"
        }
    };
    json!({
        "version": "0",
        "id": event.id,
        "detail-type": format!("DataSync {what} {kind}"),
        "source": "aws.datasync",
        "account": account,
        "time": time.to_string(),
        "region": region,
        "resources": [arn],
        "detail": detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Warning, WarningKind};

    #[test]
    fn an_event_has_the_form_of_eventbridge() {
        let arn = "arn:aws-cn:datasync:cn-north-1:123456789012:task/task-0123456789abcdef0\
                   /execution/exec-0123456789abcdef0";
        let event = Event {
            sequence: Event::sequence(7, 0),
            id: "11111111-2222-8333-8444-555555555555".to_owned(),
            subject: Subject::Execution(arn.parse().unwrap()),
            state: "SUCCESS".to_owned(),
            at_ms: 1_770_000_000_999,
            warning: None,
        };
        let expected = json!({
            "version": "0",
            "id": "11111111-2222-8333-8444-555555555555",
            "detail-type": "DataSync Task Execution State Change",
            "source": "aws.datasync",
            "account": "123456789012",
            "time": "2026-02-02T02:40:00Z",
            "region": "cn-north-1",
            "resources": [arn],
            "detail": {"State": "SUCCESS"},
        });
        assert_eq!(envelope(&event), expected);
    }

    #[test]
    fn a_warning_says_what_is_about_to_break() {
        let arn = "arn:aws:datasync:eu-north-1:123456789012:control/0123";
        let event = Event {
            sequence: Event::sequence(7, 0),
            id: "11111111-2222-8333-8444-555555555555".to_owned(),
            subject: Subject::Control(arn.to_owned()),
            state: "RAISED".to_owned(),
            at_ms: 1_770_000_000_999,
            warning: Some(Warning {
                kind: WarningKind::AuthorityExpiring,
                message: "soon".to_owned(),
            }),
        };
        let told = envelope(&event);
        assert_eq!(told["detail-type"], "DataSync Control Warning");
        assert_eq!(
            (&told["region"], &told["resources"]),
            (&json!("eu-north-1"), &json!([arn]))
        );
        let expected =
            json!({"State": "RAISED", "Warning": "AUTHORITY_EXPIRING", "Message": "soon"});
        assert_eq!(told["detail"], expected);
    }
}
