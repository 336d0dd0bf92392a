//! What answers HTTP, and is no server of xs.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Listens on a port of this machine, and says where. Every request is answered with success and what `answer` makes
/// of its first line, whatever is sent with it. The end of the connection is the end of the answer, as of HTTP/1.0.
pub(crate) fn fake(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    // A client may use several connections, in any order: none waits for another. They end with the client, and the
    // thread that accepts them with the test.
    std::thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer_one(client, &*answer));
        }
    });
    addr
}

fn answer_one(mut client: TcpStream, answer: &dyn Fn(&str) -> String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match client.read(&mut byte) {
            Ok(1) => head.extend(byte),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let body = answer(head.lines().next().unwrap());
    // The client may have gone.
    let _ = client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes());
}
