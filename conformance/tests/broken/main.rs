//! Whether the suite notices: stores and content stores that are broken on purpose, at least one
//! for each guarantee, each of which the suite must fail at the guarantee that it breaks.
//!
//! Every one is a thin layer over a sound part, so each also has a control: the same layer with
//! nothing broken passes the same cases. `--nocapture` tells which case caught what.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod cas;
mod flaw;
mod open;
mod plain;
mod store;
mod table;

use libtest_mimic::{Arguments, Trial};
use xs_conformance::Suite;

fn main() {
    let entries = table::entries();
    // A case that needs a process of its own runs this binary again, and names its subject.
    let mut every = Suite::new();
    entries.iter().for_each(|entry| entry.add_to(&mut every));
    every.serve_child();
    // Cases over broken parts panic by the dozen. What they say comes back as an outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments = Arguments::from_args();
    let tells = arguments.nocapture;
    let trial = |entry: table::Entry| {
        Trial::test(entry.name.clone(), move || {
            let caught = entry.check()?;
            if tells {
                println!("{}: {caught}", entry.name);
            }
            Ok(())
        })
    };
    let trials = entries.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit()
}
