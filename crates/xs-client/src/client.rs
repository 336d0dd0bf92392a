//! The client, and the routes that answer at once.

use std::fmt;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt as _};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use xs_core::{Content, ContentHash, Error, ErrorKind, Filter, Frame, FrameId, ReadOptions, Result, TopicPage};
use xs_wire::{
    BareStatus, FRAME_LINE_BYTES_MAX, Health, LineSplitter, TopicEntry, TopicsQuery, Version, from_json, paths,
};

use crate::body::Upload;
use crate::connect::Connector;
use crate::content::not_empty;
use crate::endpoint::{Endpoint, invalid};
use crate::follow::FrameStream;
use crate::import;
use crate::limits::{ANSWER_BYTES_MAX, IDLE_CONNECTIONS_MAX, IDLE_TIMEOUT};
use crate::options::ClientOptions;
use crate::request::{Request, not_understood, text};

/// A client of one server. Cheap to clone; all clones share their connections, which are kept and used
/// again. Its calls need a tokio runtime with I/O and time enabled.
///
/// Errors have the kinds that the same call has in process. `Unavailable` is, beyond that, a server that
/// does not answer, or whose answer breaks off. Dropping the future of a call ends what is under way; an
/// append may have been carried out by then, or not.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    options: ClientOptions,
    origin: (Scheme, Authority),
    authorization: Option<HeaderValue>,
    http: legacy::Client<Connector, Upload>,
}

impl Client {
    /// A client of the server there. It connects when it is first asked something.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        Self::with_options(endpoint, ClientOptions::default())
    }

    /// The same with options. `InvalidInput` for an address that is none, and a token that cannot be one.
    pub fn with_options(endpoint: Endpoint, options: ClientOptions) -> Result<Self> {
        let origin = endpoint.origin()?;
        let token = options.token.as_deref().or(endpoint.token());
        let authorization = token.map(authorization).transpose()?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(Connector::new(endpoint.clone(), &options));
        Ok(Self { inner: Arc::new(Inner { endpoint, options, origin, authorization, http }) })
    }

    /// Where its server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    pub(crate) fn origin(&self) -> &(Scheme, Authority) {
        &self.inner.origin
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.inner.authorization.as_ref()
    }

    pub(crate) fn http(&self) -> &legacy::Client<Connector, Upload> {
        &self.inner.http
    }

    /// The frame with this id.
    pub async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.frame_at(paths::frame(id)).await
    }

    /// Removes a frame. One that is not there is no error.
    pub async fn remove(&self, id: FrameId) -> Result<()> {
        self.request(Request::new(Method::DELETE, paths::frame(id))).await.map(drop)
    }

    /// The newest frame that `filter` selects: of a [`Topic`](xs_core::Topic), a pattern, or any list of patterns.
    pub async fn last(&self, filter: impl Into<Filter>) -> Result<Option<Frame>> {
        self.frame_at(paths::last(&filter.into())).await
    }

    async fn frame_at(&self, path: String) -> Result<Option<Frame>> {
        match self.body_of(Request::new(Method::GET, path)).await {
            Ok(body) => parse_frame(text(&body.bytes(FRAME_LINE_BYTES_MAX).await?)?).map(Some),
            // One that comes bare is of something in between, which knows of no frames.
            Err(error) if error.kind() == ErrorKind::NotFound && BareStatus::of(&error).is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Topics that hold frames, in byte order, each with its last id.
    pub async fn topics(&self, page: TopicPage) -> Result<Vec<TopicEntry>> {
        let TopicPage { prefix, after, limit } = page;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let query = TopicsQuery { prefix, after, limit: Some(limit) }.to_query().finish();
        let mut body = self.body_of(Request::new(Method::GET, format!("{}{query}", paths::TOPICS))).await?;
        let mut lines = LineSplitter::new(FRAME_LINE_BYTES_MAX);
        let mut found = Vec::new();
        while let Some(chunk) = body.next().await.transpose()? {
            lines.push(&chunk);
            while let Some(line) = lines.next_line().map_err(not_understood)? {
                found.push(from_json(&line)?);
            }
        }
        match lines.is_empty() {
            true => Ok(found),
            false => Err(not_understood("its last line has no end")),
        }
    }

    /// Stores content alone, and names it; `None` for empty content, which the server is not asked about.
    pub async fn put(&self, content: impl Into<Content>) -> Result<Option<ContentHash>> {
        let Some(content) = not_empty(content.into()).await? else { return Ok(None) };
        let body = self.body_of(Request::new(Method::POST, paths::CAS).body(content)).await?;
        let answer = body.bytes(FRAME_LINE_BYTES_MAX).await?;
        text(&answer)?.trim().parse().map(Some).map_err(not_understood)
    }

    /// Stores frames as they are, ids included, and says how many. A frame that is stored already is left alone,
    /// so after an error all of them may be sent again.
    ///
    /// They are sent as they come, in as many requests as it takes. None of these waits for long: where `frames`
    /// pauses it ends, so that what came is stored, and another begins with the next frame. So `frames` may be
    /// live, and take any time.
    ///
    /// An error of `frames` is the error of the call. What came before an error may be stored. `Unsupported`
    /// when what answers is no server of xs, and `Unavailable` when it answers before it was sent everything.
    pub async fn import(&self, frames: impl Stream<Item = Result<Frame>> + Send + 'static) -> Result<u64> {
        import::import(self, frames).await
    }

    /// Reads history, and what is appended later when `options` say so: a [`Stream`] of frames, in the order
    /// of their ids. Nothing is asked before it is polled.
    ///
    /// History is one request. A follower receives every matching stored frame exactly once, however often
    /// its connection breaks or its server restarts: see [`FrameStream`].
    pub fn read(&self, options: ReadOptions) -> FrameStream {
        FrameStream::new(self.clone(), options)
    }

    /// What answers.
    pub async fn version(&self) -> Result<Version> {
        let body = self.body_of(Request::new(Method::GET, paths::VERSION)).await?;
        from_json(&body.bytes(FRAME_LINE_BYTES_MAX).await?)
    }

    /// Whether the server works: `Unavailable` when a commit has failed and its stream wants to be opened
    /// again, `Closed` when it is closed, `Unsupported` when what answers is no server of xs.
    pub async fn health(&self) -> Result<()> {
        let strange = || {
            let message = format!("what answers at {} is no server of xs", self.endpoint());
            Error::new(ErrorKind::Unsupported, message)
        };
        let body = match self.body_of(Request::new(Method::GET, paths::HEALTH)).await {
            // Others know no such page.
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(strange().with_source(error)),
            body => body?,
        };
        let answer = body.bytes(FRAME_LINE_BYTES_MAX).await;
        match answer.and_then(|answer| from_json::<Health>(&answer)) {
            Ok(Health { status }) if status == "ok" => Ok(()),
            // It broke off.
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            // A page of somebody else's, under a status of success.
            _ => Err(strange()),
        }
    }

    /// The server's numbers, as Prometheus reads them.
    pub async fn metrics(&self) -> Result<String> {
        let body = self.body_of(Request::new(Method::GET, paths::METRICS)).await?;
        text(&body.bytes(ANSWER_BYTES_MAX).await?).map(str::to_owned)
    }

    /// The description of the server's routes: OpenAPI 3.1, in JSON.
    pub async fn openapi(&self) -> Result<String> {
        let body = self.body_of(Request::new(Method::GET, paths::OPENAPI)).await?;
        text(&body.bytes(ANSWER_BYTES_MAX).await?).map(str::to_owned)
    }
}

/// The frame that an answer is.
pub(crate) fn parse_frame(json: &str) -> Result<Frame> {
    Frame::from_json(json).map_err(|error| not_understood(&error).with_source(error))
}

fn authorization(token: &str) -> Result<HeaderValue> {
    // The message does not repeat it.
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| invalid("the token holds what no header can hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.inner.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_no_header_holds_is_not_repeated() {
        let endpoint = Endpoint::path(std::path::Path::new("store"));
        let error = Client::new(endpoint.clone().with_token("s3cret\n")).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && !error.to_string().contains("s3cret"), "{error}");
        let client = Client::new(endpoint.with_token("s3cret")).unwrap();
        assert!(!format!("{client:?} {:?}", client.authorization()).contains("s3cret"));
        let options = ClientOptions::new().token("other");
        let client = Client::with_options(client.endpoint().clone(), options).unwrap();
        assert_eq!(client.authorization().unwrap().to_str().unwrap(), "Bearer other");
    }

    #[test]
    fn a_client_is_shared_between_tasks() {
        fn shared<T: Clone + Send + Sync + Unpin + 'static>() {}
        fn moved<T: Send + Unpin + 'static>() {}
        shared::<Client>();
        moved::<FrameStream>();
        moved::<crate::Response>();
    }
}
