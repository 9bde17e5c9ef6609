//! What hands type that have used IPython or a shell: the command that it stands for, or the one line that names what
//! does it here.

/// What a line that is no `:command` of ours stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// One of the `:commands`.
    Command(String),
    /// Rust after all, where the name is that of a variable that `?` or `!` can stand at.
    Rust,
    /// Nothing here; what does it.
    Hint(String),
    /// Nothing need be done; why.
    Needless(&'static str),
}

/// The meaning of a line that begins with `?`, `!` or `%`, or ends with `?`. `is_tried` says of a name whether it is a
/// variable that `?` takes a value out of, `is_known` whether it is one at all.
pub fn meaning(
    line: &str,
    is_tried: impl Fn(&str) -> bool,
    is_known: impl Fn(&str) -> bool,
) -> Meaning {
    let line = line.trim();
    if let Some(shell) = line.strip_prefix('!') {
        let word = shell.split_whitespace().next().unwrap_or_default();
        return if is_known(word) {
            Meaning::Rust
        } else {
            Meaning::Command(format!(":sh {shell}"))
        };
    }
    if !line.starts_with('%') && (line.starts_with('?') || line.ends_with('?')) {
        let name = line.trim_matches('?').trim();
        if line == format!("{name}?") && is_tried(name) {
            return Meaning::Rust;
        }
        let command = if name.contains('*') {
            ":find"
        } else if line.starts_with("??") || line.ends_with("??") {
            ":source"
        } else {
            ":doc"
        };
        return Meaning::Command(format!("{command} {name}"));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    percent(name.trim_start_matches('%'), rest.trim())
}

/// IPython's commands.
fn percent(name: &str, rest: &str) -> Meaning {
    let command = match name {
        "time" => ":time",
        "timeit" => ":timeit",
        "who" | "whos" | "who_ls" => ":vars",
        "hist" | "history" => ":history",
        "rerun" | "recall" | "rep" => ":rerun",
        "load" | "run" => ":load",
        "save" | "notebook" => ":save",
        "reset" => ":clear",
        "pdoc" | "pinfo" => ":doc",
        "psource" | "pinfo2" => ":source",
        "psearch" => ":find",
        "sx" | "system" | "bash" | "sh" => ":sh",
        "ls" => return Meaning::Command(format!(":sh ls {rest}").trim().to_owned()),
        "pwd" => return Meaning::Command(":sh pwd".to_owned()),
        "lsmagic" | "magic" | "quickref" => ":help",
        "pip" | "conda" => {
            return Meaning::Hint("crates are added by `:dep CRATE = \"VERSION\"`".to_owned());
        }
        "cd" => return Meaning::Hint(folder(rest)),
        "matplotlib" | "pylab" => {
            return Meaning::Needless("charts are shown as they are; nothing need be switched on");
        }
        "autoreload" | "load_ext" => {
            return Meaning::Hint(
                "`:reload` runs the script loaded last once more; `:watch FILE` runs it whenever it is saved"
                    .to_owned(),
            );
        }
        other => {
            return Meaning::Hint(format!(
                "there is no %{other} here; :help lists what there is"
            ));
        }
    };
    Meaning::Command(format!("{command} {rest}").trim().to_owned())
}

fn folder(name: &str) -> String {
    let name = if name.is_empty() { "FOLDER" } else { name };
    format!("`std::env::set_current_dir({name:?})?` changes the folder in which cells run")
}

/// What does here what a familiar word does elsewhere; `is_known` says whether a name has a meaning in the session.
pub fn hint(text: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    if text.contains('\n') {
        return None;
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (word, behind) = text.split_at(end);
    if is_known(word) {
        return None;
    }
    let argument = behind
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'));
    let is_alone = behind.is_empty() || argument.is_some_and(|inner| inner.trim().is_empty());
    let hint = match word {
        "help" if is_alone => ":help lists the commands, :doc ITEM explains one thing".to_owned(),
        "help" => {
            let of = argument.unwrap_or(behind).trim();
            format!(":doc {of} has the documentation")
        }
        "quit" | "exit" | "bye" | "q" if is_alone => ":quit leaves, and so does Ctrl-D".to_owned(),
        "who" | "whos" | "vars" | "dir" | "globals" | "locals" if is_alone => {
            ":vars lists the variables".to_owned()
        }
        "history" if is_alone => ":history shows what was entered".to_owned(),
        "clear" | "cls" if is_alone => {
            "Ctrl-L clears the screen; :clear forgets every variable, function and type".to_owned()
        }
        "cd" if !behind.starts_with('(') => folder(behind.trim()),
        "ls" | "pwd" | "cat" | "pip" | "git"
            if !behind.starts_with(['(', '.', ':', '!', ' ']) || is_command(behind) =>
        {
            format!("!{text} has the shell do it")
        }
        "print" if argument.is_some() => {
            format!(
                "an expression without `;` is displayed; println!(\"{{:?}}\", {}) prints it",
                argument.unwrap_or_default()
            )
        }
        "import" | "from" if behind.starts_with(' ') => {
            "`use` imports what a crate has; `:dep CRATE = \"VERSION\"` adds a crate".to_owned()
        }
        "def" if behind.starts_with(' ') => {
            "`fn name(x: f64) -> f64 { ... }` defines a function".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

/// Whether what stands behind a word makes it a line for the shell.
fn is_command(behind: &str) -> bool {
    behind
        .strip_prefix(' ')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || "-./~".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ipython_have_their_commands() {
        let meaning = |line| meaning(line, |name| name == "parsed", |name| name == "done");
        for (line, command) in [
            ("load?", ":doc load"),
            ("?load", ":doc load"),
            ("load??", ":source load"),
            ("?? c.head", ":source c.head"),
            ("*select*?", ":find *select*"),
            ("!ls -l", ":sh ls -l"),
            ("%time f()", ":time f()"),
            ("%timeit 1 + 1", ":timeit 1 + 1"),
            ("%time f()?", ":time f()?"),
            ("%who", ":vars"),
            ("%ls", ":sh ls"),
        ] {
            assert_eq!(
                meaning(line),
                Meaning::Command(command.to_owned()),
                "{line}"
            );
        }
        assert_eq!(meaning("parsed?"), Meaning::Rust);
        assert_eq!(meaning("!done"), Meaning::Rust);
        assert!(matches!(
            meaning("%matplotlib inline"),
            Meaning::Needless(_)
        ));
        assert!(
            matches!(meaning("%cd /tmp"), Meaning::Hint(hint) if hint.contains("set_current_dir(\"/tmp\")"))
        );
        assert!(matches!(meaning("%nonsense"), Meaning::Hint(hint) if hint.contains(":help")));
    }

    #[test]
    fn familiar_words_name_what_does_it_here() {
        let hint = |text| hint(text, |name| name == "vars");
        for (text, part) in [
            ("help", ":help"),
            ("help()", ":help"),
            ("help(load)", ":doc load"),
            ("quit", ":quit"),
            ("exit()", ":quit"),
            ("exit();", ":quit"),
            ("cd data", "set_current_dir(\"data\")"),
            ("ls", "!ls"),
            ("ls -l", "!ls -l"),
            ("pip install x", "!pip"),
            ("print(x)", "println!(\"{:?}\", x)"),
            ("import numpy", ":dep"),
        ] {
            let hint = hint(text).unwrap_or_else(|| panic!("nothing for {text}"));
            assert!(hint.contains(part), "{text}: {hint}");
        }
        for text in [
            "vars",
            "exit(1)",
            "helper",
            "ls.len()",
            "ls + 1",
            "x",
            "print!(\"a\")",
            "",
        ] {
            assert_eq!(hint(text), None, "{text}");
        }
    }
}
