//! `xs man`: the manual, from the same description as the help.

use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Write every page into this directory, making it where there is none
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: Man) -> Result<()> {
    let Some(dir) = args.dir else {
        let mut page = Vec::new();
        Page::new(Args::command()).render(&mut page).map_err(|error| Failure::io("writing the manual", &error))?;
        return output::print(&page);
    };
    std::fs::create_dir_all(&dir)
        .and_then(|()| clap_mangen::generate_to(Args::command(), &dir))
        .map_err(|error| Failure::io(&format!("writing the manual into {}", dir.display()), &error))
}
