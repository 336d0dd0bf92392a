//! Random sequences of operations on a pair, beside the same ones on memory: whatever they give must
//! be the same, ids included, since both have the same clock and the same source of random bits. A
//! sequence that shows a difference is made as short as it gets.

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use proptest::prelude::*;
use xs_core::{
    ByteRange, ErrorKind, Expect, Frame, FrameId, ManualClock, NewFrame, ReadOptions, Result, TopicPage, Ttl,
};

use crate::tools::{Pair, START_MS, new};
use crate::transport::Handle;
use crate::{CasSubject, StoreSubject, Transport, model};

crate::suite::cases!(Pair: E_any_sequence_of_operations_does_what_the_model_does);

const OPERATIONS: usize = 40;
/// Sequences over a transport, at most: there they look at how things are spelled, not at the engine, and
/// each reopening starts a server.
const TRANSPORT_CASES: u32 = 16;

/// What is done to both. Frames are named by their place among those that were given out.
#[derive(Clone, Debug)]
enum Operation {
    Append(NewFrame, Vec<u8>),
    AppendAll(Vec<NewFrame>),
    /// Expecting what is so, or what is not.
    AppendIf(NewFrame, bool),
    Remove(usize),
    /// A frame with an id beside that of another.
    Import(usize, i8, NewFrame),
    Put(Vec<u8>),
    Advance(u64),
    Reopen,
    Read {
        filter: &'static str,
        after: Option<usize>,
        limit: Option<u64>,
        last: Option<u64>,
    },
    Get(usize),
    Content(usize),
    Topics(&'static str, usize),
}

fn frames() -> impl Strategy<Value = NewFrame> {
    let topics = prop::sample::select(&["a", "a.b", "a.b.c", "a.bc", "b", "b.c"][..]);
    let ttls = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Ttl::Forever)),
        1 => Just(Some(Ttl::Ephemeral)),
        2 => (0..3000u64).prop_map(|ms| Some(Ttl::Time { ms })),
        2 => (1..4u64).prop_map(|n| Some(Ttl::Last(n.try_into().unwrap()))),
    ];
    (topics, ttls, prop::option::of(0..100i32)).prop_map(|(topic, ttl, meta)| {
        let frame = new(topic).meta(meta.into());
        NewFrame { ttl, ..frame }
    })
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    (0..200usize, 0..4u8).prop_map(|(length, byte)| vec![byte; length])
}

fn operations() -> impl Strategy<Value = Operation> {
    let filters = || prop::sample::select(&["*", "a", "a.*", "a.b.*", "a.b,b.*", "b,a.bc", "c"][..]);
    let prefixes = prop::sample::select(&["", "a", "a.", "b", "z"][..]);
    let read = (filters(), prop::option::of(0..50usize), prop::option::of(0..9u64), prop::option::of(0..9u64));
    prop_oneof![
        6 => (frames(), contents()).prop_map(|(frame, content)| Operation::Append(frame, content)),
        2 => prop::collection::vec(frames(), 1..5).prop_map(Operation::AppendAll),
        2 => (frames(), any::<bool>()).prop_map(|(frame, right)| Operation::AppendIf(frame, right)),
        2 => (0..50usize).prop_map(Operation::Remove),
        1 => (0..50usize, any::<i8>(), frames()).prop_map(|(of, by, frame)| Operation::Import(of, by, frame)),
        1 => contents().prop_map(Operation::Put),
        2 => (0..2000u64).prop_map(Operation::Advance),
        1 => Just(Operation::Reopen),
        5 => read.prop_map(|(filter, after, limit, last)| Operation::Read { filter, after, limit, last }),
        1 => (0..50usize).prop_map(Operation::Get),
        1 => (0..50usize).prop_map(Operation::Content),
        1 => (prefixes, 1..5usize).prop_map(|(prefix, limit)| Operation::Topics(prefix, limit)),
    ]
}

/// What an operation gives, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Frames(Vec<Frame>),
    Topics(Vec<(String, FrameId)>),
    Bytes(Option<Bytes>),
    Nothing,
    Refused(ErrorKind),
}

/// One of the two, and what it has given out.
struct Side<'a> {
    pair: &'a Pair,
    place: &'a Path,
    clock: ManualClock,
    stream: Handle,
    given: Vec<Frame>,
}

impl<'a> Side<'a> {
    async fn open(pair: &'a Pair, place: &'a Path) -> Self {
        let clock = ManualClock::at(START_MS);
        Self { pair, place, stream: pair.open_at(place, &clock).await, clock, given: Vec::new() }
    }

    fn frame(&self, number: usize) -> Option<&Frame> {
        self.given.get(number % self.given.len().max(1))
    }

    fn id(&self, number: usize) -> FrameId {
        self.frame(number).map_or(FrameId::MIN, |frame| frame.id)
    }

    async fn frames(&mut self, appended: Result<Vec<Frame>>) -> Result<Outcome> {
        let frames = appended?;
        self.given.extend(frames.iter().cloned());
        Ok(Outcome::Frames(frames))
    }

    async fn perform(&mut self, operation: &Operation) -> Result<Outcome> {
        let stream = self.stream.clone();
        Ok(match operation.clone() {
            Operation::Append(frame, content) => {
                let frame = stream.append(frame, content).await;
                return self.frames(frame.map(|frame| vec![frame])).await;
            }
            Operation::AppendAll(frames) => {
                let frames = stream.append_all(frames).await;
                return self.frames(frames).await;
            }
            Operation::AppendIf(frame, right) => {
                let last = stream.last(frame.topic.clone()).await?;
                let expect = match (last, right) {
                    (None, true) | (Some(_), false) => Expect::Empty,
                    (Some(last), true) => Expect::Last(last.id),
                    (None, false) => Expect::Last(FrameId::MIN),
                };
                let frame = stream.append_with(frame, (), expect).await;
                return self.frames(frame.map(|frame| vec![frame])).await;
            }
            Operation::Remove(number) => {
                stream.remove(self.id(number)).await?;
                Outcome::Nothing
            }
            Operation::Import(number, by, frame) => {
                let frame = match (by, self.frame(number)) {
                    // The same again.
                    (0, Some(same)) => same.clone(),
                    _ => frame.with_id(FrameId::from_u128(
                        self.id(number).to_u128().wrapping_add_signed(i128::from(by) << 33 | 1),
                    )),
                };
                stream.import(vec![frame.clone()]).await?;
                self.given.push(frame);
                Outcome::Nothing
            }
            Operation::Put(content) => Outcome::Bytes(stream.put(content).await?.map(|hash| hash.to_hex().into())),
            Operation::Advance(ms) => {
                self.clock.advance(ms);
                Outcome::Nothing
            }
            Operation::Reopen => {
                stream.close().await?;
                self.stream = self.pair.open_at(self.place, &self.clock).await;
                Outcome::Nothing
            }
            Operation::Read { filter, after, limit, last } => {
                let mut options = ReadOptions::default().filter(filter.parse::<xs_core::Filter>()?);
                if let Some(after) = after {
                    options = options.after(self.id(after));
                }
                if let Some(limit) = limit {
                    options = options.limit(limit);
                }
                if let Some(last) = last {
                    options = options.last(last);
                }
                Outcome::Frames(stream.read(options).try_collect().await?)
            }
            Operation::Get(number) => Outcome::Frames(stream.get(self.id(number)).await?.into_iter().collect()),
            Operation::Content(number) => match self.frame(number).and_then(|frame| frame.hash) {
                Some(hash) => Outcome::Bytes(Some(stream.content(hash, ByteRange::FULL).await?.bytes().await?)),
                None => Outcome::Bytes(None),
            },
            Operation::Topics(prefix, limit) => {
                let tails = stream.topics(TopicPage { prefix: prefix.to_owned(), after: None, limit }).await?;
                Outcome::Topics(tails.into_iter().map(|tail| (tail.topic.to_string(), tail.last.id)).collect())
            }
        })
    }

    async fn outcome(&mut self, operation: &Operation) -> Outcome {
        self.perform(operation).await.unwrap_or_else(|error| Outcome::Refused(error.kind()))
    }
}

async fn E_any_sequence_of_operations_does_what_the_model_does(pair: &Pair, dir: &Path) {
    let sequences = || prop::collection::vec(operations(), 1..OPERATIONS);
    let (pair, dir) = (pair.clone(), dir.to_owned());
    let cases = if pair.in_process() { model::cases() } else { model::cases().min(TRANSPORT_CASES) };
    model::check(cases, sequences, move |number, operations| {
        let (pair, place) = (pair.clone(), dir.join(number.to_string()));
        async move { agree(&pair, &place, &operations).await }
    })
    .await;
}

async fn agree(pair: &Pair, place: &Path, operations: &[Operation]) {
    let reference = Pair { store: StoreSubject::memory(), cas: CasSubject::memory(), transport: Transport::InProcess };
    let (mut model, mut side) = (Side::open(&reference, place).await, Side::open(pair, place).await);
    for (step, operation) in operations.iter().enumerate() {
        let expected = model.outcome(operation).await;
        assert_eq!(side.outcome(operation).await, expected, "step {step}: {operation:?}");
    }
    for filter in ["*", "a.*", "a.b", "b.*"] {
        let read = Operation::Read { filter, after: None, limit: None, last: None };
        assert_eq!(side.outcome(&read).await, model.outcome(&read).await, "at the end: {filter}");
    }
    side.stream.close().await.unwrap();
}
