//! ferry: the admin CLI.
//!
//! Standard output is data, standard error is talk. Exit codes: 0 done, 1 it failed at run time, 2 the caller's fault,
//! 3 the environment (nobody at the server's address).

pub mod args;
mod caller;
mod client;
mod commands;
mod documents;
pub mod failure;
mod output;
mod single;

use args::Arguments;
use output::Output;
use std::io::Write;

/// Runs one command; gives the exit code. `colours`: standard output is a terminal that shows them.
pub async fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write, colours: bool) -> u8 {
    let output = Output::new(arguments.output, out, colours);
    match commands::run(&arguments, output).await {
        Ok(()) => 0,
        Err(failure) => {
            // Nobody is left to be told if standard error is gone too.
            let _ = failure.write(err);
            failure.kind.exit_code()
        }
    }
}

#[cfg(test)]
mod tests;
