//! Automerge: a list of strings in a document.
//!
//! A replica forks the document that has the empty list, and appends to it, one change a message.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

use crate::{APPENDS, Library, REPLICAS, Written, body};
use automerge::transaction::Transactable as _;
use automerge::{ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc as _, Value};
use cpu_time::ThreadTime;

pub(crate) struct AutomergeList {
    document: AutoCommit,
    list: ObjId,
}

impl AutomergeList {
    fn replica(number: u8) -> Self {
        let mut first = AutoCommit::new().with_actor(ActorId::from([0_u8; 8]));
        first.put_object(ROOT, "messages", ObjType::List).unwrap();
        first.commit();
        let document = first.fork().with_actor(ActorId::from([number; 8]));
        let list = match document.get(ROOT, "messages").unwrap() {
            Some((Value::Object(ObjType::List), list)) => list,
            _ => unreachable!("the list was put there"),
        };
        Self { document, list }
    }
}

impl Library for AutomergeList {
    const NAME: &str = "Automerge";

    fn empty() -> Self {
        Self::replica(255)
    }

    fn write() -> Written {
        let mut written = Written { singles: Vec::new(), batches: Vec::new(), appending: Default::default() };
        for replica in 0..REPLICAS {
            let mut own = Self::replica(replica as u8 + 1);
            let before = own.document.get_heads();
            own.document.save();
            let mut singles = Vec::with_capacity(APPENDS);
            let start = ThreadTime::now();
            for number in 0..APPENDS {
                own.document.insert(&own.list, number, body(replica, number)).unwrap();
                own.document.commit();
                singles.push(own.document.save_incremental());
            }
            written.appending += start.elapsed();
            written.batches.push(own.document.save_after(&before));
            written.singles.push(singles);
        }
        written
    }

    fn take(&mut self, update: &[u8]) {
        self.document.load_incremental(update).unwrap();
    }

    fn messages(&self) -> usize {
        self.document.length(&self.list)
    }
}
