//! The ten lines of the README.
use futures::StreamExt;
use serde_json::json;
use xs::{Frame, ReadOptions};

#[tokio::main]
async fn main() -> xs::Result<()> {
    let stream = xs::open("./clipboard-store").await?;
    let clip = Frame::topic("clip.add")?.meta(json!({"source": "keyboard"}));
    stream.append(clip, "hello clipboard").await?;
    let mut live = stream.read(ReadOptions::follow());
    while let Some(frame) = live.next().await.transpose()? {
        println!("{} {}", frame.id, frame.topic);
    }
    Ok(())
}
