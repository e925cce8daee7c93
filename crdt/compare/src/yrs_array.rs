//! Yrs: an array of strings in a document.
//!
//! One transaction a message; its update is what the others are sent.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

use crate::{APPENDS, Library, REPLICAS, Written, body};
use cpu_time::ThreadTime;
use yrs::updates::decoder::Decode as _;
use yrs::{Array as _, ArrayRef, Doc, ReadTxn as _, StateVector, Transact as _, Update};

pub(crate) struct YrsArray {
    document: Doc,
    array: ArrayRef,
}

impl YrsArray {
    fn replica(number: u64) -> Self {
        let document = Doc::with_client_id(number);
        let array = document.get_or_insert_array("messages");
        Self { document, array }
    }
}

impl Library for YrsArray {
    const NAME: &str = "Yrs";

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
                let mut transaction = own.document.transact_mut();
                own.array.push_back(&mut transaction, body(replica, number));
                singles.push(transaction.encode_update_v1());
            }
            written.appending += start.elapsed();
            written.batches.push(own.document.transact().encode_state_as_update_v1(&StateVector::default()));
            written.singles.push(singles);
        }
        written
    }

    fn take(&mut self, update: &[u8]) {
        let update = Update::decode_v1(update).unwrap();
        self.document.transact_mut().apply_update(update).unwrap();
    }

    fn messages(&self) -> usize {
        self.array.len(&self.document.transact()) as usize
    }
}
