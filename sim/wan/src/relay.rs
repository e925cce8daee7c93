//! The relay: a listening port for each ordered pair of regions, a socket for each flow, and two links between them.
//!
//! Threads, not tasks: each socket has one that blocks on it and one more lets packets go, so a busy runtime elsewhere in the process
//! does not show up as network delay.
//!
//! What must always hold: a datagram from dialer to target crosses the link dialer>target, and the answer crosses target>dialer,
//! whoever dialled; the target sees one source port for each source port of the dialer.

use crate::limits::{DATAGRAM_BYTES_MAX, FLOWS_MAX, STOP_LOOK_MS, UDP_BUFFER_BYTES};
use crate::link::{Link, LinkCounts, LinkSettings};
use crate::queue::{Exit, Queue};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running relay. Stops when dropped.
#[derive(Debug)]
pub struct Relay {
    addresses: BTreeMap<(String, String), SocketAddr>,
    links: BTreeMap<(String, String), Arc<SharedLink>>,
    queue: Arc<Queue>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a relay did not start or a link could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The kernel refused a socket or a thread.
    #[error("the relay between {from} and {to} cannot open its port: {source}")]
    Socket {
        /// The dialer.
        from: String,
        /// The target.
        to: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// There is no such link.
    #[error("the relay knows no link {from}>{to}: it stands between {known}")]
    UnknownLink {
        /// From there.
        from: String,
        /// To there.
        to: String,
        /// The regions it knows.
        known: String,
    },
}

/// Is shown what passes a link.
type Watch = Box<dyn Fn(&[u8]) + Send + Sync>;

struct SharedLink {
    link: Mutex<(Link, ChaCha8Rng)>,
    watch: OnceLock<Watch>,
}

impl std::fmt::Debug for SharedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedLink").field("link", &self.link).finish_non_exhaustive()
    }
}

/// What the threads of one listening port share.
struct Port {
    listener: Arc<UdpSocket>,
    target: SocketAddr,
    there: Arc<SharedLink>,
    back: Arc<SharedLink>,
    queue: Arc<Queue>,
    stopped: Arc<AtomicBool>,
}

struct Flow {
    socket: Arc<UdpSocket>,
    heard_at_us: u64,
    forgotten: Arc<AtomicBool>,
}

impl Relay {
    /// Stands between all pairs of these regions, which listen at these addresses. `settings` gives each directed link's behaviour;
    /// `seed` decides all chance.
    ///
    /// # Errors
    /// [`RelayError::Socket`] when a port or a thread is refused.
    pub fn start(
        regions: &BTreeMap<String, SocketAddr>,
        settings: impl Fn(&str, &str) -> LinkSettings,
        seed: u64,
    ) -> Result<Self, RelayError> {
        let mut links = BTreeMap::new();
        for (stream, (from, to)) in ordered_pairs(regions).enumerate() {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            dice.set_stream(stream as u64);
            let link = Mutex::new((Link::new(settings(from, to)), dice));
            let link = Arc::new(SharedLink { link, watch: OnceLock::new() });
            links.insert((from.clone(), to.clone()), link);
        }
        let mut relay = Self {
            addresses: BTreeMap::new(),
            links,
            queue: Arc::new(Queue::new()),
            stopped: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
        };
        for (from, to) in ordered_pairs(regions) {
            // Both directions of every ordered pair were put in above.
            let there = Arc::clone(&relay.links[&(from.clone(), to.clone())]);
            let back = Arc::clone(&relay.links[&(to.clone(), from.clone())]);
            relay.listen(from, to, regions[to], there, back).map_err(|source| RelayError::Socket {
                from: from.clone(),
                to: to.clone(),
                source,
            })?;
        }
        let queue = Arc::clone(&relay.queue);
        let exits = std::thread::Builder::new().name("wan-exits".into()).spawn(move || queue.run());
        let refused = |source| RelayError::Socket { from: "all".into(), to: "all".into(), source };
        relay.threads.push(exits.map_err(refused)?);
        Ok(relay)
    }

    /// Where `from` must dial to reach `to` through this relay.
    ///
    /// # Errors
    /// [`RelayError::UnknownLink`] when it does not stand between these two.
    pub fn address(&self, from: &str, to: &str) -> Result<SocketAddr, RelayError> {
        let key = (from.to_owned(), to.to_owned());
        self.addresses.get(&key).copied().ok_or_else(|| self.unknown(from, to))
    }

    /// Cuts the link in this direction, or makes it whole again. Both ways takes two calls.
    ///
    /// # Errors
    /// [`RelayError::UnknownLink`] when there is no such link.
    pub fn set_cut(&self, from: &str, to: &str, cut: bool) -> Result<(), RelayError> {
        self.with_link(from, to, |link| link.set_cut(cut))
    }

    /// Changes how the link behaves from the next packet on.
    ///
    /// # Errors
    /// [`RelayError::UnknownLink`] when there is no such link.
    pub fn set_link(&self, from: &str, to: &str, settings: LinkSettings) -> Result<(), RelayError> {
        self.with_link(from, to, |link| link.set_settings(settings))
    }

    /// What the link has done so far.
    ///
    /// # Errors
    /// [`RelayError::UnknownLink`] when there is no such link.
    pub fn counts(&self, from: &str, to: &str) -> Result<LinkCounts, RelayError> {
        self.with_link(from, to, |link| link.counts())
    }

    /// From now on each datagram that passes the link is shown to `watch` when it enters, once and in that order; the link waits for it. The first watch of a link stays.
    ///
    /// # Errors
    /// [`RelayError::UnknownLink`] when there is no such link.
    pub fn watch(
        &self,
        from: &str,
        to: &str,
        watch: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Result<(), RelayError> {
        // Another one is not needed: the first stays, as is said above.
        let _ = self.link(from, to)?.watch.set(Box::new(watch));
        Ok(())
    }

    fn with_link<T>(&self, from: &str, to: &str, act: impl FnOnce(&mut Link) -> T) -> Result<T, RelayError> {
        let link = self.link(from, to)?;
        Ok(act(&mut link.link.lock().unwrap_or_else(PoisonError::into_inner).0))
    }

    fn link(&self, from: &str, to: &str) -> Result<&SharedLink, RelayError> {
        let link = self.links.get(&(from.to_owned(), to.to_owned()));
        link.map(AsRef::as_ref).ok_or_else(|| self.unknown(from, to))
    }

    fn unknown(&self, from: &str, to: &str) -> RelayError {
        let mut known: Vec<&str> = self.links.keys().map(|(from, _)| from.as_str()).collect();
        known.dedup();
        RelayError::UnknownLink { from: from.to_owned(), to: to.to_owned(), known: known.join(", ") }
    }

    fn listen(
        &mut self,
        from: &str,
        to: &str,
        target: SocketAddr,
        there: Arc<SharedLink>,
        back: Arc<SharedLink>,
    ) -> std::io::Result<()> {
        let listener = Arc::new(open_socket()?);
        self.addresses.insert((from.to_owned(), to.to_owned()), listener.local_addr()?);
        let (queue, stopped) = (Arc::clone(&self.queue), Arc::clone(&self.stopped));
        let port = Arc::new(Port { listener, target, there, back, queue, stopped });
        let name = format!("wan {from}>{to}");
        self.threads.push(std::thread::Builder::new().name(name).spawn(move || port.run())?);
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.queue.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr; the relay is going anyway.
            let _ended = thread.join();
        }
    }
}

impl Port {
    /// Takes what the dialer sends and puts it on the link, until stopped.
    fn run(self: Arc<Self>) {
        let mut flows: BTreeMap<SocketAddr, Flow> = BTreeMap::new();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !self.stopped.load(Ordering::Relaxed) {
            let (length, dialer) = match self.listener.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if passes(&error) => continue,
                Err(error) => {
                    tracing::error!(%error, "the relay's port failed; its links carry nothing any more");
                    return;
                }
            };
            let now_us = self.queue.now_us();
            if !flows.contains_key(&dialer) {
                match self.open_flow(dialer, now_us) {
                    Ok(flow) => make_room(&mut flows).insert(dialer, flow),
                    Err(error) => {
                        tracing::error!(%error, "the relay cannot open a flow; the datagram is lost");
                        continue;
                    }
                };
            }
            if let Some(flow) = flows.get_mut(&dialer) {
                flow.heard_at_us = now_us;
                let exit = Exit::Connected(Arc::clone(&flow.socket));
                carry(&self.there, &self.queue, &buffer[..length], exit);
            }
        }
        for flow in flows.values() {
            flow.forgotten.store(true, Ordering::Relaxed);
        }
    }

    fn open_flow(self: &Arc<Self>, dialer: SocketAddr, now_us: u64) -> std::io::Result<Flow> {
        let socket = Arc::new(open_socket()?);
        socket.connect(self.target)?;
        let forgotten = Arc::new(AtomicBool::new(false));
        let flow =
            Flow { socket: Arc::clone(&socket), heard_at_us: now_us, forgotten: Arc::clone(&forgotten) };
        let port = Arc::clone(self);
        let answers = move || port.run_back(&socket, dialer, &forgotten);
        std::thread::Builder::new().name("wan-answers".into()).spawn(answers)?;
        Ok(flow)
    }

    /// Takes what the target answers on a flow and puts it on the link back, until stopped or forgotten.
    fn run_back(&self, socket: &UdpSocket, dialer: SocketAddr, forgotten: &AtomicBool) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !self.stopped.load(Ordering::Relaxed) && !forgotten.load(Ordering::Relaxed) {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    let exit = Exit::To(Arc::clone(&self.listener), dialer);
                    carry(&self.back, &self.queue, &buffer[..length], exit);
                }
                Err(error) if passes(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a flow of the relay failed; it carries nothing any more");
                    return;
                }
            }
        }
    }
}

fn ordered_pairs(regions: &BTreeMap<String, SocketAddr>) -> impl Iterator<Item = (&String, &String)> {
    let pairs = regions.keys().flat_map(|from| regions.keys().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to)
}

fn open_socket() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(STOP_LOOK_MS)))?;
    let buffers = SockRef::from(&socket);
    // A kernel that gives less loses datagrams while this process is not scheduled, which then count as nobody's: nothing to do about it here.
    let _ = buffers.set_recv_buffer_size(UDP_BUFFER_BYTES);
    // The same on the way out.
    let _ = buffers.set_send_buffer_size(UDP_BUFFER_BYTES);
    Ok(socket)
}

/// Puts a datagram through a link onto its way.
fn carry(link: &SharedLink, queue: &Queue, bytes: &[u8], exit: Exit) {
    let watch = link.watch.get();
    let mut link = link.link.lock().unwrap_or_else(PoisonError::into_inner);
    let (link, dice) = &mut *link;
    let Some(passage) = link.enter(queue.now_us(), bytes.len(), dice) else { return };
    if let Some(watch) = watch {
        watch(bytes);
    }
    let bytes: Arc<[u8]> = Arc::from(bytes);
    if let Some(copy_at_us) = passage.copy_at_us {
        // A copy that finds no room is only a duplicate less.
        let _room = queue.put(copy_at_us, Arc::clone(&bytes), exit.clone());
    }
    if !queue.put(passage.at_us, bytes, exit) {
        link.relay_was_full();
    }
}

/// Whether a read may simply be tried again: nothing came, or an earlier datagram met a closed port.
fn passes(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}

/// Forgets the longest silent flow if there are as many as may be.
fn make_room(flows: &mut BTreeMap<SocketAddr, Flow>) -> &mut BTreeMap<SocketAddr, Flow> {
    if flows.len() >= FLOWS_MAX {
        let silent = flows.iter().min_by_key(|(_, flow)| flow.heard_at_us).map(|(dialer, _)| *dialer);
        if let Some(flow) = silent.and_then(|dialer| flows.remove(&dialer)) {
            flow.forgotten.store(true, Ordering::Relaxed);
        }
    }
    flows
}
