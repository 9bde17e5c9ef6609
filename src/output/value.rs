//! A displayed value in all its forms.

/// A displayed value: its forms, by MIME type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub(super) Vec<(String, String)>);

impl Value {
    pub fn new(mut forms: Vec<(String, String)>) -> Self {
        forms.sort();
        Value(forms)
    }

    pub fn get(&self, mime: &str) -> Option<&str> {
        let found = self.0.iter().find(|(kind, _)| kind == mime);
        found.map(|(_, data)| data.as_str())
    }

    /// MIME types and data.
    pub fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(kind, data)| (kind.as_str(), data.as_str()))
    }
}
