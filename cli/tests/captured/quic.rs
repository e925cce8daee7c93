//! Reads what was recorded of QUIC connections, with the secrets that their ends have logged: every packet, and the bytes of every stream.
//!
//! What must always hold: a packet is either read or counted as unread, so that what is said of "all that passed" is of all that passed.
//!
//! Which key opens a packet is found out by trying: there are a few, and none opens another's. Packets are of QUIC version 1 (RFC 9000, RFC 9001) under the one cipher suite that
//! bridges agree on.

use crate::frames;
use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::quic::{HeaderProtectionKey, Keys as InitialKeys, PacketKey, Version};
use rustls::{Side, SupportedCipherSuite, Tls13CipherSuite};
use std::collections::{BTreeMap, BTreeSet};

/// A recorded datagram.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// Whether it came from the side that dialled.
    pub from_dialler: bool,
    pub bytes: Vec<u8>,
}

/// What went one way.
#[derive(Debug, Default)]
pub struct Plain {
    /// What was in each packet, frames of QUIC and all.
    pub packets: Vec<Vec<u8>>,
    /// Of each connection that sent any, the bytes of its one stream.
    pub streams: Vec<Vec<u8>>,
    /// Packets that no key opens, and holes in streams.
    pub unread: usize,
}

/// The keys of one connection at one stage, one way.
struct Keys {
    header: Box<dyn HeaderProtectionKey>,
    /// The last key first: a connection changes it now and then.
    packet: Vec<Box<dyn PacketKey>>,
    /// What the next key follows from; none where there is no next one.
    secret: Option<Vec<u8>>,
    last_number: u64,
    stream: BTreeMap<u64, Vec<u8>>,
}

/// One way of a link.
#[derive(Default)]
struct Reader {
    keys: Vec<Keys>,
    plain: Plain,
}

/// All that was recorded between two regions, read: what the dialler sent, and what the other one did.
pub fn read(recorded: &[Datagram], key_log: &str) -> (Plain, Plain) {
    let (mut dialler, mut listener) = (Reader::default(), Reader::default());
    for (label, secret) in secrets(key_log) {
        match label.as_str() {
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET" | "CLIENT_TRAFFIC_SECRET_0" => dialler.add(secret),
            "SERVER_HANDSHAKE_TRAFFIC_SECRET" | "SERVER_TRAFFIC_SECRET_0" => listener.add(secret),
            _ => {}
        }
    }
    for datagram in recorded {
        let mut rest = &datagram.bytes[..];
        while !rest.is_empty() {
            let Some(packet) = Packet::first_of(rest) else { break };
            rest = &rest[packet.end..];
            if !datagram.from_dialler {
                listener.take(&packet);
            } else if !dialler.open(&packet) {
                // The first packets of a connection: everybody can derive their keys from where they go to.
                let derived = suite_of_first_packets();
                let Some(quic) = derived.quic.filter(|_| packet.is_initial) else {
                    dialler.plain.unread += 1;
                    continue;
                };
                let keys = InitialKeys::initial(Version::V1, derived, quic, packet.destination, Side::Client);
                dialler.keys.push(Keys::new(keys.local.header, keys.local.packet, None));
                listener.keys.push(Keys::new(keys.remote.header, keys.remote.packet, None));
                dialler.take(&packet);
            }
        }
    }
    (dialler.finish(), listener.finish())
}

/// The lines of a key log; both ends of a connection write the same ones. One that is still being written is of a connection that has sent nothing yet under it.
fn secrets(key_log: &str) -> BTreeSet<(String, Vec<u8>)> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let line = |line: &str| {
        let [label, _, secret] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (label.to_owned(), secret.as_bytes().chunks(2).map(byte).collect())
    };
    let whole = key_log.rfind('\n').map_or("", |end| &key_log[..end]);
    whole.lines().map(line).collect()
}

fn tls13(suite: SupportedCipherSuite) -> &'static Tls13CipherSuite {
    suite.tls13().unwrap()
}

fn suite() -> &'static Tls13CipherSuite {
    tls13(rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384)
}

fn suite_of_first_packets() -> &'static Tls13CipherSuite {
    tls13(rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256)
}

/// `HKDF-Expand-Label` of RFC 8446 without a context.
fn expand(secret: &[u8], label: &str, output: &mut [u8]) {
    let expander: Box<dyn HkdfExpander> = suite().hkdf_provider.expander_for_okm(&OkmBlock::new(secret));
    let label = [b"tls13 ", label.as_bytes()].concat();
    let length = (output.len() as u16).to_be_bytes();
    expander.expand_slice(&[&length, &[label.len() as u8], &label, &[0]], output).unwrap();
}

fn packet_key(secret: &[u8]) -> Box<dyn PacketKey> {
    let (mut key, mut iv) = ([0; 32], [0; 12]);
    expand(secret, "quic key", &mut key);
    expand(secret, "quic iv", &mut iv);
    suite().quic.unwrap().packet_key(key.into(), iv.into())
}

impl Keys {
    fn new(
        header: Box<dyn HeaderProtectionKey>,
        packet: Box<dyn PacketKey>,
        secret: Option<Vec<u8>>,
    ) -> Self {
        Self { header, packet: vec![packet], secret, last_number: 0, stream: BTreeMap::new() }
    }

    /// What is in the packet, if it is of this connection and stage.
    fn open(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let (mut first, at) = (packet.bytes[0], packet.number_at);
        let mut number = packet.bytes.get(at..at + 4)?.to_vec();
        let sample = packet.bytes.get(at + 4..at + 4 + self.header.sample_len())?;
        self.header.decrypt_in_place(sample, &mut first, &mut number).ok()?;
        number.truncate(usize::from(first & 3) + 1);
        let header = [&[first], &packet.bytes[1..at], &number].concat();
        let number = self.whole(&number);
        let sealed = &packet.bytes[header.len()..];
        let open = |key: &dyn PacketKey| {
            let mut opened = sealed.to_vec();
            let length = key.decrypt_in_place(number, &header, &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        };
        let mut opened = self.packet.iter().find_map(|key| open(&**key));
        if let (None, Some(secret)) = (&opened, &self.secret) {
            let mut next = vec![0; secret.len()];
            expand(secret, "quic ku", &mut next);
            let key = packet_key(&next);
            opened = open(&*key);
            if opened.is_some() {
                self.packet.insert(0, key);
                self.packet.truncate(2);
                self.secret = Some(next);
            }
        }
        self.last_number = self.last_number.max(if opened.is_some() { number } else { 0 });
        opened
    }

    /// The packet's number from its last bytes: the one closest to what is expected (RFC 9000, A.3).
    fn whole(&self, cut: &[u8]) -> u64 {
        let window = 1_u64 << (8 * cut.len());
        let (expected, low) =
            (self.last_number + 1, cut.iter().fold(0, |low, byte| low << 8 | u64::from(*byte)));
        let candidate = expected & !(window - 1) | low;
        if candidate + window / 2 <= expected {
            candidate + window
        } else if candidate > expected + window / 2 && candidate >= window {
            candidate - window
        } else {
            candidate
        }
    }
}

impl Reader {
    fn add(&mut self, secret: Vec<u8>) {
        assert_eq!(secret.len(), 48, "of the cipher suite that is read here");
        let mut key = [0; 32];
        expand(&secret, "quic hp", &mut key);
        let header = suite().quic.unwrap().header_protection_key(key.into());
        self.keys.push(Keys::new(header, packet_key(&secret), Some(secret)));
    }

    fn open(&mut self, packet: &Packet<'_>) -> bool {
        for keys in &mut self.keys {
            let Some(opened) = keys.open(packet) else { continue };
            for (offset, bytes) in frames::stream_bytes(&opened) {
                let kept = keys.stream.entry(offset).or_default();
                if bytes.len() > kept.len() {
                    *kept = bytes;
                }
            }
            self.plain.packets.push(opened);
            return true;
        }
        false
    }

    fn take(&mut self, packet: &Packet<'_>) {
        if !self.open(packet) {
            self.plain.unread += 1;
        }
    }

    fn finish(mut self) -> Plain {
        for keys in self.keys {
            let mut stream: Vec<u8> = Vec::new();
            for (offset, bytes) in keys.stream {
                let offset = offset as usize;
                if offset > stream.len() {
                    self.plain.unread += 1;
                    break;
                }
                // What is sent again may begin earlier or end later.
                if offset + bytes.len() > stream.len() {
                    stream.truncate(offset);
                    stream.extend(bytes);
                }
            }
            self.plain.streams.extend((!stream.is_empty()).then_some(stream));
        }
        self.plain
    }
}

/// A packet in a datagram.
struct Packet<'a> {
    bytes: &'a [u8],
    /// Where it goes to.
    destination: &'a [u8],
    is_initial: bool,
    number_at: usize,
    end: usize,
}

impl<'a> Packet<'a> {
    /// The first packet of what is left of a datagram; none if that is none.
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        /// What a connection of `quinn` is called.
        const NAME_BYTES: usize = 8;
        if bytes[0] & 0x80 == 0 {
            let (destination, end) = (bytes.get(1..=NAME_BYTES)?, bytes.len());
            return Some(Self { bytes, destination, is_initial: false, number_at: 1 + NAME_BYTES, end });
        }
        let mut cursor = frames::Cursor::new(bytes.get(5..)?);
        let length = cursor.byte()?.into();
        let destination = cursor.take(length)?;
        let length = cursor.byte()?.into();
        cursor.take(length)?;
        let is_initial = bytes[0] >> 4 & 3 == 0;
        if is_initial {
            let token = cursor.number()?;
            cursor.take(token as usize)?;
        }
        let length = cursor.number()? as usize;
        let number_at = bytes.len() - cursor.rest().len();
        let end = number_at + length;
        Some(Self { bytes: bytes.get(..end)?, destination, is_initial, number_at, end })
    }
}
