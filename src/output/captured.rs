//! What a cell has put out, kept for `:save` up to a size.

use super::front::Stream;
use super::value::Value;

/// More text than this (in bytes) of one cell is not kept for `:save`.
pub const MOST_TEXT: usize = 1 << 20;

/// More of displayed values than this (in bytes) of one cell is not kept for `:save`.
pub const MOST_VALUES: usize = 1 << 25;

/// One thing that a cell has put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out(String),
    /// Standard error.
    Err(String),
    /// A displayed value: data by MIME type, as evcxr carries it (pictures in base64).
    Value(Vec<(String, String)>),
}

impl Output {
    /// Bytes of what it says.
    pub fn size(&self) -> usize {
        match self {
            Output::Out(text) | Output::Err(text) => text.len(),
            Output::Value(forms) => forms.iter().map(|(_, data)| data.len()).sum(),
        }
    }
}

/// What a cell has put out, up to a size.
pub struct Captured {
    pub outputs: Vec<Output>,
    /// Bytes of text, and of values, for which there still is room.
    room: [usize; 2],
    is_cut: bool,
}

impl Captured {
    pub const fn new(text: usize, values: usize) -> Self {
        Captured {
            outputs: Vec::new(),
            room: [text, values],
            is_cut: false,
        }
    }

    /// Adds text to what was captured last if it is of the same stream.
    pub fn text(&mut self, stream: Stream, text: &str) {
        // Each output, however short, takes room of its own.
        let mut size = text.len();
        let last = match (self.outputs.last_mut(), stream) {
            (Some(Output::Out(last)), Stream::Out) | (Some(Output::Err(last)), Stream::Err) => {
                Some(last)
            }
            _ => {
                size += size_of::<Output>();
                None
            }
        };
        if self.is_cut || size > self.room[0] {
            self.cut();
            return;
        }
        self.room[0] -= size;
        match (last, stream) {
            (Some(last), _) => last.push_str(text),
            (None, Stream::Out) => self.outputs.push(Output::Out(text.to_owned())),
            (None, Stream::Err) => self.outputs.push(Output::Err(text.to_owned())),
        }
    }

    pub fn value(&mut self, value: &Value) {
        let output = Output::Value(value.0.clone());
        let size = output.size() + size_of::<Output>();
        if self.is_cut || size > self.room[1] {
            self.cut();
            return;
        }
        self.room[1] -= size;
        self.outputs.push(output);
    }

    fn cut(&mut self) {
        if !std::mem::replace(&mut self.is_cut, true) {
            let text = "... (there was more, which is not kept)\n";
            self.outputs.push(Output::Err(text.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cell_puts_out_is_kept_up_to_a_size() {
        let mut captured = Captured::new(1000, 1000);
        captured.text(Stream::Out, "a");
        captured.text(Stream::Out, "b\n");
        let value = Value::new(vec![("text/plain".to_owned(), "x".repeat(400))]);
        captured.value(&value);
        assert_eq!(captured.outputs[0], Output::Out("ab\n".to_owned()));
        for _ in 0..100 {
            captured.text(Stream::Out, "o");
            captured.text(Stream::Err, "e");
            captured.value(&value);
        }
        let size: usize = captured.outputs.iter().map(Output::size).sum();
        assert!(size < 2000, "{size}");
        let last = captured.outputs.last().unwrap();
        assert!(matches!(last, Output::Err(text) if text.contains("not kept")));
    }
}
