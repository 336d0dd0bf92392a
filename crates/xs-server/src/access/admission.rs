//! What a request was let in by, for as long as that is so.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt as _};

use super::tokens::{Rights, TokenId, Tokens};
use super::{Refused, TokenFile};

/// By which token a request was let in.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(super) token: TokenId,
    pub(super) file: Arc<TokenFile>,
}

impl Admission {
    pub(crate) fn token(&self) -> TokenId {
        self.token
    }

    /// Ready once the token is no longer in the file. As long as it is there, it may at least read.
    pub(crate) fn withdrawn(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut tokens, token) = (self.file.tokens.subscribe(), self.token);
        async move {
            // Without a sender, nobody reads the file again.
            if tokens.wait_for(|tokens| tokens.rights(token).is_none()).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Ready once the token may not write, or no longer.
    fn refused(&self) -> impl Future<Output = Refused> + Send + use<> {
        let (mut tokens, token) = (self.file.tokens.subscribe(), self.token);
        async move {
            let refused = tokens.wait_for(|tokens| refuse(tokens, token).is_some()).await;
            let refused = refused.ok().and_then(|tokens| refuse(&tokens, token));
            match refused {
                Some(refused) => refused,
                None => std::future::pending().await,
            }
        }
    }
}

/// Why a token may not write, where it may not.
fn refuse(tokens: &Tokens, token: TokenId) -> Option<Refused> {
    match tokens.rights(token) {
        Some(Rights::ReadWrite) => None,
        Some(Rights::ReadOnly) => Some(Refused::ReadOnly),
        None => Some(Refused::UnknownToken),
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("file", &self.file.path).finish_non_exhaustive()
    }
}

/// A request that writes, and the token that lets it: it is asked for as long as its body comes.
pub(crate) struct Writer {
    admission: Admission,
    /// Only once somebody waits: most bodies are there at once.
    refused: Option<BoxFuture<'static, Refused>>,
}

impl Writer {
    pub(crate) fn new(admission: Admission) -> Self {
        Self { admission, refused: None }
    }

    /// Why it may write no longer, where that is so.
    pub(crate) fn refused(&self) -> Option<Refused> {
        refuse(&self.admission.file.tokens.borrow(), self.admission.token)
    }

    /// Ready once it may write no longer.
    pub(crate) fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<Refused> {
        let Self { admission, refused } = self;
        let reason = ready!(refused.get_or_insert_with(|| admission.refused().boxed()).poll_unpin(cx));
        *refused = None;
        Poll::Ready(reason)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.admission).finish()
    }
}
