//! Packets on their way, and the thread that lets each go at its time.
//!
//! One thread sleeps on a condition until the next packet is due: measured here it wakes within a tenth of a millisecond on
//! an idle machine. An asynchronous timer would round each delay up to its millisecond wheel. A packet that is due when it comes, over a link that neither delays nor is full, leaves at once: to wake a
//! thread for it costs more than to send it.
//!
//! What must always hold: packets due at the same microsecond leave in the order they were put in.

use crate::limits::IN_FLIGHT_MAX;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where a packet goes.
#[derive(Debug, Clone)]
pub(crate) enum Exit {
    /// To the socket's connected peer.
    Connected(Arc<UdpSocket>),
    /// From a shared socket to that address.
    To(Arc<UdpSocket>, SocketAddr),
}

/// All packets on their way.
#[derive(Debug)]
pub(crate) struct Queue {
    start: Instant,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: BinaryHeap<Reverse<Packet>>,
    entered: u64,
    /// The thread has taken one that is not gone yet.
    leaving: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Packet {
    at_us: u64,
    number: u64,
    bytes: Arc<[u8]>,
    exit: Exit,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), inner: Mutex::new(Inner::default()), changed: Condvar::new() }
    }

    /// Microseconds since the relay began.
    pub(crate) fn now_us(&self) -> u64 {
        // A relay does not run for 584,000 years.
        self.start.elapsed().as_micros() as u64
    }

    /// Puts a packet in. False if there is no room: the packet is gone.
    pub(crate) fn put(&self, at_us: u64, bytes: Arc<[u8]>, exit: Exit) -> bool {
        let mut inner = self.lock();
        if inner.waiting.len() >= IN_FLIGHT_MAX {
            return false;
        }
        inner.entered += 1;
        let packet = Packet { at_us, number: inner.entered, bytes, exit };
        let next = inner.waiting.peek().map(|Reverse(packet)| packet.at_us);
        if next.is_none() && !inner.leaving && at_us <= self.now_us() {
            drop(inner);
            packet.leave();
            return true;
        }
        inner.waiting.push(Reverse(packet));
        drop(inner);
        if next.is_none_or(|next| at_us < next) {
            self.changed.notify_one();
        }
        true
    }

    /// Ends [`Queue::run`]; what is on its way is gone.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Lets packets go at their times until stopped.
    pub(crate) fn run(&self) {
        let mut inner = self.lock();
        while !inner.stopped {
            let now_us = self.now_us();
            match inner.waiting.peek().map(|Reverse(packet)| packet.at_us) {
                Some(at_us) if at_us <= now_us => {
                    let due = inner.waiting.pop();
                    inner.leaving = true;
                    drop(inner);
                    if let Some(Reverse(packet)) = due {
                        packet.leave();
                    }
                    inner = self.lock();
                    inner.leaving = false;
                }
                Some(at_us) => {
                    let wait = Duration::from_micros(at_us - now_us);
                    inner = self
                        .changed
                        .wait_timeout(inner, wait)
                        .map_or_else(|poisoned| poisoned.into_inner().0, |(inner, _)| inner);
                }
                None => inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock half changed, so a poisoned heap is still a heap.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packet {
    /// A datagram that the kernel does not take (the peer is down, a buffer is full) is lost, as datagrams are.
    fn leave(&self) {
        let sent = match &self.exit {
            Exit::Connected(socket) => socket.send(&self.bytes),
            Exit::To(socket, address) => socket.send_to(&self.bytes, address),
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "a datagram was lost at the relay's exit");
        }
    }
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.number) == (other.at_us, other.number)
    }
}

impl Eq for Packet {}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Packet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair() -> (Exit, UdpSocket) {
        let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        receiver.set_nonblocking(true).unwrap();
        (Exit::To(Arc::new(sender), receiver.local_addr().unwrap()), receiver)
    }

    fn put(queue: &Queue, at_us: u64, byte: u8, exit: &Exit) {
        assert!(queue.put(at_us, Arc::from([byte]), exit.clone()));
    }

    /// Nobody lets packets go here, so what leaves has left at once.
    #[test]
    fn a_packet_that_is_due_leaves_at_once_unless_another_waits() {
        let queue = Queue::new();
        let (exit, receiver) = pair();
        let mut byte = [0];
        put(&queue, 0, 7, &exit);
        assert_eq!(receiver.recv(&mut byte).unwrap(), 1, "it is due, and nothing is before it");
        assert_eq!(byte, [7]);
        put(&queue, u64::MAX, 8, &exit);
        put(&queue, 0, 9, &exit);
        assert!(
            receiver.recv(&mut byte).is_err(),
            "one that is not due leaves, or one leaves past those that wait"
        );
        assert_eq!(queue.lock().waiting.len(), 2);
    }
}
