//! What came of a cell, as notebooks and the kernel's messages carry it.

use super::lines;
use crate::output::Output;
use serde_json::{Map, Value, json};

/// An output of a cell of a notebook; `count` is the cell's number.
pub fn json(output: &Output, count: u32) -> Value {
    match output {
        Output::Out(text) => {
            json!({"output_type": "stream", "name": "stdout", "text": lines(text)})
        }
        Output::Err(text) => {
            json!({"output_type": "stream", "name": "stderr", "text": lines(text)})
        }
        Output::Value(forms) => {
            let png = forms.iter().any(|(kind, _)| kind == "image/png");
            let mut data = bundle(
                forms
                    .iter()
                    .map(|(kind, data)| (kind.as_str(), data.as_str())),
            );
            if png {
                // The same picture once more; a file need not carry all three, and a site that shows notebooks may clean
                // HTML of pictures, but not PNG.
                data.remove("image/svg+xml");
                data.remove("text/html");
            }
            json!({
                "output_type": "execute_result", "execution_count": count,
                "data": data, "metadata": {},
            })
        }
    }
}

/// Data by MIME type: text as it is, pictures in base64 without line ends, JSON as JSON.
pub fn bundle<'a>(forms: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let value = |kind: &str, data: &str| {
        if kind.starts_with("image/") && kind != "image/svg+xml" {
            return Value::String(data.split_whitespace().collect());
        }
        if kind.ends_with("json")
            && let Ok(value) = serde_json::from_str(data)
        {
            return value;
        }
        Value::String(data.to_owned())
    };
    forms
        .map(|(kind, data)| (kind.to_owned(), value(kind, data)))
        .collect()
}
