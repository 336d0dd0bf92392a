//! What one client may have of a server.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Instant;

use support::{Answer, PATIENCE, Running, exchange, request, rest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use xs_server::Limits;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_no_more_connections_than_its_share() {
    let mut limits = Limits::default();
    // Loopback has a share only where one is given.
    limits.connections_per_client = Some(1);
    // Nothing else ends a connection within this test.
    limits.header_timeout = PATIENCE * 2;
    let server = Running::start(limits).await;
    let get = request("GET", "/version", "", "");

    let mut first = server.tcp().await;
    first.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answered = timeout(PATIENCE, first.read_u8()).await.unwrap().unwrap();
    assert_eq!(answered, b'H', "it is served, and stays open");

    for _ in 0..3 {
        let mut second = server.tcp().await;
        // It may be closed by then.
        let _ = second.write_all(&get).await;
        assert_eq!(rest(&mut second).await, b"", "it is closed without a word");
    }
    let on_socket = exchange(server.socket().await, &get).await;
    assert_eq!(on_socket.status, 200, "sockets are not counted");

    drop(first);
    // The server has yet to see that.
    let start = Instant::now();
    let answer = loop {
        let mut next = server.tcp().await;
        let _ = next.write_all(&get).await;
        let bytes = rest(&mut next).await;
        if !bytes.is_empty() {
            break Answer::of(&bytes);
        }
        assert!(start.elapsed() < PATIENCE, "the place of the first is not given back");
    };
    assert_eq!(answer.status, 200);
    server.stop().await;
}
