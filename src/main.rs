//! The `scale-metrics` program: parse arguments, call the library, turn an error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scale_metrics::commands::run(std::env::args_os())
}
