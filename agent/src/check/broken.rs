//! Where the way to a location ends that cannot be reached, and which right is missing of one that can: for
//! the failures of tasks.

use std::time::Duration;

use datasync_endpoint::{EndpointError, ErrorKind};
use datasync_model::{Failure, Location};

use super::{file_system, reach::reach, rights::right, store};
use crate::efs;
use crate::endpoints::Endpoints;
use crate::link::{Hop, Trail};

/// For the whole way.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The same failure, with the step at which the way ends or the right that is missing, if that is known.
pub(crate) async fn located(
    endpoints: &Endpoints,
    location: &Location,
    error: &EndpointError,
    failure: Failure,
) -> Failure {
    let told = match error.kind {
        ErrorKind::Unreachable | ErrorKind::Timeout => {
            let walking = tokio::time::timeout(TIME_MAX, Box::pin(walk(endpoints, location)));
            let hops = walking.await.unwrap_or_default();
            broken(&hops).map(|(name, reason)| format!("the way there ends at {name}: {reason}"))
        }
        ErrorKind::PermissionDenied => denied(location, error),
        _ => None,
    };
    match told {
        Some(told) => Failure::new(failure.code, format!("{}; {told}", failure.detail)),
        None => failure,
    }
}

/// The right that a bucket's owner has not given.
fn denied(location: &Location, error: &EndpointError) -> Option<String> {
    let Location::S3(_) = location else {
        return None;
    };
    right(error.operation).map(|right| format!("the right that is missing: {right}"))
}

async fn walk(endpoints: &Endpoints, location: &Location) -> Vec<Hop> {
    match location {
        Location::Nfs(nfs) => {
            let config = endpoints.nfs_config(nfs);
            let mut trail = Trail::default();
            file_system::approach(&mut trail, nfs, &config).await;
            trail.into_hops()
        }
        Location::Efs(efs) => match efs::as_nfs(efs, endpoints.efs_addresses()) {
            Ok(nfs) => {
                let mut trail = Trail::default();
                file_system::approach_efs(&mut trail, &nfs).await;
                trail.into_hops()
            }
            Err(_) => Vec::new(),
        },
        Location::S3(s3) => {
            let endpoint = store::endpoint(s3);
            let certificate = s3.server_certificate.as_deref();
            match reach(&endpoint, &s3.bucket, endpoints.egress(), certificate).await {
                Some(reached) => reached.trail.into_hops(),
                None => Vec::new(),
            }
        }
    }
}

fn broken(hops: &[Hop]) -> Option<(&'static str, &str)> {
    hops.iter()
        .filter(|hop| !hop.is_spare)
        .find_map(|hop| Some((hop.name, hop.result.as_ref().err()?.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_that_cannot_be_spared_is_where_the_way_ends() {
        let hop = |name, is_good, is_spare| Hop {
            name,
            result: if is_good {
                Ok(String::new())
            } else {
                Err("refused".to_owned())
            },
            is_spare,
        };
        let hops = [hop("DNS", true, false), hop("Portmapper", false, true)];
        assert_eq!(broken(&hops), None);
        let hops = [hops[0].clone(), hops[1].clone(), hop("TCP", false, false)];
        assert_eq!(broken(&hops), Some(("TCP", "refused")));
    }
}
