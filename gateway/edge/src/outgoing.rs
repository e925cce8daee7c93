//! What waits to be sent on one connection, counted in bytes, and the task that sends it.
//!
//! What must always hold: putting never waits; the count is of every byte that the socket has not taken. How much may wait is the session's
//! decision, which is told the count whenever it passes one of the session's limits.

use crate::metrics::Metrics;
use futures_util::{Sink, SinkExt as _};
use gateway::limits as core_limits;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: Mutex<VecDeque<Message>>,
    bytes: AtomicUsize,
    filled: Notify,
    fallen: Notify,
}

impl Outgoing {
    /// Puts a message in the queue. A close frame is the last.
    pub(crate) fn put(&self, message: Message) {
        self.bytes.fetch_add(message.len(), Ordering::AcqRel);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        self.filled.notify_one();
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Waits until the count has fallen below one of the session's limits.
    pub(crate) async fn fallen(&self) {
        self.fallen.notified().await;
    }

    fn take(&self) -> Option<Message> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Sends what is put in, until a close frame was sent or the connection ends. Gives the socket back.
    pub(crate) async fn send_all<S>(self: Arc<Self>, mut sink: S, metrics: Arc<Metrics>) -> S
    where
        S: Sink<Message> + Unpin,
    {
        loop {
            let Some(message) = self.take() else {
                if sink.flush().await.is_err() {
                    return sink;
                }
                self.filled.notified().await;
                continue;
            };
            let (length, last) = (message.len(), message.is_close());
            if sink.feed(message).await.is_err() {
                return sink;
            }
            metrics.bytes_out.inc_by(length as u64);
            let before = self.bytes.fetch_sub(length, Ordering::AcqRel);
            if level(before) != level(before - length) {
                self.fallen.notify_one();
            }
            if last {
                // It was the last: a socket that fails now fails nobody.
                let _ = sink.flush().await;
                return sink;
            }
        }
    }
}

/// Between which of the session's limits a count lies.
pub(crate) fn level(bytes: usize) -> usize {
    let limits =
        [core_limits::UNSENT_BYTES_RESUME, core_limits::UNSENT_BYTES_MAX, core_limits::UNSENT_BYTES_CLOSE];
    limits.iter().filter(|limit| bytes > **limit).count()
}
