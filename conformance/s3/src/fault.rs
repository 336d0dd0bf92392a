//! What goes wrong.

use std::sync::Mutex;

use bytes::Bytes;
use futures::stream;
use http::{Method, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A bad day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A refusal with this status and code.
    Status(u16, &'static str),
    /// No answer, ever.
    Silence,
    /// The request is done, but the connection breaks before the answer.
    LoseAnswer,
    /// The body of the answer ends in the middle.
    CutBody,
    /// A byte in the middle of the body of the answer is another one.
    AlterBody,
}

/// Which requests a fault befalls.
#[derive(Debug)]
struct Plan {
    fault: Fault,
    method: Method,
    /// In the path or the query.
    part: String,
    times: usize,
}

/// The faults to come, and the requests that came.
#[derive(Debug, Default)]
pub struct Faults {
    plans: Mutex<Vec<Plan>>,
    requests: Mutex<Vec<String>>,
}

impl Faults {
    /// Befalls the next `times` requests of this method with `part` in their path or query.
    pub fn plan(&self, fault: Fault, method: Method, part: &str, times: usize) {
        self.plans.lock().unwrap().push(Plan { fault, method, part: part.to_owned(), times });
    }

    /// Nothing goes wrong from now on.
    pub fn clear(&self) {
        self.plans.lock().unwrap().clear();
    }

    /// The requests so far, as method and target, and forgets them.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    pub(crate) fn next(&self, method: &Method, uri: &Uri) -> Option<Fault> {
        let target = uri.to_string();
        let mut plans = self.plans.lock().unwrap();
        let plan =
            plans.iter_mut().find(|plan| plan.times > 0 && plan.method == *method && target.contains(&plan.part));
        self.requests.lock().unwrap().push(format!("{method} {target}"));
        plan.map(|plan| {
            plan.times -= 1;
            plan.fault.clone()
        })
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// As S3 refuses.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Response::builder().status(status).header("content-type", "application/xml").body(full(body)).unwrap()
}

/// The answer to a request that is not done.
pub(crate) async fn instead(fault: &Option<Fault>) -> Response<Body> {
    match fault {
        Some(Fault::Status(status, code)) => refusal(*status, code, "a fault was planned"),
        _ => std::future::pending().await,
    }
}

/// The answer to a request that is done.
pub(crate) async fn change(fault: &Option<Fault>, answer: Response<Body>) -> Response<Body> {
    let Some(fault) = fault else { return answer };
    let (mut head, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let broken = || Box::<dyn std::error::Error + Send + Sync>::from("the connection breaks");
    match fault {
        Fault::LoseAnswer => {
            head.headers.remove("content-length");
            let nothing = stream::once(async move { Err::<Frame<Bytes>, _>(broken()) });
            Response::from_parts(head, StreamBody::new(nothing).boxed_unsync())
        }
        Fault::CutBody => {
            head.headers.insert("content-length", bytes.len().into());
            let half = bytes.slice(..bytes.len() / 2);
            let parts = stream::iter([Ok(Frame::data(half)), Err(broken())]);
            Response::from_parts(head, StreamBody::new(parts).boxed_unsync())
        }
        Fault::AlterBody => {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            Response::from_parts(head, full(bytes))
        }
        Fault::Status(..) | Fault::Silence => Response::from_parts(head, full(bytes)),
    }
}
