//! Opens a store whose index is a journal: `cargo run --example open ./journal-store`.

use std::sync::Arc;

use xs::{Frame, OpenOptions};
use xs_backend_journal::JournalFactory;

#[tokio::main]
async fn main() -> xs::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "./journal-store".to_owned());
    let mut registry = xs::registry();
    registry.register_store(Arc::new(JournalFactory));
    let stream = OpenOptions::new().registry(registry).index("journal").open(&path).await?;
    let frame = stream.append(Frame::topic("note.add")?, "kept in a journal").await?;
    println!("{} {}", frame.id, frame.topic);
    stream.close().await
}
