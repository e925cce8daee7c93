//! Regions that change one document and exchange their operations as logs do: each in the order in which it applied them.
//!
//! What must always hold: an Automerge is only given what a region would give it, and what it changes goes through a region, as an operation; so
//! whatever is held against it is what a device would see.

use automerge::{ActorId, AutoCommit, ReadDoc, Value as Shown};
use crdt::{DeviceId, Incarnation, RegionId, ReplicaId, UserId};
use documents::{Actor, Document, Edit, Part, Schema, Taken, for_automerge};
use std::collections::{BTreeMap, BTreeSet};

/// An operation: who issued it, in whose name, the change.
pub(crate) type Issued = (ReplicaId, UserId, Vec<u8>);

#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub(crate) replica: ReplicaId,
    pub(crate) document: Document,
    /// What it has applied, in its order.
    pub(crate) log: Vec<Issued>,
}

pub(crate) const USER: UserId = UserId(9);

pub(crate) fn replica(region: u16) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region) * 1_000) }
}

pub(crate) fn text(part: Part, key: &str, text: &str) -> Edit {
    Edit::Text { part, key: key.to_owned(), text: text.to_owned() }
}

pub(crate) fn name(of: &str) -> Edit {
    text(Part::Root, "name", of)
}

impl Region {
    pub(crate) fn new(region: u16, schema: Schema) -> Self {
        Self { replica: replica(region), document: Document::new(schema), log: Vec::new() }
    }

    /// Does it, if there is something to do.
    pub(crate) fn edit(&mut self, edits: &[Edit]) {
        let actor = Actor::of_region(self.replica);
        if let Ok(change) = self.document.edit(&actor, 1_700_000_000, edits) {
            let bytes = change.write().0;
            assert_eq!(self.take((self.replica, USER, bytes)), Taken::Stands);
        }
    }

    pub(crate) fn take(&mut self, issued: Issued) -> Taken {
        let taken = self.document.take(issued.0, issued.1, &issued.2);
        self.log.push(issued);
        taken
    }

    /// Takes what another has applied, in its order.
    pub(crate) fn sync(&mut self, from: &Self) {
        let had: BTreeSet<&Issued> = self.log.iter().collect();
        let lacks: Vec<Issued> = from.log.iter().filter(|issued| !had.contains(issued)).cloned().collect();
        for issued in lacks {
            self.take(issued);
        }
    }

    /// The document as it is given to an Automerge.
    pub(crate) fn export(&self) -> Vec<u8> {
        let schema = self.document.schema();
        let by_hash: BTreeMap<_, _> = self
            .log
            .iter()
            .filter_map(|(_, _, bytes)| {
                let (change, hash) = documents::Change::read(bytes, schema).ok()?;
                Some((hash, change.write().0))
            })
            .collect();
        let order = self.document.order();
        for_automerge(schema, order.iter().map(|hash| by_hash[hash].as_slice()))
    }

    /// The same in Automerge, under the actor of a device of that number.
    pub(crate) fn automerge(&self, device: u64) -> AutoCommit {
        let actor = Actor::of_device(self.replica, USER, DeviceId(device));
        AutoCommit::load(&self.export()).unwrap().with_actor(ActorId::from(actor.as_bytes()))
    }

    /// What that Automerge has changed since it was loaded goes through this region.
    pub(crate) fn take_from(&mut self, automerge: &mut AutoCommit) {
        for change in automerge.get_changes(&[]) {
            let hash = documents::ChangeHash(change.hash().0);
            if !self.document.stands(&hash) && hash != self.document.schema().first_hash() {
                let bytes = change.clone().bytes().into_owned();
                assert_eq!(self.take((self.replica, USER, bytes)), Taken::Stands, "{:?}", change.decode());
            }
        }
    }

    /// Holds this document against the same in Automerge.
    pub(crate) fn agrees(&self) {
        let mut automerge = self.automerge(0);
        let heads: BTreeSet<_> =
            automerge.get_heads().iter().map(|hash| documents::ChangeHash(hash.0)).collect();
        assert_eq!(heads, *self.document.heads());
        let view = self.document.conversation();
        assert_eq!(scalar(&automerge, automerge::ROOT, "name"), view.name);
        assert_eq!(scalar(&automerge, automerge::ROOT, "icon"), view.icon);
        let (_, description) = automerge.get(automerge::ROOT, "description").unwrap().unwrap();
        let whole = automerge.text(&description).unwrap();
        assert_eq!(whole.chars().take(512).collect::<String>(), view.description);
        let (_, pinned) = automerge.get(automerge::ROOT, "pinned").unwrap().unwrap();
        let is_true = |key: &String| matches!(automerge.get(&pinned, key.as_str()).unwrap(), Some((Shown::Scalar(is), _)) if is.as_bool() == Some(true));
        assert_eq!(automerge.keys(&pinned).filter(is_true).collect::<BTreeSet<_>>(), view.pinned);
        let (_, settings) = automerge.get(automerge::ROOT, "settings").unwrap().unwrap();
        let shown: BTreeMap<String, String> = automerge
            .keys(&settings)
            .filter_map(|key| Some((key.clone(), scalar(&automerge, settings.clone(), &key)?)))
            .collect();
        assert_eq!(shown, view.settings);
        // What Automerge saves is what it loads: no hash is lost on the way.
        assert_eq!(AutoCommit::load(&automerge.save()).unwrap().get_heads(), automerge.get_heads());
    }
}

fn scalar(automerge: &AutoCommit, object: automerge::ObjId, key: &str) -> Option<String> {
    match automerge.get(object, key).unwrap()? {
        (Shown::Scalar(value), _) => value.as_str().map(str::to_owned),
        (Shown::Object(_), _) => None,
    }
}
