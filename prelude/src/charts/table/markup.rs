//! A table as text for papers and pages: Markdown, LaTeX.

use super::{Table, at};

impl Table {
    /// The table as Markdown (GitHub's), its title in bold above it. Columns of numbers are set to the right.
    pub fn markdown(&self) -> String {
        let cell = |text: &str| {
            text.replace('\\', "\\\\")
                .replace('|', "\\|")
                .replace(['\n', '\r'], " ")
        };
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let all = 0..self.width();
        let mut out = match self.title() {
            "" => String::new(),
            title => format!("**{}**\n\n", cell(title)),
        };
        out += &line(all.clone().map(|c| cell(self.column(c))).collect());
        let rule = |c| if self.is_number(c) { "---:" } else { "---" };
        out += &line(all.clone().map(|c| rule(c).to_owned()).collect());
        for row in self.rows() {
            out += &line(all.clone().map(|c| cell(at(row, c))).collect());
        }
        out
    }

    /// The table as LaTeX, for `\input`: a `tabular` with the rules of `booktabs`, in a `table` with the title as caption
    /// where there is one.
    pub fn latex(&self) -> String {
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let all = 0..self.width();
        let sides: String = all
            .clone()
            .map(|c| if self.is_number(c) { 'r' } else { 'l' })
            .collect();
        let mut body = format!("\\begin{{tabular}}{{{sides}}}\n\\toprule\n");
        if self.has_columns() {
            body += &line(all.clone().map(|c| latex(self.column(c))).collect());
            body += "\\midrule\n";
        }
        for row in self.rows() {
            body += &line(all.clone().map(|c| latex(at(row, c))).collect());
        }
        body += "\\bottomrule\n\\end{tabular}\n";
        let needs = "% needs \\usepackage{booktabs}\n";
        match self.title() {
            "" => format!("{needs}{body}"),
            title => format!(
                "{needs}\\begin{{table}}\n\\centering\n\\caption{{{}}}\n{body}\\end{{table}}\n",
                latex(title)
            ),
        }
    }
}

/// Text as LaTeX sets it.
fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' | '>' | '|' => out += &format!("${c}$"),
            '→' => out += "$\\to$",
            '−' => out += "$-$",
            '±' => out += "$\\pm$",
            '–' => out += "--",
            '…' => out += "\\ldots{}",
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
