//! E1 to E12: what every event stream does, whatever it is made of.

mod live;
mod model;
mod retention;
mod write;

use crate::suite::Case;
use crate::tools::Pair;

pub(crate) fn cases() -> impl Iterator<Item = &'static Case<Pair>> {
    write::CASES.iter().chain(live::CASES).chain(retention::CASES).chain(model::CASES)
}
