//! Text as people's programs save it.

use crate::{Error, Result};
use std::path::Path;

/// `bytes` as text without a byte order mark, or why they are none.
pub(super) fn utf8(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("UTF-16 text; save it as UTF-8");
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "no text (UTF-8)")?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Ok(text)
}

/// What Windows programs put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text in the file at `path`.
pub(super) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
    utf8(bytes).map_err(|what| Error::data(path.display().to_string(), format!("it is {what}")))
}
