//! One screen of facts about a value: a line that says what it is, then rows of a name and what there is to say, in
//! lines of at most [`WIDEST`] characters. Each type puts its own together; this is the common form.

use candle_core::{Device, DeviceLocation, Tensor};
use std::fmt;

/// Characters of a line.
pub(crate) const WIDEST: usize = 150;

/// Characters of a bar.
const BAR: usize = 18;

/// Facts as they are put together.
pub(crate) struct Facts {
    title: String,
    rows: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Facts {
    /// About a value that `title` names.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// With a row: `images    generated seed 1, 1000 images`.
    pub fn row(mut self, name: impl Into<String>, what: impl fmt::Display) -> Self {
        self.rows.push((name.into(), what.to_string()));
        self
    }

    /// With a row where there is something to say.
    pub fn maybe(self, name: &str, what: Option<impl fmt::Display>) -> Self {
        match what {
            Some(what) => self.row(name, what),
            None => self,
        }
    }

    /// With lines below the rows, such as a chart in characters.
    pub fn lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.lines.extend(lines);
        self
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(&self.title))?;
        let width = self.rows.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0);
        for (name, what) in &self.rows {
            let pad = " ".repeat(width - name.chars().count());
            write!(f, "\n{}", cut(&format!("  {name}{pad}  {what}")))?;
        }
        for line in &self.lines {
            write!(f, "\n{}", cut(&format!("  {line}")))?;
        }
        Ok(())
    }
}

/// The first line of a text, shortened to [`WIDEST`] characters.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() > WIDEST {
        false => line.trim_end().to_string(),
        true => line.chars().take(WIDEST - 1).chain(['…']).collect(),
    }
}

/// A text in lines of at most `width` characters, broken at spaces.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut open = String::new();
        for word in line.split(' ') {
            let longer = open.chars().count() + 1 + word.chars().count();
            if !open.is_empty() && longer > width {
                lines.push(std::mem::take(&mut open));
            } else if !open.is_empty() {
                open.push(' ');
            }
            open.push_str(word);
        }
        lines.push(open);
    }
    lines.join("\n")
}

/// The first of `items`, as many as fit in `room` characters, and how many more there are.
pub(crate) fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>, room: usize) -> String {
    let items: Vec<S> = items.into_iter().collect();
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        let item = item.as_ref();
        let longer = out.chars().count() + item.chars().count() + 2;
        if i > 0 && longer > room {
            return format!("{out} and {} more", items.len() - i);
        }
        if i > 0 {
            out += ", ";
        }
        out += item;
    }
    out
}

/// `value` as a bar of `most`, in eighths of a character; below 0 it is shaded.
pub(crate) fn bar(value: f64, most: f64) -> String {
    let share = if most > 0.0 { value / most } else { 0.0 };
    if !share.is_finite() {
        return String::new();
    }
    if share < 0.0 {
        return "░".repeat((share.max(-1.0) * -(BAR as f64)).round() as usize);
    }
    let eighths = (share.min(1.0) * 8.0 * BAR as f64).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

/// A bar padded to its full width, and the value behind it.
pub(crate) fn bar_of(value: f64, most: f64) -> String {
    let bar = bar(value, most);
    let pad = " ".repeat(BAR.saturating_sub(bar.chars().count()));
    format!("{bar}{pad} {:<8}", number(value))
}

/// One line for each label, its value as a bar.
pub(crate) fn bars(values: &[(String, f64)]) -> Vec<String> {
    let width = values.iter().map(|(label, _)| label.chars().count());
    let width = width.max().unwrap_or(0);
    let most = values.iter().fold(0.0, |most: f64, v| most.max(v.1.abs()));
    let line = |(label, value): &(String, f64)| {
        let pad = " ".repeat(width - label.chars().count());
        format!("{label}{pad}  {}", bar_of(*value, most))
    };
    values.iter().map(line).collect()
}

/// A number with three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || !value.is_finite() => value.to_string(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `count` of a thing by its name: `1 image`, `3 images`.
pub(crate) fn count(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Bytes for a person.
pub(crate) fn size(bytes: usize) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} kB", b / 1e3),
    }
}

/// Bytes that a tensor's values take.
pub(crate) fn bytes(t: &Tensor) -> usize {
    t.elem_count() * t.dtype().size_in_bytes()
}

/// Shape, type, bytes and place of a tensor: `43 x 1000 x 96, f32, 16.5 MB on cpu`.
pub(crate) fn tensor(t: &Tensor) -> String {
    held(t, bytes(t))
}

/// [`tensor`] of a value that holds `bytes` with it.
pub(crate) fn held(t: &Tensor, bytes: usize) -> String {
    let dims: Vec<String> = t.dims().iter().map(usize::to_string).collect();
    format!(
        "{}, {}, {} on {}",
        dims.join(" x "),
        t.dtype().as_str(),
        size(bytes),
        place(t.device())
    )
}

/// A device by name: `cpu`, `cuda:0`.
pub(crate) fn place(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_string(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// The text of `Display`: a prompt shows `Debug`, and the numbers themselves are a page long.
macro_rules! debug_as_display {
    ($($name:ty),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )*};
}
pub(crate) use debug_as_display;

/// `Display` and `Debug` of a type by the facts about a value of it.
macro_rules! shows {
    ($name:ty, |$value:ident| $facts:expr) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $value = self;
                write!(f, "{}", $facts)
            }
        }

        $crate::facts::debug_as_display!($name);
    };
}
pub(crate) use shows;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_and_aligned() {
        let shown = Facts::new("x".repeat(400))
            .row("images", "y".repeat(400))
            .row("of", "a\nb")
            .lines(bars(&[("init".into(), 2.0), ("block 0".into(), -1.0)]));
        let shown = shown.to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= WIDEST));
        assert!(shown.contains("\n  of      a\n"), "{shown}");
        assert!(
            shown.contains("init     ██████████████████ 2.00"),
            "{shown}"
        );
        assert!(shown.contains("block 0  ░░░░░░░░░ "), "{shown}");
    }

    #[test]
    fn lists_end_with_what_is_left() {
        assert_eq!(list(["a", "b"], 10), "a, b");
        assert_eq!(
            list(["aaaa", "bbbb", "cccc", "dddd"], 10),
            "aaaa, bbbb and 2 more"
        );
        assert_eq!(list(Vec::<String>::new(), 10), "");
    }
}
