//! [`vitrepl_prelude::programs::train`] as a program of its own.

fn main() -> vitrepl_prelude::Result<std::process::ExitCode> {
    vitrepl_prelude::programs::train()
}
