//! A region whose process stood still, as one does when its machine is moved or out of memory, and goes on: nobody is refused for it.
//!
//! What must always hold: a hello that came in time is read, though the time for it is over when the region gets to it.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use two_regions::TwoRegions;

/// Devices that have connected and not said hello. Where two things are to be done a region's order is not to be foretold: with so
/// many, a wrong one shows.
const DEVICES: usize = 16;
/// A little more than a device has for its hello.
const STILL: Duration = Duration::from_secs(11);
const SOON: Duration = Duration::from_secs(30);

/// Opens a WebSocket (RFC 6455, section 4.1).
fn connect(url: &str) -> TcpStream {
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let asked = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: archipelago.v1+json\r\n\r\n"
    );
    socket.write_all(asked.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket
}

/// One text frame (section 5.2) of less than 64 KiB; a mask of zeros leaves the text as it is.
fn say(socket: &mut TcpStream, text: &str) {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let frame = [&[0x81, 0x80 | 126][..], &length, &[0; 4], text.as_bytes()].concat();
    socket.write_all(&frame).unwrap();
}

/// The first frame that comes.
fn hear(socket: &mut TcpStream) -> String {
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            socket.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    socket.read_exact(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_hello_that_came_while_a_region_stood_still_is_welcomed() {
    let regions = TwoRegions::start_plainly();
    let mut sockets: Vec<TcpStream> = (0..DEVICES).map(|_| connect(&regions.urls[0])).collect();
    regions.signal(0, "STOP");
    for (number, socket) in sockets.iter_mut().enumerate() {
        let device = format!("d{:016x}", number + 1);
        let token = regions.run(&[
            "admin",
            "token",
            "--cluster",
            "demo",
            "--user",
            "u0001000000000001",
            "--device",
            &device,
        ]);
        let hello = serde_json::json!({"token": token, "versionMin": 1, "versionMax": 1, "client": "test"});
        say(socket, &serde_json::json!({"request": "1", "hello": hello}).to_string());
    }
    // Not a wait for something to happen: it stands still for so long.
    std::thread::sleep(STILL);
    regions.signal(0, "CONT");
    for socket in &mut sockets {
        let heard = hear(socket);
        assert!(heard.contains("\"welcome\""), "{heard}");
    }
}
