//! The contract that every destination keeps.

use datasync_endpoint::Algorithm;
use datasync_endpoint::contract::destination_contract;
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::StoreIntegrity;

use crate::world::World;

async fn check(integrity: StoreIntegrity) {
    check_asking(integrity, None).await;
}

async fn check_asking(integrity: StoreIntegrity, checksum: Option<Algorithm>) {
    let world = World::start(integrity).await;
    for prefix in ["", "some/prefix/"] {
        let config = S3Config {
            checksum,
            ..world.config(prefix)
        };
        let destination = S3Destination::open(config).await.unwrap();
        Box::pin(destination_contract(&destination)).await;
    }
}

#[tokio::test]
async fn the_contract_is_kept_where_sha256_is_asked_for() {
    check_asking(StoreIntegrity::Full, Some(Algorithm::Sha256)).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_crc32c() {
    check(StoreIntegrity::NoCrc64Nvme).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_crc64() {
    check(StoreIntegrity::Full).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_only_md5() {
    check(StoreIntegrity::Md5Only).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_nothing() {
    check(StoreIntegrity::None).await;
}
