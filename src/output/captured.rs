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
        let size = |forms: &[&(String, String)]| {
            let data: usize = forms.iter().map(|(_, data)| data.len()).sum();
            data + size_of::<Output>()
        };
        let mut forms: Vec<&(String, String)> = value.0.iter().collect();
        if size(&forms) > self.room[1] {
            drop_copies(&mut forms);
        }
        let size = size(&forms);
        if self.is_cut || size > self.room[1] {
            self.cut();
            return;
        }
        self.room[1] -= size;
        let forms = forms.into_iter().cloned().collect();
        self.outputs.push(Output::Value(forms));
    }

    fn cut(&mut self) {
        if !std::mem::replace(&mut self.is_cut, true) {
            let text = "... (there was more, which is not kept)\n";
            self.outputs.push(Output::Err(text.to_owned()));
        }
    }
}

/// Leaves out the forms in which a picture is carried once more: PNG is what notebooks keep.
fn drop_copies(forms: &mut Vec<&(String, String)>) {
    if forms.iter().any(|(kind, _)| kind == "image/png") {
        forms.retain(|(kind, _)| !["image/svg+xml", "text/html"].contains(&kind.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_picture_that_is_too_large_the_png_is_kept() {
        let form = |kind: &str, size| (kind.to_owned(), "x".repeat(size));
        // As values have them: by type.
        let forms = vec![
            form("image/png", 400),
            form("image/svg+xml", 400),
            form("text/html", 800),
            form("text/plain", 10),
        ];
        let smaller = vec![forms[0].clone(), forms[3].clone()];
        let mut captured = Captured::new(1000, 1000);
        captured.value(&Value::new(forms.clone()));
        assert_eq!(captured.outputs, [Output::Value(smaller)]);
        let mut captured = Captured::new(1000, 10_000);
        captured.value(&Value::new(forms.clone()));
        assert_eq!(captured.outputs, [Output::Value(forms)]);
    }

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
