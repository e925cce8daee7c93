//! What a device is told of messages, gathered beside a test that goes on.
//!
//! What must always hold: nothing that it is told is left out, in whatever order it comes.

use crdt::MessageId;
use gateway_client_net::{Event, Events};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Told {
    pub acknowledged: BTreeSet<MessageId>,
    pub stable: BTreeSet<MessageId>,
    pub shown: BTreeSet<MessageId>,
    /// Codes of what was refused.
    pub refused: Vec<String>,
}

/// Gathers it as long as the device is there.
pub fn listen(mut events: Events) -> Arc<Mutex<Told>> {
    let told = Arc::new(Mutex::new(Told::default()));
    let tells = Arc::clone(&told);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let mut told = tells.lock().unwrap();
            match event {
                Event::Acknowledged { command, place: Some(_), .. } => _ = told.acknowledged.insert(command),
                Event::Stable { command, .. } => _ = told.stable.insert(command),
                Event::Shown { item, .. } => _ = told.shown.insert(item.message),
                Event::Refused { code, .. } => told.refused.push(code),
                _ => {}
            }
        }
    });
    told
}
