//! Asking regions what they hold, over their admin addresses: `GET /v1/state` of each placement, `GET /v1/items` of a conversation that differs, and `GET /v1/operations` and
//! `GET /v1/register` for a store that has lost some.
//!
//! What must always hold: a region that does not answer in time is an error that names it and its address, and an answer that was cut
//! short is an error too; neither is ever taken for an empty store.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use bytes::Bytes;
use crdt::{ConversationId, Dot, PartitionId, PlacementId, RegionId, Sequence};
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::read_toml::{all_bytes_of_hex, bytes_of_hex, hex};
use replication::commit::{Commit, OperationBytes};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::time::Duration;

/// What one region holds of one placement: its partitions that are not empty.
pub(crate) type Held = BTreeMap<PartitionId, HeldPartition>;

/// What each region holds of each of its placements.
pub(crate) type Asked = BTreeMap<(PlacementId, RegionId), Held>;

/// One partition of one region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HeldPartition {
    /// Exactly what has been applied: per origin, the last operation.
    pub(crate) applied: Vec<Dot>,
    /// Per origin, the chain head there.
    pub(crate) heads: BTreeMap<String, String>,
    /// Every conversation with the digest of its state.
    pub(crate) conversations: BTreeMap<ConversationId, String>,
}

/// One line of the answer; what a later version adds is passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Region {},
    Partition {
        partition: String,
        applied: Vec<String>,
        heads: BTreeMap<String, String>,
        conversations: BTreeMap<String, String>,
    },
    Item {
        item: String,
        digest: String,
    },
    End {},
}

/// Items of one conversation that are held in memory to be compared: some 300 bytes each.
const ITEMS_MAX: usize = 1_000_000;

/// The commit that holds an operation, as a region has it.
#[derive(Debug, Deserialize)]
struct Given {
    commit: Option<GivenCommit>,
}

#[derive(Debug, Deserialize)]
struct GivenValue {
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
struct GivenCommit {
    origin: String,
    first: u64,
    operations: Vec<GivenOperation>,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct GivenOperation {
    envelope: String,
    payload: Option<String>,
}

/// Who has lost something.
pub(crate) struct For<'a> {
    /// Which region.
    pub(crate) region: &'a ClusterRegion,
    /// In which placement.
    pub(crate) placement: &'a ClusterPlacement,
}

impl For<'_> {
    fn query(&self, partition: PartitionId) -> String {
        // The only character of an id that means something in a query.
        let partition = partition.to_string().replace('/', "%2F");
        format!("placement={}&partition={partition}&region={}", self.placement.name, self.region.name)
    }
}

/// The commit that holds an operation in one region, for another one whose log has lost it; none if it is not there.
///
/// # Errors
/// When the region does not answer, refuses, or answers something else.
pub(crate) fn ask_operation(
    agent: &ureq::Agent,
    region: &ClusterRegion,
    of: &For<'_>,
    (partition, dot): (PartitionId, Dot),
    token: &str,
) -> Result<Option<Commit>, Failure> {
    let path = format!("/v1/operations?{}&dot={dot}", of.query(partition));
    let answer = get(agent, region, &path, token)?;
    let not_understood =
        |what: &dyn std::fmt::Display| unanswered(region, &format!("its answer is not understood: {what}"));
    let given: Given = serde_json::from_reader(answer).map_err(|error| not_understood(&error))?;
    let Some(commit) = given.commit else { return Ok(None) };
    commit.read(partition).map(Some).ok_or_else(|| not_understood(&"its commit is none"))
}

/// What one region has of a register; none if it has none.
///
/// # Errors
/// When the region does not answer, refuses, or answers something else.
pub(crate) fn ask_register(
    agent: &ureq::Agent,
    region: &ClusterRegion,
    of: &For<'_>,
    (partition, name): (PartitionId, &[u8]),
    token: &str,
) -> Result<Option<Bytes>, Failure> {
    let path = format!("/v1/register?{}&register={}", of.query(partition), hex(name));
    let not_understood =
        |what: &dyn std::fmt::Display| unanswered(region, &format!("its answer is not understood: {what}"));
    let answer = serde_json::from_reader(get(agent, region, &path, token)?);
    let GivenValue { value } = answer.map_err(|error| not_understood(&error))?;
    let Some(value) = value else { return Ok(None) };
    let value = all_bytes_of_hex(&value).ok_or_else(|| not_understood(&"its value is none"))?;
    Ok(Some(value.into()))
}

impl GivenCommit {
    fn read(self, partition: PartitionId) -> Option<Commit> {
        let operations = self.operations.iter().map(|given| {
            let payload = match &given.payload {
                Some(payload) => Some(all_bytes_of_hex(payload)?.into()),
                None => None,
            };
            Some(OperationBytes { envelope: all_bytes_of_hex(&given.envelope)?.into(), payload })
        });
        Some(Commit {
            partition,
            origin: self.origin.parse().ok()?,
            first: Sequence(self.first),
            operations: operations.collect::<Option<_>>()?,
            signature: bytes_of_hex(&self.signature)?,
        })
    }
}

fn read_items(answer: impl std::io::BufRead) -> Result<BTreeMap<String, String>, String> {
    let mut items = BTreeMap::new();
    for line in answer.lines() {
        let line = line.map_err(|error| error.to_string())?;
        match serde_json::from_str(&line).map_err(|error| format!("its answer is not understood: {error}"))? {
            Line::Region {} | Line::Partition { .. } => {}
            Line::End {} => return Ok(items),
            Line::Item { .. } if items.len() >= ITEMS_MAX => {
                return Err(format!("the conversation has more than {ITEMS_MAX} items"));
            }
            Line::Item { item, digest } => _ = items.insert(item, digest),
        }
    }
    Err("its answer was cut short".to_owned())
}

/// Asks every region about each of the placements in which it is active, one after the other.
///
/// # Errors
/// The first region that does not answer, refuses, or answers something else.
pub(crate) fn ask_all(folder: &ClusterFolder, token: &str, timeout: Duration) -> Result<Asked, Failure> {
    let agent = agent(timeout);
    let mut asked = Asked::new();
    for placement in folder.cluster.placements.values() {
        for replica in folder.current_epoch(placement)?.active.keys() {
            // An epoch names no other regions than the cluster file.
            let Some(region) = folder.cluster.regions.get(&replica.region) else { continue };
            asked.insert((placement.id, region.id), ask(&agent, region, placement, token)?);
        }
    }
    Ok(asked)
}

/// The items of a conversation in one region, with their digests: what its digest is a sum over. At most [`ITEMS_MAX`].
///
/// # Errors
/// When the region does not answer, refuses, or answers something else; when there are more.
pub(crate) fn ask_items(
    region: &ClusterRegion,
    (placement, conversation): (&ClusterPlacement, ConversationId),
    token: &str,
    timeout: Duration,
) -> Result<BTreeMap<String, String>, Failure> {
    let path = format!("/v1/items?placement={}&conversation={conversation}", placement.name);
    let answer = get(&agent(timeout), region, &path, token)?;
    read_items(answer).map_err(|what| unanswered(region, &what))
}

/// What one region holds of a placement.
///
/// # Errors
/// When it does not answer, refuses, or answers something else.
pub(crate) fn ask(
    agent: &ureq::Agent,
    region: &ClusterRegion,
    placement: &ClusterPlacement,
    token: &str,
) -> Result<Held, Failure> {
    let answer = get(agent, region, &format!("/v1/state?placement={}", placement.name), token)?;
    read(answer).map_err(|what| unanswered(region, &what))
}

pub(crate) fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::new_with_config(
        ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build(),
    )
}

fn unanswered(region: &ClusterRegion, error: &dyn std::fmt::Display) -> Failure {
    Failure::Stopped(format!("region {} at {}: {error}; is it running?", region.name, region.admin))
}

/// Asks one region, as an operator.
///
/// # Errors
/// When it does not answer, or refuses.
pub(crate) fn get(
    agent: &ureq::Agent,
    region: &ClusterRegion,
    path: &str,
    token: &str,
) -> Result<impl std::io::BufRead + use<>, Failure> {
    let url = format!("http://{}{path}", region.admin);
    let failed = |error: &dyn std::fmt::Display| unanswered(region, error);
    let request = agent.get(&url).header("authorization", format!("Bearer {token}"));
    let response = request.call().map_err(|error| match error {
        ureq::Error::Timeout(_) => {
            Failure::Timeout(format!("region {} at {} did not answer in time", region.name, region.admin))
        }
        error => failed(&error),
    })?;
    match response.status().as_u16() {
        200 => {}
        401 | 403 => {
            let advice = "make a token with `archipelago admin operator-token`";
            return Err(Failure::Refused(format!("region {} refused this token: {advice}", region.name)));
        }
        status => return Err(failed(&format!("HTTP status {status}"))),
    }
    Ok(BufReader::new(response.into_body().into_reader()))
}

/// Reads an answer, or says what is wrong with it.
fn read(answer: impl std::io::BufRead) -> Result<Held, String> {
    let mut held = Held::new();
    for line in answer.lines() {
        let line = line.map_err(|error| error.to_string())?;
        match serde_json::from_str(&line).map_err(|error| format!("its answer is not understood: {error}"))? {
            Line::Region {} | Line::Item { .. } => {}
            Line::End {} => return Ok(held),
            Line::Partition { partition, applied, heads, conversations } => {
                let wrong = |error: crdt::id::ParseIdError| error.to_string();
                let applied =
                    applied.iter().map(|dot| dot.parse()).collect::<Result<_, _>>().map_err(wrong)?;
                let conversations = conversations
                    .into_iter()
                    .map(|(id, digest)| Ok((id.parse().map_err(wrong)?, digest)))
                    .collect::<Result<_, String>>()?;
                let partition = partition.parse().map_err(wrong)?;
                held.insert(partition, HeldPartition { applied, heads, conversations });
            }
        }
    }
    Err("its answer was cut short".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::read;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = "{\"kind\":\"region\",\"format\":1}\n\
            {\"kind\":\"partition\",\"partition\":\"p1/3\",\"applied\":[\"r1.0000000000000001:2\"],\
             \"heads\":{\"r1.0000000000000001\":\"aa\"},\"conversations\":{},\"stable\":[]}\n{\"kind\":\"end\"}\n";
        assert_eq!(read(whole.as_bytes()).unwrap().len(), 1);
        let (cut, _) = whole.split_at(whole.len() - 15);
        assert_eq!(read(cut.as_bytes()).unwrap_err(), "its answer was cut short");
        assert!(read("<html>\n".as_bytes()).unwrap_err().starts_with("its answer is not understood"));
        assert!(read(whole.replace("p1/3", "p1/1024").as_bytes()).unwrap_err().contains("partition id"));
    }
}
