//! The live view of topics: what it knows (`model`), what it counts (`rate`), what it shows (`draw`) and
//! what it is told (`input`).

pub(crate) mod draw;
pub(crate) mod input;
pub(crate) mod model;
mod rate;
