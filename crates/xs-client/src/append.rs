//! Appends: of one frame, and of many at once.

use std::collections::HashMap;

use http::{Method, header};
use xs_core::{Content, Error, ErrorKind, Expect, Frame, NewFrame, Result, Topic};
use xs_wire::{AppendLine, AppendQuery, FRAME_LINE_BYTES_MAX, Framing, META_HEADER, encode_meta, paths};

use crate::client::{Client, parse_frame};
use crate::endpoint::invalid;
use crate::limits::{ANSWER_BYTES_MAX, META_BYTES_MAX};
use crate::request::{Request, not_understood, text};

impl Client {
    /// Appends a frame, with its content. Returns once both are as durable as the server's settings say.
    ///
    /// The content is sent as it comes, whatever its size. An error of where it comes from is the error of
    /// the call, and then nothing is appended. When the frame names a hash and content is given as well,
    /// they have to agree.
    pub async fn append(&self, frame: impl Into<NewFrame>, content: impl Into<Content>) -> Result<Frame> {
        self.append_with(frame, content, None).await
    }

    /// Appends a frame, with its content, if its topic looks like this.
    ///
    /// `Conflict` when it does not; [`Error::expect_failed`] has the actual last id. Of several callers with
    /// the same condition exactly one wins.
    pub async fn append_with(
        &self,
        frame: impl Into<NewFrame>,
        content: impl Into<Content>,
        expect: Option<Expect>,
    ) -> Result<Frame> {
        let (mut frame, content) = (frame.into(), content.into());
        let meta_bytes = frame.meta.as_ref().map_or(0, |meta| meta.as_str().len());
        if frame.hash.is_none() && meta_bytes <= META_BYTES_MAX {
            return self.append_one(frame, content, expect).await;
        }
        // What the path and the headers have no room for goes into the body, and the content before it.
        if let Some(hash) = self.put(content).await? {
            match frame.hash {
                Some(named) if named != hash => {
                    return Err(invalid(format!("the frame names content {named}, but {hash} was given")));
                }
                _ => frame.hash = Some(hash),
            }
        }
        let appended = self.append_lines(vec![AppendLine { frame, expect }]).await?;
        appended.into_iter().next().ok_or_else(|| not_understood("it holds no frame"))
    }

    async fn append_one(&self, frame: NewFrame, content: Content, expect: Option<Expect>) -> Result<Frame> {
        let NewFrame { topic, meta, ttl, hash: _ } = frame;
        let query = AppendQuery { ttl, expect, with_timestamp: false }.to_query().finish();
        let mut request = Request::new(Method::POST, format!("{}{query}", paths::append(&topic))).body(content);
        if let Some(meta) = meta {
            request = request.header(META_HEADER, encode_meta(&meta));
        }
        let body = self.body_of(request).await?;
        parse_frame(text(&body.bytes(FRAME_LINE_BYTES_MAX).await?)?)
    }

    /// Appends many frames, over any topics: all or none, one after the other. A line break between the
    /// tokens of a meta becomes a space.
    pub async fn append_all(&self, frames: Vec<NewFrame>) -> Result<Vec<Frame>> {
        self.append_all_with(frames, Vec::new()).await
    }

    /// Appends many frames if all these topics look like this before any of the frames is added.
    ///
    /// `Conflict` when one does not, and then none is appended; [`Error::expect_failed`] names it, and has its
    /// actual last id. Over HTTP a condition goes with a frame of its topic, one with each: `Unsupported`
    /// when there are fewer frames of a topic than different conditions on it. Without frames the server is not
    /// asked, and no condition is checked.
    pub async fn append_all_with(&self, frames: Vec<NewFrame>, expect: Vec<(Topic, Expect)>) -> Result<Vec<Frame>> {
        match frames.is_empty() {
            true => Ok(Vec::new()),
            false => self.append_lines(lines(frames, expect)?).await,
        }
    }

    async fn append_lines(&self, lines: Vec<AppendLine>) -> Result<Vec<Frame>> {
        let mut body = String::new();
        for line in &lines {
            body.push_str(&line.to_json()?);
            body.push('\n');
        }
        let request = Request::new(Method::POST, paths::APPEND).body(body);
        let request = request.header(header::CONTENT_TYPE, Framing::Ndjson.content_type());
        let answer = self.body_of(request).await?.bytes(ANSWER_BYTES_MAX).await?;
        let appended = text(&answer)?.lines().map(parse_frame).collect::<Result<Vec<_>>>()?;
        match appended.len() == lines.len() {
            true => Ok(appended),
            false => Err(not_understood(format_args!("{} frames came for {}", appended.len(), lines.len()))),
        }
    }
}

/// Puts each condition on the line of a frame of its topic.
fn lines(frames: Vec<NewFrame>, expect: Vec<(Topic, Expect)>) -> Result<Vec<AppendLine>> {
    let mut conditions: HashMap<Topic, Vec<Expect>> = HashMap::new();
    for (topic, expect) in expect {
        let of_topic = conditions.entry(topic).or_default();
        if !of_topic.contains(&expect) {
            of_topic.push(expect);
        }
    }
    let with_condition = |frame: NewFrame| {
        let expect = conditions.get_mut(&frame.topic).and_then(Vec::pop);
        AppendLine { frame, expect }
    };
    let lines = frames.into_iter().map(with_condition).collect();
    match conditions.iter().find(|(_, left)| !left.is_empty()) {
        None => Ok(lines),
        Some((topic, _)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("over HTTP, a condition goes with a frame of its topic: there are too few frames of {topic}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_goes_with_a_frame_of_its_topic() {
        let [a, b] = ["a", "b"].map(|name| Topic::parse(name).unwrap());
        let last = Expect::Last("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap());
        let frames = || [&a, &b, &a, &a].map(|topic| NewFrame::new(topic.clone())).to_vec();
        let on = |conditions: &[(&Topic, Expect)]| {
            lines(frames(), conditions.iter().map(|(topic, expect)| ((*topic).clone(), *expect)).collect())
        };
        let empty = Expect::Empty;
        let found = on(&[(&a, empty), (&b, last), (&a, last), (&a, empty), (&b, last)]).unwrap();
        assert_eq!(found.iter().map(|line| line.frame.clone()).collect::<Vec<_>>(), frames());
        let mut given: Vec<_> = found.iter().map(|line| line.expect).collect();
        assert_eq!(given.remove(1), Some(last));
        assert_eq!(given.iter().filter(|given| given.is_none()).count(), 1);
        assert!(given.contains(&Some(empty)) && given.contains(&Some(last)));

        let c = Topic::parse("c").unwrap();
        for refused in [&[(&c, empty)][..], &[(&b, empty), (&b, last)]] {
            let error = on(refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
}
