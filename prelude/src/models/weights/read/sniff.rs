//! What a file is that holds no weights: told by its first bytes.

use super::{Remedy, not_weights};
use crate::Error;
use std::path::Path;

/// Enough of a file's start to know it by.
pub(super) const ENOUGH: usize = 4096;

/// Kinds of files that people take for weights: the first bytes, at which position, what it is, and what to do.
const MAGIC: &[(usize, &[u8], &str, &str)] = &[
    (
        0,
        b"\x1f\x8b",
        "a gzip archive",
        "unpack it (gunzip, or tar -xzf) and load what is in it",
    ),
    (
        0,
        b"BZh",
        "a bzip2 archive",
        "unpack it (bunzip2) and load what is in it",
    ),
    (
        0,
        b"\xfd7zXZ\0",
        "an xz archive",
        "unpack it (unxz) and load what is in it",
    ),
    (
        0,
        b"\x28\xb5\x2f\xfd",
        "a zstd archive",
        "unpack it (unzstd) and load what is in it",
    ),
    (
        0,
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        "unpack it and load what is in it",
    ),
    (
        0,
        b"Rar!",
        "a rar archive",
        "unpack it and load what is in it",
    ),
    (
        257,
        b"ustar",
        "a tar archive",
        "unpack it (tar -xf) and load what is in it",
    ),
    (
        0,
        b"\x89HDF\r\n",
        "an HDF5 file (Keras, TensorFlow)",
        "take the PyTorch or safetensors file of the model",
    ),
    (
        4,
        b"TFL3",
        "a TFLite model",
        "take the PyTorch or safetensors file of the model",
    ),
    (
        0,
        b"GGUF",
        "a GGUF file of llama.cpp",
        "take the PyTorch or safetensors file of the model",
    ),
    (
        0,
        b"\x93NUMPY",
        "a NumPy array, without names",
        "save the weights by name: a state dict",
    ),
    (
        0,
        b"\x89PNG",
        "a PNG picture",
        "give the path of the weights",
    ),
    (
        0,
        b"\xff\xd8\xff",
        "a JPEG picture",
        "give the path of the weights",
    ),
    (0, b"%PDF", "a PDF document", "give the path of the weights"),
];

/// What the file at `path` is, with a remedy, where its first bytes, `start`, are those of no weights.
pub(super) fn other(path: &Path, start: &[u8], length: u64) -> Option<Error> {
    let is = |what: &str, remedy: &str| Some(not_weights(path, what, remedy));
    if length == 0 {
        return is(
            "an empty file, not a whole safetensors file or PyTorch's",
            "the download or copy did not end: fetch it again",
        );
    }
    if start.starts_with(b"version https://git-lfs") {
        let text = String::from_utf8_lossy(start);
        let size = text.lines().find_map(|line| line.strip_prefix("size "));
        let wanted = size.map_or(String::new(), |size| format!(" ({size} bytes)"));
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).display();
        return is(
            &format!(
                "a git LFS pointer: the repository was cloned without its large files, and this is not the file{wanted} but where it is"
            ),
            &format!("git lfs install && git -C \"{folder}\" lfs pull"),
        );
    }
    for (at, magic, what, remedy) in MAGIC {
        if start.get(*at..).is_some_and(|rest| rest.starts_with(magic)) {
            return is(what, remedy);
        }
    }
    if all_zero(start) {
        return is(
            "not a whole safetensors file: it begins with zeros",
            "the download or copy did not end: fetch it again",
        );
    }
    // A pickle of protocol 2 to 5 that is no file of PyTorch's.
    if let [0x80, 2..=5, ..] = start {
        return is(
            "a pickle that torch.save did not write (pickle.dump, joblib)",
            &format!(
                "in Python: import pickle, torch; torch.save(pickle.load(open(\"{}\", \"rb\")), \"{}\")",
                path.display(),
                Remedy::beside(path, "state.pth")
            ),
        );
    }
    text(path, start)
}

fn all_zero(start: &[u8]) -> bool {
    start.len() >= 16 && start.iter().all(|byte| *byte == 0)
}

/// Pages and messages that a server sent in place of the file.
fn text(path: &Path, start: &[u8]) -> Option<Error> {
    let end = match std::str::from_utf8(start) {
        Ok(_) => start.len(),
        // The last letter may be cut.
        Err(e) if start.len() - e.valid_up_to() < 4 => e.valid_up_to(),
        Err(_) => return None,
    };
    let text = String::from_utf8_lossy(&start[..end]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_lowercase();
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().take(80).collect();
    let again = "fetch it again, from the address of the file itself: on the hub .../resolve/main/FILE in place of .../blob/main/FILE (curl -L -o FILE ADDRESS), with a token where the repository asks for one";
    let (what, remedy) = if lower.starts_with("<!doctype html")
        || lower.starts_with("<html")
        || lower.contains("<head")
    {
        (
            format!("a web page (HTML) and not the weights: {line}"),
            again,
        )
    } else if text.starts_with("<?xml") || text.starts_with('<') {
        (
            format!("a message (XML) of the server and not the weights: {line}"),
            again,
        )
    } else if text.starts_with('{') || text.starts_with('[') {
        let configuration = [
            "\"architecture\"",
            "\"model_type\"",
            "\"model_cfg\"",
            "\"architectures\"",
        ];
        match configuration.iter().any(|field| text.contains(field)) {
            true => (
                format!("a configuration (JSON) and not the weights: {line}"),
                "load the folder it is in, with the weights beside it",
            ),
            false => (format!("a text (JSON) and not the weights: {line}"), again),
        }
    } else {
        return None;
    };
    Some(not_weights(path, &what, remedy))
}
