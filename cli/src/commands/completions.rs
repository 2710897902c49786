//! `ferry completions SHELL`.

use crate::{args::Arguments, failure::Failure, output::Output};
use clap::CommandFactory as _;

pub(crate) fn run(shell: clap_complete::Shell, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ferry", &mut script);
    output.writer().write_all(&script)?;
    Ok(())
}
