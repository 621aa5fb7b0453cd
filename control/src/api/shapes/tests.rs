use serde_json::json;

use super::*;

fn refused(operation: &str, input: &Value) -> Option<String> {
    check(input, input_of(operation).unwrap())
        .err()
        .map(|error| error.to_string())
}

fn compile(shape: Shape) {
    match shape {
        Shape::Text(text) => assert!(text.compiled().is_ok(), "{}", text.pattern),
        Shape::List(list) => compile(list.of),
        Shape::Structure(members) => members.iter().for_each(|member| compile(member.shape)),
        Shape::Word(_) | Shape::Number(..) | Shape::Blob(_) => {}
    }
}

#[test]
fn every_pattern_compiles() {
    for (_, members) in OPERATIONS {
        compile(Shape::Structure(members));
    }
}

#[test]
fn operations_are_sorted_and_unique() {
    assert!(OPERATIONS.is_sorted_by(|one, two| one.0 < two.0));
    assert_eq!(OPERATIONS.len(), 53);
    assert!(input_of("Explode").is_none());
}

#[test]
fn each_refusal_names_the_member_and_the_constraint() {
    for (operation, input, text) in [
        (
            "DescribeTask",
            json!({}),
            "TaskArn is required and must not be null.",
        ),
        (
            "DescribeTask",
            json!({"TaskArn": null}),
            "TaskArn is required",
        ),
        (
            "DescribeTask",
            json!({"TaskArn": 1}),
            "TaskArn must be a string.",
        ),
        (
            "ListTasks",
            json!({"MaxResults": 101}),
            "MaxResults \"101\" must be from 0 to 100",
        ),
        (
            "ListTasks",
            json!({"MaxResults": 1.5}),
            "MaxResults must be a whole number",
        ),
        (
            "UpdateTask",
            json!({"TaskArn": "arn:aws:datasync:r:000000000000:task/task-00000000000000000",
                   "Options": {"BytesPerSecond": -2}}),
            "Options.BytesPerSecond \"-2\" must be at least -1",
        ),
        (
            "TagResource",
            json!({"ResourceArn": "arn:aws:datasync:r:000000000000:task/task-00000000000000000",
                   "Tags": [{"Key": "a"}, {"Key": ""}]}),
            "Tags.member.Key \"\" must have at least 1 character(s)",
        ),
        (
            "CreateLocationSmb",
            json!({"Subdirectory": "/", "ServerHostname": "h", "AgentArns": []}),
            "AgentArns \"a list of 0\" must have from 1 to 8 elements",
        ),
        (
            "CreateLocationObjectStorage",
            json!({"ServerHostname": "h", "BucketName": "abc", "ServerCertificate": "!"}),
            "ServerCertificate must be base64 in a string.",
        ),
    ] {
        let found = refused(operation, &input).unwrap_or_default();
        assert!(found.contains(text), "{operation} {input}: {found}");
    }
}

#[test]
fn secrets_are_not_repeated() {
    let input = json!({"ActivationKey": "CANARY"});
    let found = refused("CreateAgent", &input).unwrap();
    assert!(
        found.contains("***") && !found.contains("CANARY"),
        "{found}"
    );
}

#[test]
fn members_that_the_model_does_not_have_are_passed_over() {
    let mut input = json!({"Color": 1, "NextToken": null, "MaxResults": 3});
    assert_eq!(refused("ListTasks", &input), None);
    retain_known(&mut input, input_of("ListTasks").unwrap());
    assert_eq!(input, json!({"NextToken": null, "MaxResults": 3}));
}
