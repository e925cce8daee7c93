//! Loro: a list of strings in a document.
//!
//! One commit and one export a message, as a messenger would send them.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

use crate::{APPENDS, Library, REPLICAS, Written, body};
use cpu_time::ThreadTime;
use loro::{ExportMode, LoroDoc, LoroList};

pub(crate) struct LoroListOfMessages {
    document: LoroDoc,
    list: LoroList,
}

impl LoroListOfMessages {
    fn replica(number: u64) -> Self {
        let document = LoroDoc::new();
        document.set_peer_id(number).unwrap();
        let list = document.get_list("messages");
        Self { document, list }
    }
}

impl Library for LoroListOfMessages {
    const NAME: &str = "Loro";

    fn empty() -> Self {
        Self::replica(255)
    }

    fn write() -> Written {
        let mut written = Written { singles: Vec::new(), batches: Vec::new(), appending: Default::default() };
        for replica in 0..REPLICAS {
            let own = Self::replica(replica as u64 + 1);
            let mut singles = Vec::with_capacity(APPENDS);
            let start = ThreadTime::now();
            for number in 0..APPENDS {
                let before = own.document.oplog_vv();
                own.list.push(body(replica, number)).unwrap();
                own.document.commit();
                singles.push(own.document.export(ExportMode::updates(&before)).unwrap());
            }
            written.appending += start.elapsed();
            written.batches.push(own.document.export(ExportMode::all_updates()).unwrap());
            written.singles.push(singles);
        }
        written
    }

    fn take(&mut self, update: &[u8]) {
        self.document.import(update).unwrap();
    }

    fn messages(&self) -> usize {
        self.list.len()
    }
}
