//! The page: HTML with its styles and pictures in it.

use super::record::{Entry, Output};
use crate::charts::{escape, printable};
use pulldown_cmark::{Options, Parser, html};

/// A page and how many pictures are on it.
pub(super) struct Page {
    pub html: String,
    pub pictures: usize,
}

const STYLE: &str = "\
body{font:15px/1.55 system-ui,'DejaVu Sans',Verdana,sans-serif;color:#222;background:#fff;max-width:960px;margin:2em auto;padding:0 1.2em}\
h1,h2,h3{line-height:1.25}\
pre{font:13px/1.45 'DejaVu Sans Mono',Menlo,Consolas,monospace;overflow-x:auto;margin:.5em 0;padding:.6em .8em;white-space:pre}\
pre.code{background:#f5f6f8;border-left:3px solid #47a}\
pre.out{padding:.2em .8em}\
pre.err{background:#fdf1f1;border-left:3px solid #e67}\
svg,img{max-width:100%;height:auto}\
table{border-collapse:collapse;margin:.8em 0}\
td,th{padding:.25em .8em;border-bottom:1px solid #e2e2e2}\
.value{overflow-x:auto;margin:.6em 0}\
.math{font-style:italic}\
footer{color:#666;font-size:13px;border-top:1px solid #e2e2e2;margin-top:3em;padding-top:.6em}\
@media print{pre{white-space:pre-wrap}.value,pre.code{break-inside:avoid}}";

/// The page of `entries`, called `title`.
pub(super) fn write(title: &str, entries: &[Entry]) -> Page {
    let title = escape(&printable(title));
    let mut page = Page {
        html: format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        ),
        pictures: 0,
    };
    for entry in entries {
        page.code(&entry.code);
        for output in &entry.outputs {
            page.output(output);
        }
    }
    let date = time::OffsetDateTime::now_utc().date();
    page.html += &format!(
        "<footer>vitrepl {}, {date}</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

impl Page {
    /// Code, and the comments at its head as text.
    fn code(&mut self, code: &str) {
        let mut rest = code.trim_start_matches('\n');
        while let Some((text, behind)) = leading_comment(rest) {
            self.markdown(&text);
            rest = behind;
        }
        let rest = rest.trim_end();
        if !rest.is_empty() {
            self.block("code", rest);
        }
    }

    fn markdown(&mut self, text: &str) {
        let options = Options::ENABLE_TABLES | Options::ENABLE_MATH | Options::ENABLE_STRIKETHROUGH;
        html::push_html(&mut self.html, Parser::new_ext(text, options));
    }

    fn block(&mut self, class: &str, text: &str) {
        self.html += &format!("<pre class=\"{class}\">{}</pre>\n", escape(&plain(text)));
    }

    fn output(&mut self, output: &Output) {
        match output {
            Output::Out(text) => self.block("out", text.trim_end()),
            Output::Err(text) => self.block("err", text.trim_end()),
            Output::Value(forms) => self.value(forms),
        }
    }

    /// The richest form of a value that a page can hold.
    fn value(&mut self, forms: &[(String, String)]) {
        let form = |wanted: &str| {
            let found = forms.iter().find(|(mime, _)| mime == wanted);
            found.map(|(_, data)| data.trim())
        };
        // An SVG comes before HTML: the library's HTML of a picture holds the same SVG, and a PNG that is not needed here.
        let picture = form("image/svg+xml").map(str::to_owned).or_else(|| {
            let raster = ["image/png", "image/jpeg", "image/gif"];
            raster.iter().find_map(|mime| {
                let data: String = form(mime)?.split_whitespace().collect();
                Some(format!(
                    "<img alt=\"\" src=\"data:{mime};base64,{}\">",
                    escape(&data)
                ))
            })
        });
        if let Some(picture) = picture {
            self.pictures += 1;
            self.html += &format!("<div class=\"value\">{picture}</div>\n");
        } else if let Some(html) = form("text/html") {
            self.html += &format!("<div class=\"value\">{html}</div>\n");
        } else if let Some(text) = form("text/markdown") {
            self.markdown(text);
        } else if let Some(text) = form("text/plain") {
            self.block("out", text);
        }
    }
}

/// Text without a terminal's colours and other control characters; lines and tabs stay. What overwrote a line stands alone.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                // A sequence: `[`, parameters, and a letter that ends it.
                if rest.next_if_eq(&'[').is_some() {
                    while rest.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                    rest.next();
                }
            }
            '\r' if rest.peek() != Some(&'\n') => {
                let start = out.rfind('\n').map_or(0, |at| at + 1);
                out.truncate(start);
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The text of the comment lines that `code` begins with, up to an empty line, and what is behind them. `///` and `//!`
/// document the code below and belong to it.
fn leading_comment(code: &str) -> Option<(String, &str)> {
    let code = code.trim_start_matches('\n');
    let mut text = Vec::new();
    let mut rest = code;
    for line in code.split_inclusive('\n') {
        let Some(comment) = line
            .strip_prefix("//")
            .filter(|rest| !rest.starts_with(['/', '!']))
        else {
            break;
        };
        text.push(comment.strip_prefix(' ').unwrap_or(comment).trim_end());
        rest = &rest[line.len()..];
    }
    (!text.is_empty()).then(|| (text.join("\n"), rest.trim_start_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(entries: &[Entry]) -> String {
        write("run & <more>", entries).html
    }

    #[test]
    fn code_texts_and_outputs_stand_in_order_and_escaped() {
        let entry = Entry {
            code: "// # Title\n// of *two* words, $a < b$.\n\nlet a = \"<b>\"; // kept\n"
                .to_owned(),
            outputs: vec![
                Output::Out("10%\r20%\n\u{1b}[31mred\u{1b}[0m <i>\n".to_owned()),
                Output::Err("bad & worse".to_owned()),
                Output::Value(vec![("text/plain".to_owned(), "<u>".to_owned())]),
            ],
        };
        let html = page(&[entry]);
        let parts = [
            "<title>run &amp; &lt;more&gt;</title>",
            "<h1>Title</h1>",
            "<em>two</em>",
            "a &lt; b",
            "<pre class=\"code\">let a = &quot;&lt;b&gt;&quot;; // kept</pre>",
            "<pre class=\"out\">20%\nred &lt;i&gt;</pre>",
            "<pre class=\"err\">bad &amp; worse</pre>",
            "<pre class=\"out\">&lt;u&gt;</pre>",
        ];
        let mut from = 0;
        for part in parts {
            let at = html[from..]
                .find(part)
                .unwrap_or_else(|| panic!("{part} is not behind {from} in {html}"));
            from += at + part.len();
        }
    }

    #[test]
    fn a_picture_is_taken_once_in_its_richest_form() {
        let forms = |forms: &[(&str, &str)]| {
            let forms = forms
                .iter()
                .map(|(mime, data)| (mime.to_string(), data.to_string()));
            Entry {
                code: String::new(),
                outputs: vec![Output::Value(forms.collect())],
            }
        };
        let all = [
            ("text/html", "<div>H</div>"),
            ("image/svg+xml", "<svg/>"),
            ("image/png", "UE5H"),
            ("text/plain", "T"),
        ];
        let html = page(&[forms(&all)]);
        assert!(html.contains("<svg/>") && !html.contains("UE5H") && !html.contains(">H<"));
        let html = page(&[forms(&all[2..])]);
        assert!(html.contains("src=\"data:image/png;base64,UE5H\""));
        let html = page(&[forms(&[all[0], all[3]])]);
        assert!(html.contains("<div>H</div>") && !html.contains(">T<"));
    }
}
