//! What may stand between a client and a server, and change what is answered.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use crate::support::Server;

/// Listens at `place`, and passes requests that have no body on to the server. Their first line and the answer are
/// for `change` to look at; what it returns is sent.
pub(crate) fn between(
    place: &Path,
    server: &Server,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) {
    let listener = UnixListener::bind(place).unwrap();
    let (to, change) = (server.socket(), Arc::new(change));
    std::thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let (to, change) = (to.clone(), Arc::clone(&change));
            std::thread::spawn(move || pass(client, UnixStream::connect(to).unwrap(), &*change));
        }
    });
}

fn pass(mut client: UnixStream, mut server: UnixStream, change: &dyn Fn(&str, Vec<u8>) -> Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match client.read(&mut byte) {
            Ok(1) => head.extend(byte),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    // The client may have gone.
    let _ = client.write_all(&change(first, answer));
}

/// Where the body of an answer begins.
pub(crate) fn body_at(answer: &[u8]) -> usize {
    answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
}
