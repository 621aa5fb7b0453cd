//! What holds an execution up: named from what its items waited for. Pure.

use std::time::Duration;

use datasync_model::Bottleneck;

use crate::waits::{Sums, Wait};

/// What happened in a stretch of time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stretch {
    /// How long it was.
    pub(crate) time: Duration,
    /// What items waited for in it.
    pub(crate) waits: Sums,
    /// CPU time that the process used in it.
    pub(crate) cpu: Duration,
    /// CPUs that it may use at once.
    pub(crate) cpus: u32,
    pub(crate) spared: Spared,
}

/// Which servers asked lately for fewer requests: then items wait for their turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spared {
    pub(crate) source: bool,
    pub(crate) destination: bool,
}

/// The bottleneck of a stretch; `None` if next to nothing was waited for.
///
/// A processor that is busy comes first: it makes everything else wait. Where the merge waits most
/// of the time, items come too slowly to use anything else. Memory is what holds the items up only
/// where far more of them wait for it than make use of it: it is full whenever something else is
/// slow.
pub(crate) fn bottleneck(stretch: &Stretch) -> Option<Bottleneck> {
    let Stretch {
        time,
        waits,
        cpu,
        cpus,
        spared,
    } = stretch;
    if time.is_zero() {
        return None;
    }
    if *cpu * 10 >= *time * *cpus * 9 && !cpu.is_zero() {
        return Some(Bottleneck::Cpu);
    }
    let (walk, listing) = (waits.of(Wait::Walk), waits.of(Wait::Listing));
    if walk.max(listing) * 2 >= *time {
        return Some(if walk >= listing {
            Bottleneck::SourceScan
        } else {
            Bottleneck::DestinationListing
        });
    }
    let source = waits.of(Wait::Source) + waits.of(Wait::SourceInBody);
    let destination = waits
        .of(Wait::Destination)
        .saturating_sub(waits.of(Wait::Grant))
        .saturating_sub(waits.of(Wait::SourceInBody));
    let limiter = waits.of(Wait::Admission) + waits.of(Wait::Grant);
    let memory = waits.of(Wait::Memory);
    let answers = source + destination;
    if (answers + limiter + memory) * 20 < *time {
        return None;
    }
    let (is_source, is_spared) = if source >= destination {
        (true, spared.source)
    } else {
        (false, spared.destination)
    };
    Some(if memory > (answers + limiter) * 2 {
        Bottleneck::Memory
    } else if limiter >= source.max(destination) {
        Bottleneck::Limiter
    } else if is_spared || waits.of(Wait::Throttled) * 2 > answers {
        Bottleneck::Throttling
    } else if is_source {
        Bottleneck::SourceLatency
    } else {
        Bottleneck::UploadLatency
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of waits, of CPU, and the name.
    type Row<'a> = (&'a [(Wait, u64)], u64, Option<Bottleneck>);

    fn named(waits: &[(Wait, u64)], cpu: u64) -> Option<Bottleneck> {
        let seconds = Duration::from_secs;
        let sums = waits.iter().fold(Sums::default(), |sums, (wait, time)| {
            sums.with(*wait, seconds(*time))
        });
        bottleneck(&Stretch {
            time: seconds(10),
            waits: sums,
            cpu: seconds(cpu),
            cpus: 4,
            spared: Spared::default(),
        })
    }

    #[test]
    fn a_server_that_is_spared_is_named_where_it_is_waited_for() {
        let named = |source, destination| {
            let waits = Sums::default().with(Wait::Destination, Duration::from_secs(30));
            bottleneck(&Stretch {
                time: Duration::from_secs(10),
                waits,
                cpus: 4,
                spared: Spared {
                    source,
                    destination,
                },
                ..Stretch::default()
            })
        };
        assert_eq!(named(true, false), Some(Bottleneck::UploadLatency));
        assert_eq!(named(false, true), Some(Bottleneck::Throttling));
    }

    #[test]
    fn the_table() {
        use Bottleneck as B;
        use Wait as W;
        let some: [Row<'_>; 14] = [
            (&[], 0, None),
            (&[(W::Walk, 4)], 0, None),
            (
                &[(W::Source, 30), (W::Destination, 20)],
                0,
                Some(B::SourceLatency),
            ),
            (
                &[(W::Source, 20), (W::Destination, 30)],
                20,
                Some(B::UploadLatency),
            ),
            (&[(W::Source, 20), (W::Destination, 30)], 36, Some(B::Cpu)),
            // A body that waits for the source is no slow upload.
            (
                &[(W::SourceInBody, 25), (W::Destination, 30)],
                0,
                Some(B::SourceLatency),
            ),
            (&[(W::Grant, 25), (W::Destination, 30)], 0, Some(B::Limiter)),
            (
                &[(W::Admission, 40), (W::Destination, 30)],
                0,
                Some(B::Limiter),
            ),
            (
                &[(W::Throttled, 20), (W::Destination, 30)],
                0,
                Some(B::Throttling),
            ),
            (
                &[(W::Throttled, 10), (W::Destination, 30)],
                0,
                Some(B::UploadLatency),
            ),
            (&[(W::Memory, 70), (W::Destination, 30)], 0, Some(B::Memory)),
            (
                &[(W::Memory, 50), (W::Destination, 30)],
                0,
                Some(B::UploadLatency),
            ),
            (
                &[(W::Walk, 9), (W::Destination, 30)],
                0,
                Some(B::SourceScan),
            ),
            (
                &[(W::Walk, 1), (W::Listing, 8), (W::Source, 30)],
                0,
                Some(B::DestinationListing),
            ),
        ];
        for (waits, cpu, expected) in some {
            assert_eq!(named(waits, cpu), expected, "{waits:?}, {cpu} s of CPU");
        }
        assert_eq!(bottleneck(&Stretch::default()), None);
    }
}
