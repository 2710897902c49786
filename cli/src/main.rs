//! The `ferry` program: reads its arguments, runs one command, exits with its code.

use clap::Parser as _;
use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = cli::args::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::from(cli::failure::Kind::Environment.exit_code());
        }
    };
    // See no-color.org.
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let code = runtime.block_on(cli::run(arguments, &mut io::stdout(), &mut io::stderr(), colours));
    // A thread that hangs in a plugin (standalone mode) does not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ExitCode::from(code)
}
