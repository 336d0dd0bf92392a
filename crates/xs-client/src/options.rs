//! How a client behaves.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a client behaves: plain data, with a builder method for each field.
///
/// ```
/// use std::time::Duration;
/// use xs_client::ClientOptions;
/// let options = ClientOptions::new().connect_timeout(Duration::from_secs(2)).token("s3cret");
/// assert!(!format!("{options:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The token that the server wants; it wins over the one of the endpoint.
    pub token: Option<String>,
    /// A file of certificates, in PEM, that are trusted in place of those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take, TLS included. 5 seconds by default.
    pub connect_timeout: Duration,
    /// How long the head of a response may take, from when the connection last took a part of the request.
    /// 30 seconds by default. Time in which content is waited for does not count.
    ///
    /// What the connection has taken may be on its way yet: up to half a mebibyte here, and in the buffers of
    /// the system a few more. Over a slow link, that much has to get through in this time.
    ///
    /// Then, for how long nothing of its body may come while it is read; the body as a whole may take any
    /// time. A follower has its heartbeat for that, and what [`Client::request`](crate::Client::request)
    /// answers has no such limit.
    pub response_timeout: Duration,
    /// How often a follower hears from a server that has nothing to say. After three times this in
    /// silence it connects anew. 15 seconds by default.
    pub heartbeat: Duration,
    /// How long a follower waits before it connects anew, at first; then twice as long each time. About
    /// half of it is chance, so that followers do not come back all at once. 100 milliseconds by default.
    pub backoff_min: Duration,
    /// How long it waits at most. 10 seconds by default.
    pub backoff_max: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            token: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
        }
    }
}

impl ClientOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Trusting the certificates in this file, and no others.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// With so much time to connect.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// With so much time for the head of a response, and between the parts of its body.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// With followers that want to hear from the server so often.
    #[must_use]
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = period;
        self
    }

    /// With followers that wait at least so long before they connect anew.
    #[must_use]
    pub fn backoff_min(mut self, pause: Duration) -> Self {
        self.backoff_min = pause;
        self
    }

    /// With followers that wait at most so long before they connect anew.
    #[must_use]
    pub fn backoff_max(mut self, pause: Duration) -> Self {
        self.backoff_max = pause;
        self
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("ca_file", &self.ca_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("backoff_min", &self.backoff_min)
            .field("backoff_max", &self.backoff_max)
            .finish()
    }
}
