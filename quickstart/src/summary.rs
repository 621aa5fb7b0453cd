//! What happened, and the lines that let the AWS CLI look at it.

use aws_sdk_datasync::operation::describe_task_execution::DescribeTaskExecutionOutput;
use indicatif::HumanBytes;

use crate::transfer::Task;
use crate::world::{REGION, World};

/// One line of counts.
pub(crate) fn counts(execution: &DescribeTaskExecutionOutput) {
    let result = execution.result();
    println!(
        "{}: {} items transferred, {} written, {} verified, {} skipped, {} ms",
        execution.status().map_or("?", |status| status.as_str()),
        execution.files_transferred(),
        HumanBytes(u64::try_from(execution.bytes_written()).unwrap_or(0)),
        execution.files_verified(),
        execution.files_skipped(),
        result
            .and_then(|result| result.total_duration())
            .unwrap_or(0),
    );
}

/// Everything is still there: how to use it.
pub(crate) fn lines_to_paste(world: &World, task: &Task, execution: &DescribeTaskExecutionOutput) {
    let execution = execution.task_execution_arn().unwrap_or_default();
    println!("\nPaste into a shell to use the AWS CLI:\n");
    println!("export AWS_ENDPOINT_URL_DATASYNC={}", world.api_url);
    println!("export AWS_DEFAULT_REGION={REGION}");
    println!("export AWS_ACCESS_KEY_ID={}", world.access_key.id);
    println!("export AWS_SECRET_ACCESS_KEY={}", world.access_key.secret);
    println!();
    println!("aws datasync list-agents");
    println!(
        "aws datasync describe-location-nfs --location-arn {}",
        task.source
    );
    println!(
        "aws datasync describe-location-object-storage --location-arn {}",
        task.destination
    );
    println!("aws datasync describe-task-execution --task-execution-arn {execution}");
    println!("aws datasync start-task-execution --task-arn {}", task.arn);
    if world.store_is_embedded {
        println!("\nWhat arrived, in the embedded store:\n");
        println!(
            "AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} aws s3 ls --recursive {} --endpoint-url {}",
            world.store_key.id, world.store_key.secret, world.destination, world.store,
        );
    }
    println!("\nOne more agent, to activate yourself:\n");
    println!(
        "cargo run --release -p quickstart -- agent {}",
        world.directory().display()
    );
    println!();
    if let Some(exported) = &world.exported {
        println!("source       {}", exported.display());
    }
    println!("destination  {} at {}", world.destination, world.store);
    println!("state        {}", world.directory().display());
}
