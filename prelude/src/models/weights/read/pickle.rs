//! Python pickles read as data: what a pickle would call is written down, and nothing is run.
//!
//! All opcodes of the protocols 0 to 5 (CPython `pickletools.py`) are understood, because a checkpoint holds whatever
//! its author had at hand beside the weights: arguments, dates, numbers of NumPy, objects of classes that exist
//! nowhere else. Objects that are referred to twice are one node, so that a small file stays small in memory.

use std::collections::HashMap;

/// Where a value is among the nodes of its pickle.
pub(super) type Id = usize;

/// A value of a pickle.
#[derive(Debug)]
pub(super) enum Node {
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by module and name.
    Global(String, String),
    /// The result of calling a class or function.
    Object(Object),
    /// What the file keeps outside the pickle: PyTorch's storages.
    Persistent(Id),
    /// Nothing, a truth value, bytes, a set, or a number that is no integer: no tensor is made of these.
    Other,
}

/// What is known of an object without making it.
#[derive(Debug)]
pub(super) struct Object {
    pub callable: Id,
    pub arguments: Id,
    /// Entries that were set, where it is a kind of dictionary.
    pub items: Vec<(Id, Id)>,
    /// Its `__dict__`, or what it is restored from.
    pub state: Option<Id>,
}

/// Why bytes are no pickle.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes end in the middle of a value.
    Short,
    Wrong(String),
}

type Result<T> = std::result::Result<T, Fault>;

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Fault::Wrong(what.into()))
}

/// A pickle that was read to its end.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
    /// Bytes it took.
    pub length: usize,
}

impl Pickle {
    /// Read the pickle at the start of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            at: 0,
            nodes: vec![Node::Other],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        Ok(Self {
            root: machine.pop()?,
            nodes: machine.nodes,
            length: machine.at,
        })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The values of a tuple or list.
    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(values) | Node::List(values) => Some(values),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        match self.node(id) {
            Node::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }
}

/// The one node of all values that are [`Node::Other`].
const OTHER: Id = 0;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Stacks below the marks that are open, as in CPython.
    marks: Vec<Vec<Id>>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Fault::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Short)?;
        self.at = end;
        Ok(taken)
    }

    /// An unsigned number of `bytes` bytes.
    fn number(&mut self, bytes: usize) -> Result<u64> {
        let bytes = self.take(bytes)?.iter().rev();
        Ok(bytes.fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn size(&mut self, bytes: usize) -> Result<usize> {
        usize::try_from(self.number(bytes)?).map_err(|_| Fault::Short)
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(Fault::Short)?;
        self.at += end + 1;
        let line = String::from_utf8_lossy(&rest[..end]);
        Ok(line.trim_end_matches('\r').to_string())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node)
    }

    fn push_text(&mut self, bytes: &[u8]) {
        self.push(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn pop(&mut self) -> Result<Id> {
        let popped = self.stack.pop();
        popped.map_or_else(|| wrong("a value is missing on its stack"), Ok)
    }

    fn last(&self) -> Result<Id> {
        let last = self.stack.last().copied();
        last.map_or_else(|| wrong("a value is missing on its stack"), Ok)
    }

    /// All values above the last mark, which is taken away.
    fn marked(&mut self) -> Result<Vec<Id>> {
        let Some(below) = self.marks.pop() else {
            return wrong("a mark is missing on its stack");
        };
        Ok(std::mem::replace(&mut self.stack, below))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let Some(start) = self.stack.len().checked_sub(count) else {
            return wrong("a value is missing on its stack");
        };
        let values = self.stack.split_off(start);
        self.push(Node::Tuple(values));
        Ok(())
    }

    /// A little-endian integer in two's complement; one that does not fit is [`Node::Other`].
    fn push_long(&mut self, count: usize) -> Result<()> {
        let bytes = self.take(count)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let fill = if negative { 0xff } else { 0 };
        let mut value = [fill; 8];
        if bytes.iter().skip(8).any(|byte| *byte != fill) {
            self.stack.push(OTHER);
            return Ok(());
        }
        let kept = count.min(8);
        value[..kept].copy_from_slice(&bytes[..kept]);
        self.push(Node::Int(i64::from_le_bytes(value)));
        Ok(())
    }

    fn memoize(&mut self, key: u64) -> Result<()> {
        let last = self.last()?;
        self.memo.insert(key, last);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let Some(&id) = self.memo.get(&key) else {
            return wrong(format!("it refers to a value {key} that it does not have"));
        };
        self.stack.push(id);
        Ok(())
    }

    fn key_of_line(&mut self) -> Result<u64> {
        let line = self.line()?;
        line.parse()
            .or_else(|_| wrong(format!("\"{line}\" is no number of a value")))
    }

    /// Entries of the dictionary, or kind of dictionary, on top of the stack.
    fn set(&mut self, values: Vec<Id>) -> Result<()> {
        if !values.len().is_multiple_of(2) {
            return wrong("a key of a dictionary has no value");
        }
        let pairs = values.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let target = self.last()?;
        match &mut self.nodes[target] {
            Node::Dict(items) | Node::Object(Object { items, .. }) => items.extend(pairs),
            _ => return wrong("entries are set of what is no dictionary"),
        }
        Ok(())
    }

    fn append(&mut self, values: Vec<Id>) -> Result<()> {
        let target = self.last()?;
        match &mut self.nodes[target] {
            Node::List(list) => list.extend(values),
            // Objects that are kinds of lists or sets: no tensor by name is in one.
            Node::Object(_) | Node::Other => {}
            _ => return wrong("values are appended to what is no list"),
        }
        Ok(())
    }

    /// What a call gives. Dictionaries that remember their order or have a default are dictionaries.
    fn call(&mut self, callable: Id, arguments: Id) {
        let dictionary = match &self.nodes[callable] {
            Node::Global(module, name) => matches!(
                (module.as_str(), name.as_str()),
                ("collections", "OrderedDict" | "defaultdict" | "Counter")
                    | ("builtins" | "__builtin__", "dict")
            ),
            _ => false,
        };
        if dictionary {
            let items = self.pairs(arguments);
            return self.push(Node::Dict(items));
        }
        self.push(Node::Object(Object {
            callable,
            arguments,
            items: Vec::new(),
            state: None,
        }))
    }

    /// The entries of `OrderedDict([[key, value], ...])`, as Python 2 wrote them.
    fn pairs(&self, arguments: Id) -> Vec<(Id, Id)> {
        let of = |id: Id| match &self.nodes[id] {
            Node::Tuple(values) | Node::List(values) => values.as_slice(),
            _ => &[],
        };
        let lists = of(arguments).iter().flat_map(|id| of(*id));
        let pairs = lists.filter_map(|id| match of(*id) {
            &[key, value] => Some((key, value)),
            _ => None,
        });
        pairs.collect()
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.last()?;
        if let Node::Object(object) = &mut self.nodes[target] {
            object.state = Some(state)
        }
        Ok(())
    }

    /// One opcode; false at the end.
    fn step(&mut self) -> Result<bool> {
        let code = self.take(1)?[0];
        match code {
            // Protocol, frame.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return Ok(false),
            // Constants and numbers.
            b'N' | 0x88 | 0x89 => self.stack.push(OTHER),
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.push(Node::Int(value.into()))
            }
            0x8a => {
                let count = self.size(1)?;
                self.push_long(count)?
            }
            0x8b => {
                let count = self.size(4)?;
                self.push_long(count)?
            }
            b'I' | b'L' => {
                let line = self.line()?;
                match (line.as_str(), line.trim_end_matches('L').parse()) {
                    ("00" | "01", _) => self.stack.push(OTHER),
                    (_, Ok(value)) => self.push(Node::Int(value)),
                    _ => self.stack.push(OTHER),
                }
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(OTHER)
            }
            b'F' => {
                self.line()?;
                self.stack.push(OTHER)
            }
            // Text; bytes are only kept where Python 2 meant text.
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'U' => self.text(1)?,
            b'T' => self.text(4)?,
            b'V' => {
                let line = self.line()?;
                self.push(Node::Text(line))
            }
            b'S' => {
                let line = self.line()?;
                self.push(Node::Text(line.trim_matches(['\'', '"']).to_string()))
            }
            b'B' => self.skipped(4)?,
            b'C' => self.skipped(1)?,
            0x8e | 0x96 => self.skipped(8)?,
            0x97 => self.stack.push(OTHER),
            0x98 => {}
            // The stack.
            b'(' => self.marks.push(std::mem::take(&mut self.stack)),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let last = self.last()?;
                self.stack.push(last)
            }
            // Tuples, lists, dictionaries, sets.
            b')' => self.push(Node::Tuple(Vec::new())),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let values = self.marked()?;
                self.push(Node::Tuple(values))
            }
            b']' => self.push(Node::List(Vec::new())),
            b'l' => {
                let values = self.marked()?;
                self.push(Node::List(values))
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b'd' => {
                let values = self.marked()?;
                self.push(Node::Dict(Vec::new()));
                self.set(values)?
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?
            }
            b'e' => {
                let values = self.marked()?;
                self.append(values)?
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?
            }
            b'u' => {
                let values = self.marked()?;
                self.set(values)?
            }
            0x8f => self.stack.push(OTHER),
            0x90 => {
                let values = self.marked()?;
                self.append(values)?
            }
            0x91 => {
                self.marked()?;
                self.stack.push(OTHER)
            }
            // The memo.
            b'q' => {
                let key = self.number(1)?;
                self.memoize(key)?
            }
            b'r' => {
                let key = self.number(4)?;
                self.memoize(key)?
            }
            b'p' => {
                let key = self.key_of_line()?;
                self.memoize(key)?
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)?
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)?
            }
            b'g' => {
                let key = self.key_of_line()?;
                self.recall(key)?
            }
            // Classes, functions, objects.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    (Node::Text(module), Node::Text(name)) => {
                        let global = Node::Global(module.clone(), name.clone());
                        self.push(global)
                    }
                    _ => return wrong("a class has no name"),
                }
            }
            0x82 => self.extension(1)?,
            0x83 => self.extension(2)?,
            0x84 => self.extension(4)?,
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)
            }
            0x92 => {
                let (_, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, arguments)
            }
            b'i' => {
                let class = Node::Global(self.line()?, self.line()?);
                let values = self.marked()?;
                self.push(class);
                let class = self.pop()?;
                self.push(Node::Tuple(values));
                let arguments = self.pop()?;
                self.call(class, arguments)
            }
            b'o' => {
                let values = self.marked()?;
                let Some((&class, rest)) = values.split_first() else {
                    return wrong("an object has no class");
                };
                self.push(Node::Tuple(rest.to_vec()));
                let arguments = self.pop()?;
                self.call(class, arguments)
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            b'P' => {
                let line = self.line()?;
                self.push(Node::Text(line));
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            other => return wrong(format!("no opcode is {other:#04x}")),
        }
        Ok(true)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<()> {
        let value = self.number(bytes)?;
        self.push(Node::Int(value as i64));
        Ok(())
    }

    /// Text behind its length, a number of `bytes` bytes.
    fn text(&mut self, bytes: usize) -> Result<()> {
        let size = self.size(bytes)?;
        let text = self.take(size)?;
        self.push_text(text);
        Ok(())
    }

    /// Bytes behind their length.
    fn skipped(&mut self, bytes: usize) -> Result<()> {
        let size = self.size(bytes)?;
        self.take(size)?;
        self.stack.push(OTHER);
        Ok(())
    }

    /// An object by the number of its class in a registry of Python's.
    fn extension(&mut self, bytes: usize) -> Result<()> {
        self.take(bytes)?;
        self.stack.push(OTHER);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(pickle: &Pickle, id: Id) -> Vec<(String, Id)> {
        let items = match pickle.node(id) {
            Node::Dict(items) => items,
            other => panic!("{other:?}"),
        };
        let named = items.iter().map(|(key, value)| {
            let key = pickle.text(*key).unwrap().to_string();
            (key, *value)
        });
        named.collect()
    }

    #[test]
    fn every_protocol_is_read() {
        // pickle.dumps({"a": 1, "b": [2, -3]}, protocol) for 0, 2 and 4.
        for bytes in [
            b"(dp0\nVa\np1\nI1\nsVb\np2\n(lp3\nI2\naI-3\nas.".as_slice(),
            b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02]q\x03(K\x02J\xfd\xff\xff\xffeu.",
            b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02J\xfd\xff\xff\xffeu.",
        ] {
            let pickle = Pickle::read(bytes).unwrap();
            let entries = dict(&pickle, pickle.root());
            assert_eq!(entries[0].0, "a");
            assert_eq!(pickle.int(entries[0].1), Some(1));
            let list = pickle.sequence(entries[1].1).unwrap();
            let values: Vec<_> = list.iter().map(|id| pickle.int(*id)).collect();
            assert_eq!(values, [Some(2), Some(-3)]);
            assert_eq!(pickle.length, bytes.len());
        }
    }

    #[test]
    fn what_is_cut_or_no_pickle_is_an_error_and_never_a_panic() {
        let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02]q\x03(K\x02J\xfd\xff\xff\xffeu.";
        for end in 0..whole.len() {
            assert!(Pickle::read(&whole[..end]).is_err(), "{end}");
        }
        for bad in [
            b".".as_slice(),
            b"R.",
            b"t.",
            b"h\x07.",
            b"(K\x01u.",
            b"}K\x01K\x02K\x03e.",
            b"\xff",
            b"X\xff\xff\xff\xffa",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x8b\xff\xff\xff\xff",
        ] {
            assert!(Pickle::read(bad).is_err(), "{bad:?}");
        }
    }
}
