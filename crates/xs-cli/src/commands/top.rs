//! `xs top`: topics with what happens on them, live.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use futures::StreamExt as _;
use ratatui::DefaultTerminal;
use ratatui::layout::Rect;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use xs::{Frame, ReadOptions, TopicPage};
use xs_client::Client;

use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::top::draw::{View, draw, height};
use crate::top::input::{self, Input};
use crate::top::model::{Model, TOPICS_MAX, Verdict};
use crate::{connect, signals};

/// How often it is drawn, by itself.
const DRAW: Duration = Duration::from_millis(250);
/// How often the server is asked whether it is well.
const LOOK: Duration = Duration::from_secs(2);
/// Topics that are listed at a time.
const TOPICS_AT_ONCE: usize = 1000;
/// Frames that are counted before anything else has its turn.
const FRAMES_AT_ONCE: usize = 1024;

#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) async fn run(args: Top, common: &Common) -> Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new("top is for a terminal: for a list of topics, use xs topics"));
    }
    let client = connect::client(&args.target, common)?;
    let address = client.endpoint().to_string();
    let clock = Clock { start: Instant::now() };
    let mut model = Model::new(clock.now_ms());
    // Before the screen is taken, so that what is wrong is said on a line; and before topics are listed, so that
    // nothing comes between the two.
    let mut frames = client.read(ReadOptions::new_only());
    frames.connect().await.map_err(|error| Failure::of_call(&error))?;
    let mut frames = frames.ready_chunks(FRAMES_AT_ONCE);
    list(&client, &mut model, &clock).await?;
    let mut leave = std::pin::pin!(signals::leave().map_err(|error| Failure::io("waiting for signals", &error))?);
    let (_looking, mut health) = look(client);

    let mut screen = Screen::take()?;
    let mut keys = input::keys();
    let mut ticks = tokio::time::interval(DRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let colour = common.color.is_on();
    loop {
        tokio::select! {
            () = &mut leave => return Ok(()),
            // The terminal has gone.
            key = keys.recv() => match key {
                None => return Ok(()),
                Some(Input::Resized) => {}
                Some(Input::Key(key)) => {
                    if model.press(key, screen.height()?) == Verdict::Quit {
                        return Ok(());
                    }
                }
            },
            Some(trouble) = health.recv() => {
                model.set_trouble(trouble);
                continue;
            }
            came = frames.next() => {
                let came = came.ok_or_else(|| Failure::new("the server has ended the stream"))?;
                for frame in came {
                    let Frame { topic, id, .. } = frame.map_err(|error| Failure::of_call(&error))?;
                    model.frame(topic, id, clock.now_ms());
                }
                // However fast they come, it is drawn when it is time.
                continue;
            }
            _ = ticks.tick() => {}
        }
        let view = View { address: &address, now_ms: clock.now_ms(), wall_ms: wall_ms(), colour };
        screen.draw(&model, &view)?;
    }
}

/// The topics that are there, as many as are kept.
async fn list(client: &Client, model: &mut Model, clock: &Clock) -> Result<()> {
    let mut page = TopicPage { prefix: String::new(), after: None, limit: TOPICS_AT_ONCE };
    while model.topics() < TOPICS_MAX {
        let topics = client.topics(page.clone()).await.map_err(|error| Failure::of_call(&error))?;
        let is_last = topics.len() < page.limit;
        for entry in topics {
            page.after = Some(entry.topic.clone());
            model.known(entry.topic, entry.last_id, clock.now_ms());
        }
        if is_last {
            break;
        }
    }
    Ok(())
}

/// Asks the server now and then whether it is well, until what it returns is dropped. A follower connects
/// anew by itself, and says nothing about it.
fn look(client: Client) -> (JoinSet<()>, mpsc::Receiver<Option<String>>) {
    let (said, health) = mpsc::channel(1);
    let mut looking = JoinSet::new();
    looking.spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let trouble = client.health().await.err().map(|error| error.to_string());
            if said.send(trouble).await.is_err() {
                return;
            }
        }
    });
    (looking, health)
}

/// Time that only goes forward.
#[derive(Clone, Copy, Debug)]
struct Clock {
    start: Instant,
}

impl Clock {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Milliseconds since 1970.
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The terminal, while it shows this and not what was there: given back when this is dropped, and by the
/// hook of a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // It may have come half of the way.
                let _ = ratatui::try_restore();
                Err(Failure::io("taking the terminal", &error))
            }
        }
    }

    /// The rows that it shows.
    fn height(&self) -> Result<usize> {
        let size = self.0.size().map_err(|error| Failure::io("asking the terminal for its size", &error))?;
        Ok(height(Rect::new(0, 0, size.width, size.height)))
    }

    fn draw(&mut self, model: &Model, view: &View<'_>) -> Result<()> {
        let drawn = self.0.draw(|frame| draw(frame, model, view));
        drawn.map(drop).map_err(|error| Failure::io("drawing", &error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing any more.
        let _ = ratatui::try_restore();
    }
}
