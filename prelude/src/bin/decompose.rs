//! [`vitrepl_prelude::programs::decompose`] as a program of its own.

fn main() -> std::process::ExitCode {
    vitrepl_prelude::programs::decompose()
}
