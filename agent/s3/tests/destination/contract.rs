//! The contract that every destination keeps.

use datasync_endpoint::contract::destination_contract;
use quickstart_store::StoreIntegrity;

use crate::world::World;

async fn check(integrity: StoreIntegrity) {
    let world = World::start(integrity).await;
    for prefix in ["", "some/prefix/"] {
        Box::pin(destination_contract(&world.open(prefix).await)).await;
    }
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
