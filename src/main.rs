//! The `scale-metrics` program: parse arguments, call the library, turn an error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scale_metrics::cli::run(std::env::args_os())
}
