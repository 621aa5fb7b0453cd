use super::*;

fn home() -> Home {
    Home {
        partition: Partition::Aws,
        region: "us-east-1".parse().unwrap(),
        account: "123456789012".parse().unwrap(),
    }
}

#[test]
fn new_arns_parse_back() {
    let id = UniqueId::from_random([0xfe; 8]);
    let agent = AgentArn::new(&home(), id);
    assert_eq!(
        agent.to_string(),
        "arn:aws:datasync:us-east-1:123456789012:agent/agent-0fefefefefefefefe"
    );
    assert_eq!(agent.to_string().parse(), Ok(agent));
    let task = TaskArn::new(&home(), id);
    let execution = TaskExecutionArn::new(&task, id);
    assert_eq!(execution.to_string().parse(), Ok(execution.clone()));
    assert_eq!(execution.task(), &task);
}

#[test]
fn foreign_shapes_are_refused() {
    for text in [
        "",
        "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdeg0",
        "arn:aws:datasync:us-east-1:12345678901:task/task-0123456789abcdef0",
        "arn:aws:s3:us-east-1:123456789012:task/task-0123456789abcdef0",
        "arn:aws:datasync:US:123456789012:task/task-0123456789abcdef0",
        "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0",
        "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-1",
    ] {
        assert!(text.parse::<TaskArn>().is_err(), "{text}");
    }
}
