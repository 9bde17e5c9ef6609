//! A long session under a real Jupyter client, with interrupts, panics, crashes, odd bytes and definitions anew at random.
//!
//! `VITREPL_SOAK_SEED` names another seed than the usual one and `VITREPL_SOAK_CELLS` another number of cells. It needs
//! Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time; what it installs
//! lies in the target folder.

mod desk;
mod python;

use desk::Desk;
use std::path::Path;

#[test]
fn a_long_session_keeps_its_variables_and_every_output_with_its_cell() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.log");
    python::jupyter(&Desk::new(&[]), "soak.py", &[log.to_str().unwrap()]);
}
