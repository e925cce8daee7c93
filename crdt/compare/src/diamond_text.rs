//! diamond-types: one text, to whose end each message is inserted.
//!
//! It knows text alone: a message is 64 characters of it. An update is decoded into the log of operations and merged into the text.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

use crate::{APPENDS, BODY_BYTES, Library, REPLICAS, Written, body};
use cpu_time::ThreadTime;
use diamond_types::list::encoding::ENCODE_PATCH;
use diamond_types::list::{Branch, OpLog};

pub(crate) struct DiamondText {
    log: OpLog,
    text: Branch,
}

impl Library for DiamondText {
    const NAME: &str = "diamond-types";

    fn empty() -> Self {
        Self { log: OpLog::new(), text: Branch::new() }
    }

    fn write() -> Written {
        let mut written = Written { singles: Vec::new(), batches: Vec::new(), appending: Default::default() };
        for replica in 0..REPLICAS {
            let mut log = OpLog::new();
            let agent = log.get_or_create_agent_id(&format!("replica {replica}"));
            let mut singles = Vec::with_capacity(APPENDS);
            let start = ThreadTime::now();
            for number in 0..APPENDS {
                let before = log.local_version();
                log.add_insert(agent, number * BODY_BYTES, &body(replica, number));
                singles.push(log.encode_from(ENCODE_PATCH, &before));
            }
            written.appending += start.elapsed();
            written.batches.push(log.encode_from(ENCODE_PATCH, &[]));
            written.singles.push(singles);
        }
        written
    }

    fn take(&mut self, update: &[u8]) {
        self.log.decode_and_add(update).unwrap();
        let tip = self.log.local_version();
        self.text.merge(&self.log, &tip);
    }

    fn messages(&self) -> usize {
        self.text.len() / BODY_BYTES
    }
}
