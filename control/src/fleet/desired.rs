//! What each agent should be doing, computed from rows: a full snapshot per agent.

use std::collections::BTreeMap;

use datasync_model::TaskExecutionArn;
use datasync_model::{ExecutionSpec, ExecutionStatus, Location, Rate, S3Location, Tenure};
use datasync_proto::{DesiredExecution, DesiredProbe, DesiredState, Generation};

use super::probes::Asked;
use super::views::{AgentKey, LiveExecution, Revision, Snapshot, are_among};
use crate::credentials::{Purpose, Rights};
use crate::records::ReleaseWish;

/// One execution that an agent should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedExecution {
    spec: ExecutionSpec,
    tenure: Tenure,
    revisions: [Revision; 2],
    role_keys: BTreeMap<String, i64>,
    rate: Rate,
    cancel: bool,
}

/// Everything one agent should be doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AgentDesired {
    executions: Vec<WantedExecution>,
    probes: Vec<Asked>,
    /// The release that it should run; `None`: the one that it runs.
    release: Option<ReleaseWish>,
}

/// A store or file system that an agent needs keys for: where the agent has it, and the revision that the keys
/// are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NeededStore {
    pub(crate) location: Location,
    pub(crate) revision: Revision,
    pub(crate) usage: KeyUse,
}

/// What the keys are used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyUse {
    Location(Rights),
    /// A bucket that belongs to no location.
    Role(RoleUse),
}

/// Keys of a role for a bucket of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleUse {
    pub(crate) arn: String,
    pub(crate) purpose: Purpose,
    /// What the keys are limited to.
    pub(crate) path: String,
}

impl NeededStore {
    /// Whether these keys do for `other` as well.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let same_place = (&self.location, self.revision) == (&other.location, other.revision);
        same_place
            && match (&self.usage, &other.usage) {
                (KeyUse::Location(have), KeyUse::Location(want)) => have >= want,
                (have, want) => have == want,
            }
    }
}

fn needed(location: &Location, revision: Revision, rights: Rights) -> Option<NeededStore> {
    let has_keys = match location {
        Location::S3(_) => true,
        Location::Efs(efs) => efs.signed,
        Location::Nfs(_) => false,
    };
    has_keys.then(|| NeededStore {
        location: location.clone(),
        revision,
        usage: KeyUse::Location(rights),
    })
}

impl WantedExecution {
    fn of(execution: &LiveExecution) -> Self {
        Self {
            spec: execution.spec.clone(),
            tenure: execution.tenure,
            revisions: execution.revisions,
            role_keys: execution.role_keys.clone(),
            rate: execution.rate,
            cancel: execution.status == ExecutionStatus::Cancelling,
        }
    }

    fn manifest(&self) -> Option<NeededStore> {
        let manifest = self.spec.extensions.manifest.as_ref()?;
        let role = RoleUse {
            arn: manifest.role_arn.clone(),
            purpose: Purpose::Manifest,
            path: manifest.key.clone(),
        };
        Some(self.of_role(&manifest.store, role))
    }

    fn report(&self) -> Option<NeededStore> {
        let report = self.spec.extensions.report.as_ref()?;
        let role = RoleUse {
            arn: report.role_arn.clone(),
            purpose: Purpose::Report,
            path: report.prefix.clone(),
        };
        Some(self.of_role(&report.store, role))
    }

    fn of_role(&self, store: &S3Location, role: RoleUse) -> NeededStore {
        let role_key = self.role_keys.get(&role.arn).copied();
        NeededStore {
            location: Location::S3(store.clone()),
            revision: Revision {
                location: 0,
                role_key: role_key.unwrap_or_default(),
            },
            usage: KeyUse::Role(role),
        }
    }

    fn stores(&self) -> impl Iterator<Item = NeededStore> {
        let [source, destination] = self.revisions;
        let to_write = match self.spec.source {
            Location::S3(_) => Rights::Copy,
            Location::Nfs(_) | Location::Efs(_) => Rights::Write,
        };
        let sides = [
            needed(&self.spec.source, source, Rights::Read),
            needed(&self.spec.destination, destination, to_write),
        ];
        let further = [self.manifest(), self.report()];
        sides.into_iter().chain(further).flatten()
    }
}

impl Asked {
    fn store(&self) -> Option<NeededStore> {
        let rights = if self.as_destination {
            Rights::Write
        } else {
            Rights::Read
        };
        needed(&self.side.location, self.side.revision, rights)
    }
}

impl AgentDesired {
    /// Whether the agent should have `execution`, in the tenure with this epoch.
    pub(crate) fn has_in(&self, execution: &TaskExecutionArn, epoch: u64) -> bool {
        let tenure = Tenure {
            epoch,
            leased: false,
        };
        self.executions
            .iter()
            .filter(|wanted| wanted.spec.execution == *execution)
            .any(|wanted| tenure.is_of(wanted.tenure))
    }

    /// Whether the agent should have `execution`.
    pub(crate) fn has(&self, execution: &TaskExecutionArn) -> bool {
        self.executions
            .iter()
            .any(|wanted| wanted.spec.execution == *execution)
    }

    /// The stores for which the agent needs keys, one for each location: with the right to write
    /// where any use of it writes.
    pub(crate) fn stores(&self) -> Vec<NeededStore> {
        let of_executions = self.executions.iter().flat_map(WantedExecution::stores);
        let of_probes = self.probes.iter().filter_map(Asked::store);
        let mut stores: Vec<NeededStore> = Vec::new();
        for store in of_executions.chain(of_probes) {
            let arn = store.location.arn();
            match stores.iter_mut().find(|known| known.location.arn() == arn) {
                Some(known) if store.covers(known) => *known = store,
                Some(_) => {}
                None => stores.push(store),
            }
        }
        stores
    }

    /// The same without what waits for keys: probes, and executions that nobody has told the
    /// agent of. All others stay in, since an agent forgets what is left out; a cancel, a new
    /// rate or the end of something waits for nothing. What the agent would not understand is
    /// cancelled: an agent that became older would run it as something else.
    pub(crate) fn due(
        &self,
        abilities: &[String],
        is_untold: impl Fn(&TaskExecutionArn) -> bool,
        is_ready: impl Fn(&NeededStore) -> bool,
    ) -> Self {
        let mut due = self.clone();
        for wanted in &mut due.executions {
            wanted.cancel |= !are_among(&wanted.spec.needs(), abilities);
        }
        due.executions.retain(|wanted| {
            wanted.cancel
                || !is_untold(&wanted.spec.execution)
                || wanted.stores().all(|store| is_ready(&store))
        });
        due.probes
            .retain(|asked| asked.store().is_none_or(|store| is_ready(&store)));
        due
    }

    /// The message to the agent.
    pub(crate) fn message(&self, incarnation: &str, generation: u64) -> DesiredState {
        DesiredState {
            generation: Some(Generation {
                incarnation: incarnation.to_owned(),
                generation,
            }),
            executions: self
                .executions
                .iter()
                .map(|wanted| {
                    let desired = DesiredExecution::new(&wanted.spec, wanted.rate, wanted.cancel);
                    desired.under(wanted.tenure)
                })
                .collect(),
            probes: self
                .probes
                .iter()
                .map(|asked| {
                    let location = &asked.side.location;
                    DesiredProbe::new(asked.id.clone(), location, asked.as_destination)
                })
                .collect(),
            release: self.release.as_ref().and_then(ReleaseWish::message),
        }
    }
}

/// The wish for an agent of its own, or else the one for all.
fn release(snapshot: &Snapshot, key: &AgentKey) -> Option<ReleaseWish> {
    let own = key
        .rsplit('/')
        .next()
        .and_then(|id| snapshot.wishes.get(id));
    own.or_else(|| snapshot.wishes.get(ReleaseWish::ALL))
        .cloned()
}

/// The desired state of every activated agent, `before` for those that are held. An execution
/// leaves it once its end is recorded.
pub(crate) fn desired(
    snapshot: &Snapshot,
    probes: &BTreeMap<AgentKey, Vec<Asked>>,
    before: &BTreeMap<AgentKey, AgentDesired>,
) -> BTreeMap<AgentKey, AgentDesired> {
    let is_held = |key: &AgentKey| {
        key.rsplit('/')
            .next()
            .is_some_and(|id| snapshot.held.contains(id))
    };
    let mut agents: BTreeMap<AgentKey, AgentDesired> = snapshot
        .agents
        .keys()
        .filter(|key| !is_held(key))
        .map(|key| {
            let probes = probes.get(key).cloned().unwrap_or_default();
            let desired = AgentDesired {
                executions: Vec::new(),
                probes,
                release: release(snapshot, key),
            };
            (key.clone(), desired)
        })
        .collect();
    for execution in snapshot.executions.iter().filter(|e| e.is_launched()) {
        let agent = execution.agent.as_ref().map(ToString::to_string);
        if let Some(desired) = agent.and_then(|agent| agents.get_mut(&agent)) {
            desired.executions.push(WantedExecution::of(execution));
        }
    }
    let held = before.iter().filter(|(key, _)| is_held(key));
    agents.extend(held.map(|(key, desired)| (key.clone(), desired.clone())));
    agents
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn of(snapshot: &Snapshot, number: u8) -> AgentDesired {
        let desired = desired(snapshot, &BTreeMap::new(), &BTreeMap::new());
        desired[&fixture::agent(number).to_string()].clone()
    }

    #[test]
    fn an_agent_gets_its_own_live_executions_and_nothing_else() {
        let mut snapshot = fixture::snapshot(2);
        let cases = [
            (ExecutionStatus::Queued, None),
            (ExecutionStatus::Launching, Some(0)),
            (ExecutionStatus::Cancelling, Some(0)),
            (ExecutionStatus::Success, Some(0)),
            (ExecutionStatus::Transferring, Some(1)),
        ];
        for (number, (status, agent)) in cases.into_iter().enumerate() {
            let mut execution = fixture::execution(1, number as u64);
            execution.status = status;
            execution.agent = agent.map(fixture::agent);
            snapshot.executions.push(execution);
        }
        let message = of(&snapshot, 0).message("incarnation", 7);
        let cancels: Vec<bool> = message.executions.iter().map(|e| e.cancel).collect();
        assert_eq!(cancels, [false, true]);
        assert_eq!(message.generation.unwrap().generation, 7);
        assert_eq!(of(&snapshot, 1).executions.len(), 1);
        let stores = of(&snapshot, 0).stores();
        assert_eq!(stores.len(), 1);
        assert_eq!(stores[0].location.arn(), fixture::bucket().arn());
    }

    #[test]
    fn only_what_the_agent_cannot_have_waits_for_keys() {
        let mut snapshot = fixture::snapshot(1);
        for number in 0..3 {
            let mut execution = fixture::execution(number, number);
            execution.agent = Some(fixture::agent(0));
            execution.status = if number == 1 {
                ExecutionStatus::Cancelling
            } else {
                ExecutionStatus::Launching
            };
            snapshot.executions.push(execution);
        }
        let [first, second, third] = &snapshot.executions[..] else {
            panic!("three executions");
        };
        let untold = [&first.arn, &second.arn];
        let due = |ready: bool| {
            let due = of(&snapshot, 0).due(&[], |arn| untold.contains(&arn), |_| ready);
            [first, second, third].map(|execution| due.has(&execution.arn))
        };
        assert_eq!(due(false), [false, true, true]);
        assert_eq!(due(true), [true; 3]);
    }

    #[test]
    fn a_manifest_needs_keys_of_its_role_and_an_agent_that_knows_manifests() {
        let mut snapshot = fixture::snapshot(1);
        let mut execution = fixture::with_manifest(fixture::execution(1, 1));
        execution.agent = Some(fixture::agent(0));
        execution.status = ExecutionStatus::Launching;
        snapshot.executions.push(execution);
        let desired = of(&snapshot, 0);
        let stores = desired.stores();
        let [bucket, manifest] = &stores[..] else {
            panic!("two stores: {stores:?}");
        };
        assert_eq!(bucket.usage, KeyUse::Location(Rights::Write));
        let KeyUse::Role(role) = &manifest.usage else {
            panic!("a role: {manifest:?}");
        };
        assert_eq!(
            (role.arn.as_str(), role.path.as_str()),
            (fixture::MANIFEST_ROLE, "list.csv")
        );
        assert_eq!(manifest.revision.role_key, 7);
        let cancels = |abilities: &[String]| {
            let due = desired.due(abilities, |_| false, |_| true);
            let message = due.message("incarnation", 1);
            message
                .executions
                .iter()
                .map(|e| e.cancel)
                .collect::<Vec<_>>()
        };
        assert_eq!(cancels(&[]), [true]);
        assert_eq!(cancels(&["manifest".to_owned()]), [false]);
    }

    #[test]
    fn a_file_system_needs_keys_if_it_has_a_role_and_an_agent_that_knows_it() {
        let mut snapshot = fixture::snapshot(1);
        let mut execution = fixture::execution(1, 1);
        execution.agent = Some(fixture::agent(0));
        execution.status = ExecutionStatus::Launching;
        execution.spec.source = fixture::file_system(true);
        snapshot.executions.push(execution);
        let signed = of(&snapshot, 0);
        let arns = |desired: &AgentDesired| {
            let stores = desired.stores().into_iter();
            stores
                .map(|store| store.location.arn().clone())
                .collect::<Vec<_>>()
        };
        let (source, destination) = (fixture::file_system(true), fixture::bucket());
        assert_eq!(
            arns(&signed),
            [source.arn(), destination.arn()].map(Clone::clone)
        );
        let cancels = |abilities: &[String]| {
            let due = signed.due(abilities, |_| false, |_| true);
            due.message("incarnation", 1).executions[0].cancel
        };
        assert!(cancels(&[]) && !cancels(&["efs".to_owned()]));
        snapshot.executions[0].spec.source = fixture::file_system(false);
        assert_eq!(arns(&of(&snapshot, 0)), [destination.arn().clone()]);
    }

    #[test]
    fn a_location_is_read_until_something_on_the_agent_writes_it() {
        let mut snapshot = fixture::snapshot(1);
        let mut running = |number: u64, source: Location, destination: Location| {
            let mut execution = fixture::execution(number, number);
            execution.agent = Some(fixture::agent(0));
            execution.status = ExecutionStatus::Transferring;
            execution.spec.source = source;
            execution.spec.destination = destination;
            snapshot.executions.push(execution);
            of(&snapshot, 0).stores()
        };
        let reads = running(1, fixture::bucket(), fixture::export());
        let [read] = &reads[..] else {
            panic!("one store: {reads:?}");
        };
        assert_eq!(read.usage, KeyUse::Location(Rights::Read));
        let writes = running(2, fixture::export(), fixture::bucket());
        let [written] = &writes[..] else {
            panic!("one store: {writes:?}");
        };
        assert_eq!(written.usage, KeyUse::Location(Rights::Write));
        assert!(written.covers(read) && !read.covers(written));
    }

    #[test]
    fn an_execution_of_a_deleted_agent_is_wanted_by_nobody() {
        let mut snapshot = fixture::snapshot(1);
        let mut execution = fixture::execution(1, 1);
        execution.status = ExecutionStatus::Launching;
        execution.agent = Some(fixture::agent(9));
        snapshot.executions.push(execution);
        let desired = desired(&snapshot, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(desired.len(), 1);
        assert!(desired.values().all(|d| *d == AgentDesired::default()));
    }

    #[test]
    fn an_agents_own_release_comes_before_the_one_for_all() {
        let mut snapshot = fixture::snapshot(3);
        let mut wish = |agent: Option<u8>, version: Option<&str>| {
            let wish = ReleaseWish {
                agent: agent.map(fixture::agent),
                version: version.map(|version| version.parse().unwrap()),
                request: "r".to_owned(),
                drain: true,
                allow_downgrade: false,
                set_at_ms: 0,
            };
            snapshot
                .wishes
                .insert(crate::store::Record::id(&wish), wish);
        };
        wish(None, Some("1.2.3"));
        wish(Some(1), Some("1.2.4"));
        wish(Some(2), None);
        let told = [0, 1, 2].map(|number| {
            let message = of(&snapshot, number).message("incarnation", 7);
            message
                .release
                .map(|release| (release.version, release.drain))
        });
        let version = |text: &str| Some((text.to_owned(), true));
        assert_eq!(told, [version("1.2.3"), version("1.2.4"), None]);
    }

    #[test]
    fn an_agent_that_is_held_is_told_nothing_new() {
        let mut snapshot = fixture::snapshot(2);
        let mut execution = fixture::execution(1, 1);
        execution.status = ExecutionStatus::Transferring;
        execution.agent = Some(fixture::agent(0));
        snapshot.executions.push(execution);
        let before = desired(&snapshot, &BTreeMap::new(), &BTreeMap::new());
        // The execution's row cannot be read any more.
        snapshot.executions.clear();
        snapshot.held.insert(fixture::agent(0).id().to_owned());
        let after = desired(&snapshot, &BTreeMap::new(), &before);
        assert_eq!(after, before);
        let restarted = desired(&snapshot, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(restarted.len(), 1, "nothing is known of the other one");
    }
}
