"""A long session of random cells with the installed kernel: soak.py LOG writes there what was sent and what came of it.

The cells are drawn from a seed (VITREPL_SOAK_SEED names another, VITREPL_SOAK_CELLS how many there are), so that a
failure can be had again. A model knows which variables there are, with which values, and what each cell has to put
out; it fails where the kernel differs, where an output is lost, doubled or under another cell, and where nothing comes
for a while. What threads and processes print after their cell has ended may be under any later cell, once.
"""

import os
import random
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from jupyter_client.manager import start_new_kernel

SEED = int(os.environ.get("VITREPL_SOAK_SEED", "20240607"))
CELLS = int(os.environ.get("VITREPL_SOAK_CELLS", "500"))

# Seconds. The session may have to start on a busy machine.
STARTED = 900
PATIENCE = 120

# With more faults than these the model knows too little to go on.
MOST_FAULTS = 5

# Between two looks at all variables.
CELLS_BETWEEN_LOOKS = 25

LOCKED = Path(__file__).parents[2] / "Cargo.lock"

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NOTE = re.compile(r"note: ([^\n]*)\n")
LATE = re.compile(r"\[late [0-9.]+\]\n")
TIMES = re.compile(r"[0-9.]+ s, and [0-9.]+ s to compile it\n")

INTERRUPTED = "interrupted; the cell came to its end all the same"
NOT_RUN = "interrupted before anything was run"
NOT_STOPPED = "not stopped yet: "
BROKEN = "the process that ran the cells has ended"


class Wedged(Exception):
    """Nothing comes any more."""


@dataclass
class Want:
    """What has to come of a cell."""

    # ("stdout", text), ("display", {MIME type: data}) and ("result", text), in order.
    shown: list = field(default_factory=list)
    stderr: str = ""
    # Regular expressions for what the session says, each once, in any order.
    notes: list = field(default_factory=list)
    # Regular expressions for the name and the value of its error, if it fails.
    error: tuple = None
    timed: bool = False

    def prints(self, text):
        if self.shown and self.shown[-1][0] == "stdout":
            text = self.shown.pop()[1] + text
        self.shown.append(("stdout", text))
        return self

    def displays(self, text, mime="text/plain"):
        self.shown.append(("display", {mime: text}))
        return self

    def results(self, text):
        self.shown.append(("result", text))
        return self

    def fails(self, name, value):
        self.error = (name, value)
        return self


@dataclass
class Cell:
    """A cell that was sent, and what came of it."""

    number: int
    code: str
    messages: list = field(default_factory=list)
    reply: dict = None
    is_idle: bool = False
    # How many of the messages came before `idle`, and were looked at.
    checked: int = 0

    def is_done(self):
        return self.reply is not None and self.is_idle

    def stdout(self):
        return "".join(c["text"] for kind, c in self.messages if kind == "stream" and c["name"] == "stdout")

    def failed_with(self, text):
        return self.reply["status"] == "error" and text in self.reply["evalue"]


class Client:
    """Sends cells, and files every message under the cell that it belongs to."""

    def __init__(self, log):
        self.log = log
        self.manager, self.client = start_new_kernel(kernel_name="vitrepl", startup_timeout=STARTED)
        self.cells = {}
        self.order = []
        self.interrupts_done = 0
        # Answers to what the running cell asks: none is given where there is none.
        self.answer = None
        self.poller = zmq.Poller()
        for channel in (self.client.iopub_channel, self.client.shell_channel, self.client.stdin_channel):
            self.poller.register(channel.socket, zmq.POLLIN)

    def send(self, code, **options):
        options.setdefault("allow_stdin", False)
        cell = Cell(len(self.order) + 1, code)
        self.cells[self.client.execute(code, stop_on_error=False, **options)] = cell
        self.order.append(cell)
        self.log.write(f"---- {cell.number}: {options}\n{code}\n")
        self.log.flush()
        return cell

    def take(self, timeout):
        """Files what has come."""
        ready = dict(self.poller.poll(timeout * 1000))
        client = self.client
        if client.iopub_channel.socket in ready:
            self.published(client.get_iopub_msg(timeout=0))
        if client.shell_channel.socket in ready:
            message = client.get_shell_msg(timeout=0)
            cell = self.cells.get(message["parent_header"].get("msg_id"))
            if cell is not None:
                assert cell.reply is None, f"two replies to {cell}"
                cell.reply = message["content"]
        if client.stdin_channel.socket in ready:
            client.get_stdin_msg(timeout=0)
            if self.answer is not None:
                client.input(self.answer)
                self.answer = None

    def published(self, message):
        parent, kind, content = message["parent_header"], message["msg_type"], message["content"]
        if kind == "status" and parent.get("msg_type") == "interrupt_request":
            self.interrupts_done += content["execution_state"] == "idle"
        cell = self.cells.get(parent.get("msg_id"))
        if kind == "status":
            if cell is not None and content["execution_state"] == "idle":
                cell.is_idle = True
            return
        if cell is None:
            assert kind == "iopub_welcome", f"belongs to no cell: {message}"
            return
        self.log.write(f"  {cell.number} {kind} {content}\n")
        cell.messages.append((kind, content))

    def until(self, condition, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise Wedged(f"{what}: nothing after {patience} s")
            self.take(0.05)

    def finish(self, cell, patience=PATIENCE):
        self.until(cell.is_done, f"cell {cell.number}", patience)
        return cell

    def rest(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.take(0.05)

    def interrupt(self):
        """Returns when the kernel has taken it, so that it is not meant for a later cell."""
        done = self.interrupts_done
        self.manager.interrupt_kernel()
        self.until(lambda: self.interrupts_done > done, "interrupt")
        self.rest(0.2)


@dataclass
class Variable:
    kind: str
    value: object
    # The number of the type that the kind depends on.
    shape: int = None


def debug(value):
    """A value as Rust's `{:?}` writes it."""
    return written(value, '"{}"', "[{}]", "{}", shows_paths=False)


def literal(value):
    """A value as it is written in Rust."""
    return written(value, 'String::from("{}")', "vec![{}]", "{}_i64", shows_paths=True)


def written(value, text, items, number, shows_paths):
    """A value in the given forms of texts, lists and numbers; a struct's path can be left out."""
    one = lambda part: written(part, text, items, number, shows_paths)
    if isinstance(value, str):
        return text.format(value)
    if isinstance(value, list):
        return items.format(", ".join(map(one, value)))
    if isinstance(value, tuple):
        name, *fields = value
        name = name if shows_paths else name.rsplit("::")[-1]
        return name + " { " + ", ".join(f"{key}: {one(part)}" for key, part in fields) + " }"
    return number.format(value)


class Soak:
    """The session, and the model of it."""

    NAMES = [f"v{number}" for number in range(24)]

    def __init__(self, client):
        self.client = client
        self.random = random.Random(SEED)
        self.variables = {}
        # What is said of a variable that is no more.
        self.gone = {}
        # What `_` is: a variable without a name, or the name of a place.
        self.last = None
        # The fields of the types, and the numbers of the functions.
        self.shapes = {}
        self.functions = {}
        # What is printed late, and whether it must still come.
        self.late = {}
        self.count = 0
        self.tokens = 0
        self.faults = []
        self.kinds = {}
        self.crates = ['itoa = "1"', 'roman = "0.1"', 'void = "1"']
        self.looked = 0

    # Names and values.

    def token(self):
        """A text that is printed once."""
        self.tokens += 1
        return f"[{len(self.client.order) + 1}.{self.tokens}]"

    def late_line(self):
        self.tokens += 1
        text = f"[late {len(self.client.order) + 1}.{self.tokens}]"
        self.late[text + "\n"] = "waits"
        return text

    def new_name(self):
        return self.random.choice(self.NAMES)

    def of_kind(self, *kinds):
        """A variable of one of these kinds, or none."""
        names = [name for name, variable in self.variables.items() if not kinds or variable.kind in kinds]
        return self.random.choice(sorted(names)) if names else None

    def value(self):
        number = self.random.randrange(-1000, 1000)
        word = "".join(self.random.choices("abcxyzéü", k=4))
        numbers = [self.random.randrange(100) for _ in range(self.random.randrange(1, 4))]
        return self.random.choice([("i64", number), ("String", word), ("Vec<i64>", numbers)])

    def make(self, name, kind, value, shape=None):
        self.variables[name] = Variable(kind, value, shape)
        self.gone.pop(name, None)

    def lose(self, name, how):
        del self.variables[name]
        self.gone[name] = how

    def lose_all(self):
        for name in list(self.variables):
            self.lose(name, "was lost with the process that ran the cells")
        self.last = None
        self.forgive_late()

    def forgive_late(self):
        """What was to be printed later may have gone with the process, or come while a client listens to nothing."""
        for text, state in self.late.items():
            if state == "waits":
                self.late[text] = "may come"

    def let(self, name=None):
        """A statement that makes a variable, and what it makes."""
        name = name or self.new_name()
        kind, value = self.value()
        mutable = self.random.choice(["", "mut "])
        return f"let {mutable}{name} = {literal(value)};", (name, kind, value)

    # What has come, against what was wanted.

    def fault(self, cell, text):
        self.faults.append(f"cell {cell.number}: {text}\n{cell.code}\n" + "\n".join(f"  {m}" for m in cell.messages))
        self.client.log.write(f"FAULT {self.faults[-1]}\n")
        print("FAULT", self.faults[-1], flush=True)
        if len(self.faults) > MOST_FAULTS:
            raise Wedged("there are too many faults to go on")

    def without_late(self, cell, text):
        for line in LATE.findall(text):
            if self.late.get(line) not in ("waits", "may come"):
                self.fault(cell, f"{line!r} is {self.late.get(line, 'of no cell')}")
            self.late[line] = "has come"
        return LATE.sub("", text)

    def gather(self, cell, messages):
        """What was shown, the text of standard error, and the error."""
        shown, stderr, error = [], "", None
        for kind, content in messages:
            if kind == "stream" and content["name"] == "stderr":
                stderr += content["text"]
            elif kind == "stream":
                if shown and shown[-1][0] == "stdout":
                    shown[-1] = ("stdout", shown[-1][1] + content["text"])
                else:
                    shown.append(("stdout", content["text"]))
            elif kind == "display_data":
                shown.append(("display", content["data"]))
            elif kind == "execute_result":
                shown.append(("result", content["data"].get("text/plain")))
            elif kind == "error":
                error = content
            elif kind != "execute_input":
                self.fault(cell, f"{kind} was not expected")
        return shown, stderr, error

    def check(self, cell, want):
        cell.checked = len(cell.messages)
        shown, stderr, error = self.gather(cell, cell.messages)
        stderr = COLOUR.sub("", self.without_late(cell, stderr))
        notes = NOTE.findall(stderr)
        stderr = NOTE.sub("", stderr)
        if want.timed:
            stderr, count = TIMES.subn("", stderr)
            if count != 1:
                self.fault(cell, f"times are told {count} times")
        if error is not None:
            trace = COLOUR.sub("", "\n".join(error["traceback"]) + "\n")
            notes += NOTE.findall(trace)
            error = (error["ename"], COLOUR.sub("", error["evalue"]), trace)
        shown = [(kind, self.without_late(cell, what) if kind == "stdout" else what) for kind, what in shown]
        # What is left of a text that was all late is nothing, and what it stood between is one.
        merged = Want()
        for kind, what in shown:
            if kind == "stdout" and what:
                merged.prints(what)
            elif kind != "stdout":
                merged.shown.append((kind, what))
        if merged.shown != want.shown:
            self.fault(cell, f"shows {merged.shown}, not {want.shown}")
        if stderr != want.stderr:
            self.fault(cell, f"has standard error {stderr!r}, not {want.stderr!r}")
        for wanted in want.notes:
            fitting = [note for note in notes if re.search(wanted, note)]
            if len(fitting) != 1:
                self.fault(cell, f"notes {notes}, not {wanted} once")
            notes = [note for note in notes if note not in fitting]
        notes = [note for note in notes if not note.startswith(NOT_STOPPED)]
        if notes:
            self.fault(cell, f"notes {notes}")
        if (cell.reply["status"] == "error") != (error is not None):
            self.fault(cell, f"is replied to with {cell.reply}, and says {error}")
        elif (want.error is None) != (error is None):
            self.fault(cell, f"fails with {error}, not {want.error}")
        elif error is not None and not (error[0] == want.error[0] and re.search(want.error[1], error[2])):
            self.fault(cell, f"fails with {error}, not {want.error}")

    def check_afterwards(self):
        """What came for cells that had ended can only be what was printed late."""
        for cell in self.client.order:
            if cell.checked < len(cell.messages) and cell.is_done():
                shown, stderr, error = self.gather(cell, cell.messages[cell.checked :])
                cell.checked = len(cell.messages)
                texts = [stderr] + [what for kind, what in shown if kind == "stdout"]
                others = [what for kind, what in shown if kind != "stdout"]
                rest = [rest for rest in map(lambda text: self.without_late(cell, text), texts) if rest]
                if rest or others or error is not None:
                    self.fault(cell, f"has got after its end {rest} {others} {error}")

    def run(self, code, want, **options):
        """A cell from beginning to end."""
        cell = self.client.send(code, **options)
        self.counts(cell, self.client.finish(cell), options)
        self.check(cell, want)
        return cell

    def counts(self, cell, done, options):
        self.count += not options.get("silent", False)
        if done.reply["execution_count"] != self.count:
            self.fault(cell, f"is number {done.reply['execution_count']}, not {self.count}")

    # Cells.

    def cell_let(self):
        token = self.token()
        statement, made = self.let()
        self.run(f'{statement} println!("{token}");', Want().prints(f"{token}\n"))
        self.make(*made)

    def cell_use(self):
        name = self.of_kind()
        if name is None:
            return self.cell_let()
        token = self.token()
        text = debug(self.variables[name].value)
        self.run(f'println!("{token} {{:?}}", {name});', Want().prints(f"{token} {text}\n"))

    def cell_result(self):
        name = self.of_kind("i64", "String")
        if name is None:
            return self.cell_let()
        token, variable = self.token(), self.variables[name]
        value = variable.value * 2 if variable.kind == "i64" else variable.value + "c"
        expression = f"{name} * 2" if variable.kind == "i64" else f'format!("{{}}c", {name})'
        self.run(f'println!("{token}"); {expression}', Want().prints(f"{token}\n").results(debug(value)))
        self.last = Variable(variable.kind, value)

    def cell_place(self):
        name = self.of_kind()
        if name is None:
            return self.cell_let()
        self.run(name, Want().results(debug(self.variables[name].value)))
        self.last = name

    def cell_last(self):
        last = self.variables.get(self.last) if isinstance(self.last, str) else self.last
        if last is None:
            return self.cell_result()
        token = self.token()
        if last.kind == "i64":
            value = last.value + 1
            self.run("_ + 1", Want().results(debug(value)))
            self.last = Variable("i64", value)
        else:
            self.run(f'println!("{token} {{:?}}", _);', Want().prints(f"{token} {debug(last.value)}\n"))

    def cell_change(self):
        name = self.of_kind("i64", "String", "Vec<i64>")
        if name is None:
            return self.cell_let()
        variable = self.variables[name]
        token = self.token()
        again = f"let mut {name} = {name};"
        if variable.kind == "i64":
            code = f"{again} {name} += 3;"
            value = variable.value + 3
        elif variable.kind == "String":
            code = f'{again} {name} = {name} + "z";'
            value = variable.value + "z"
        else:
            code = f"{again} for k in 0..2 {{ {name}.push(k); }}"
            value = variable.value + [0, 1]
        self.run(f'{code} println!("{token}");', Want().prints(f"{token}\n"))
        self.make(name, variable.kind, value)

    def cell_move(self):
        name = self.of_kind("String", "Vec<i64>")
        target = self.new_name()
        if name is None or name == target:
            return self.cell_let()
        variable = self.variables[name]
        statement = f"let {target} = {name};"
        self.run(statement, Want(notes=[re.escape(f"`{name}` was moved by `{statement}`")]))
        self.lose(name, "was moved by")
        self.make(target, variable.kind, variable.value)

    def cell_gone(self):
        names = sorted(self.gone)
        if not names:
            return self.cell_move()
        name = self.random.choice(names)
        token = self.token()
        code = f'println!("{token}"); let _ = &{name};'
        self.run(code, Want().fails("CompileError", re.escape(f"`{name}` {self.gone[name]}")))

    def cell_borrow(self):
        name, target = self.of_kind("String", "Vec<i64>"), self.new_name()
        if name is None or name == target:
            return self.cell_let()
        token = self.token()
        want = Want(notes=[f"`{target}` is not kept: it borrows from its cell"])
        text = debug(self.variables[name].value)
        self.run(f'let {target} = &{name}[..]; println!("{token} {{:?}}", {target});', want.prints(f"{token} {text}\n"))
        if target in self.variables:
            self.lose(target, "was not kept")
        self.gone[target] = "was not kept"

    def cell_several(self):
        """Displays in the middle, between texts, and a result."""
        one, two = self.token(), self.token()
        number = self.random.randrange(1000)
        code = f'{number}\nprintln!("{one}");\n"{two}"\nprint!("{one} open");\n{number} + 1'
        want = Want().displays(debug(number)).prints(f"{one}\n").displays(f'"{two}"')
        self.run(code, want.prints(f"{one} open").results(debug(number + 1)))
        self.last = Variable("i32", number + 1)

    def cell_errors_open(self):
        out, err = self.token(), self.token()
        self.run(f'print!("{out}"); eprint!("{err}");', Want(stderr=err).prints(out))

    def cell_bytes(self):
        out, err = self.token(), self.token()
        junk = "".join(f"\\x{self.random.choice([0xff, 0xfe, 0xc3, 0xe2, 0xf0, 0x80, 0x01]):02x}" for _ in range(5))
        text = eval(f'b"{junk}"')
        code = (
            "use std::io::Write;\n"
            f'std::io::stdout().write_all(b"{out}{junk}\\n")?;\n'
            f'std::io::stderr().write_all(b"{err}{junk}\\n{junk}")?;'
        )
        out = out.encode() + text + b"\n"
        err = err.encode() + text + b"\n" + text
        self.run(code, Want(stderr=err.decode(errors="replace")).prints(out.decode(errors="replace")))

    def cell_marks(self):
        """Lines that look like what goes between the programs, of which some are."""
        token = self.token()
        line = self.random.choice([
            "EVCXR_EXECUTION_COMPLETE",
            "EVCXR_BEGIN_CONTENT",
            "EVCXR_BEGIN_CONTENT text/plain",
            "EVCXR_BEGIN_CONTENT of a talk/lecture",
            "EVCXR_END_CONTENT",
            "EVCXR_PANIC_NOTIFICATION",
            "EVCXR_VARIABLE_CHANGED_TYPE:v1",
            "EVCXR_INPUT_REQUEST:who?",
            "VITREPL_PROGRESS {soon}",
            "VITREPL_LINE_ENDED",
            "ended 1 8",
            "finished 0",
        ])
        stream = self.random.choice(["", "e"])
        end = self.random.choice(["", "\n"])
        code = f'{stream}print!("{{}}{{}}{{}}", "{token}\\n", "{line}", {debug(end)!s});'.replace("\n", "\\n")
        text = f"{token}\n{line}{end}"
        self.run(code, Want(stderr=text) if stream else Want().prints(text))

    def cell_content(self):
        one, two, three = self.token(), self.token(), self.token()
        code = (
            f'print!("{one}");\n'
            f'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>{two}</b>\\nEVCXR_END_CONTENT");\n'
            'println!("VITREPL_PROGRESS {{\\"label\\":\\"fit\\",\\"done\\":1}}"); println!("VITREPL_REPEAT");\n'
            f'println!("{three}");'
        )
        self.run(code, Want().prints(one).displays(f"<b>{two}</b>", "text/html").prints(f"{three}\n"))

    def cell_panic(self):
        token, reason = self.token(), self.token()
        statement, made = self.let()
        place = rf" \(cell {self.count + 1}:1:[0-9]+\)"
        want = Want().prints(f"{token}\n").fails("Panic", "panicked: " + re.escape(reason) + place)
        other = self.new_name()
        code = f'{statement} println!("{token}"); panic!("{reason}"); let {other} = 1u8;'
        self.run(code, want)
        self.make(*made)

    def cell_panic_aside(self):
        reason = self.token()
        code = f'std::thread::spawn(|| panic!("{reason}")).join().is_err()'
        place = f"(cell {self.count + 1}:1:{code.index('panic!') + 1})"
        self.run(code, Want(stderr=f"a thread panicked: {reason} {place}\n").results("true"))
        self.last = None

    def cell_error(self):
        token = self.token()
        statement, made = self.let()
        code = f'{statement} println!("{token}"); let {self.new_name()}: i32 = "x".parse()?; println!("never");'
        self.run(code, Want().prints(f"{token}\n").fails("Error", "^invalid digit found in string"))
        self.make(*made)

    def cell_no_rust(self):
        token = self.token()
        statement, _ = self.let()
        wrong = self.random.choice(['let wrong: i32 = "text";', "no_such_name;", "let = 3;", "let f = vec![1, 2;"])
        self.run(f'println!("{token}"); {statement}\n{wrong}', Want().fails("CompileError", ":2:"))

    def cell_late(self):
        token = self.token()
        pauses = [self.random.randrange(0, 700) for _ in range(3)]
        threads = ""
        for pause in pauses:
            macro = self.random.choice(["println", "eprintln"])
            threads += f' sleep(Duration::from_millis({pause})); {macro}!("{self.late_line()}");'
        code = (
            "use std::{thread::sleep, time::Duration};\n"
            f'std::thread::spawn(|| {{{threads} }}); println!("{token}");'
        )
        self.run(code, Want().prints(f"{token}\n"))

    def cell_process(self):
        out, err = self.token(), self.token()
        command = f"echo '{out}'; echo '{err}' >&2"
        self.run(
            f'std::process::Command::new("sh").args(["-c", "{command}"]).status()?;',
            Want(stderr=f"{err}\n").prints(f"{out}\n"),
        )

    def cell_process_left(self):
        token = self.token()
        command = f"sleep {self.random.random():.2f}; echo '{self.late_line()}'"
        code = f'std::process::Command::new("sh").args(["-c", "{command}"]).spawn()?; println!("{token}");'
        self.run(code, Want().prints(f"{token}\n"))

    def cell_shell(self):
        token = self.token()
        self.run(f"!echo '{token}'", Want().prints(f"{token}\n"))

    def cell_read(self):
        token, answer = self.token(), self.token()
        self.client.answer = answer
        code = (
            "{ let mut line = String::new(); std::io::stdin().read_line(&mut line)?;\n"
            f'println!("{token} {{}}", line.trim()); }}'
        )
        want = Want().prints(f"{token} {answer}\n")
        self.run(code, want, allow_stdin=True)
        if self.client.answer is not None:
            self.fault(self.client.order[-1], "has asked nothing")
            self.client.answer = None

    def cell_read_nothing(self):
        token = self.token()
        code = f'println!("{token} {{}}", std::io::stdin().read_line(&mut String::new())?);'
        self.run(code, Want().prints(f"{token} 0\n"), allow_stdin=False)

    def cell_shape(self):
        """A type, at first or anew, and a value of it."""
        number = self.random.randrange(4)
        before = self.shapes.get(number)
        fields = self.random.choice([("a",), ("a", "b"), ("b",)])
        name = f"Shape{number}"
        kinds = {"a": "i64", "b": "String"}
        members = ", ".join(f"{key}: {kinds[key]}" for key in fields)
        definition = f"enum {name} {{ One {{ {members} }}, Other }}" if number % 2 else f"struct {name} {{ {members} }}"
        values = {"a": self.random.randrange(100), "b": "".join(self.random.choices("rst", k=3))}
        value = (f"{name}::One" if number % 2 else name, *((key, values[key]) for key in fields))
        dropped = [] if before in (None, fields) else self.depending(number)
        target = self.new_name()
        token = self.token()
        code = (
            f"#[derive(Debug, Clone)] {definition}\n"
            f'let {target} = {literal(value)}; println!("{token}");'
        )
        notes = [re.escape(f"`{one}` was dropped: its type") for one in dropped]
        self.run(code, Want(notes=notes).prints(f"{token}\n"))
        self.shapes[number] = fields
        self.drop(dropped, number)
        self.make(target, name, value, number)

    def depending(self, number):
        return sorted(name for name, variable in self.variables.items() if variable.shape == number)

    def drop(self, names, number):
        for name in names:
            self.lose(name, "was dropped: its type")
        if isinstance(self.last, Variable) and self.last.shape == number:
            self.last = None

    def cell_shapes(self):
        """A vector of values of a type."""
        name = self.of_kind(*(f"Shape{number}" for number in self.shapes))
        if name is None:
            return self.cell_shape()
        variable = self.variables[name]
        target = self.new_name()
        self.run(f"let {target} = vec![{name}.clone(), {name}.clone()];", Want())
        self.make(target, f"Vec<{variable.kind}>", [variable.value] * 2, variable.shape)

    def cell_function(self):
        """A function at first or anew, and one that calls it, which is defined once."""
        number = self.random.randrange(3)
        value = self.random.randrange(1000)
        token = self.token()
        code = f"fn inner{number}() -> i64 {{ {value} }}\n"
        if number not in self.functions:
            code += f"fn outer{number}() -> i64 {{ inner{number}() + 1000 }}\n"
        self.run(code + f'println!("{token} {{}}", outer{number}());', Want().prints(f"{token} {value + 1000}\n"))
        self.functions[number] = value

    def cell_call(self):
        if not self.functions:
            return self.cell_function()
        number = self.random.choice(sorted(self.functions))
        value = self.functions[number] + 1000
        self.run(f"outer{number}()", Want().results(debug(value)))
        self.last = Variable("i64", value)

    def cell_interrupt_sleep(self):
        one, two = self.token(), self.token()
        statement, made = self.let()
        code = f'println!("{one}"); std::thread::sleep(std::time::Duration::from_millis(1200)); {statement} println!("{two}");'
        cell = self.client.send(code)
        self.client.until(lambda: one in cell.stdout(), f"cell {cell.number}")
        self.client.interrupt()
        self.counts(cell, self.client.finish(cell), {})
        self.check(cell, Want().prints(f"{one}\n{two}\n").fails("Error", INTERRUPTED))
        self.make(*made)

    def cell_interrupt_read(self):
        token = self.token()
        code = f'println!("{token}"); println!("{{}}", std::io::stdin().read_line(&mut String::new())?);'
        cell = self.client.send(code, allow_stdin=True)
        self.client.until(lambda: token in cell.stdout(), f"cell {cell.number}")
        self.client.interrupt()
        self.counts(cell, self.client.finish(cell), {})
        self.check(cell, Want().prints(f"{token}\n0\n").fails("Error", INTERRUPTED))

    def cell_interrupt_any_time(self):
        token = self.token()
        statement, made = self.let()
        code = f'{statement} std::thread::sleep(std::time::Duration::from_millis(200)); println!("{token}");'
        cell = self.client.send(code)
        self.client.rest(self.random.random() * 0.8)
        self.client.interrupt()
        self.counts(cell, self.client.finish(cell), {})
        want = Want().prints(f"{token}\n")
        if cell.failed_with(NOT_RUN):
            self.check(cell, Want().fails("Error", NOT_RUN))
            return
        if cell.failed_with(INTERRUPTED):
            want.fails("Error", INTERRUPTED)
        self.check(cell, want)
        self.make(*made)

    def cell_interrupt_idle(self):
        self.client.interrupt()
        self.cell_use()

    def cell_interrupt_loop(self):
        token = self.token()
        code = f'println!("{token}"); loop {{ std::hint::black_box(1); }}'
        cell = self.client.send(code)
        self.client.until(lambda: token in cell.stdout(), f"cell {cell.number}")
        deadline = time.monotonic() + PATIENCE
        while not cell.is_done():
            if time.monotonic() > deadline:
                raise Wedged("a loop that cannot be interrupted")
            self.client.interrupt()
            self.client.rest(0.8)
        self.counts(cell, cell, {})
        self.check(cell, Want().prints(f"{token}\n").fails("Error", re.escape(BROKEN)))
        self.lose_all()

    def cell_crash(self):
        token = self.token()
        statement, _ = self.let()
        how, says = self.random.choice([
            ("std::process::abort();", BROKEN),
            ("std::process::exit(3);", BROKEN),
            (
                "fn deep(x: u64) -> u64 { if x == u64::MAX { 0 } else "
                "{ std::hint::black_box(deep(std::hint::black_box(x + 1))) + 1 } }\ndeep(0);",
                "stack overflow",
            ),
        ])
        cell = self.client.send(f'{statement} println!("{token}");\n{how}')
        self.counts(cell, self.client.finish(cell), {})
        want = Want().prints(f"{token}\n").fails("Error", re.escape(says))
        if says == "stack overflow":
            # Rust's own runtime says so as well, with the number of the thread.
            cell.messages = [
                (kind, {**c, "text": re.sub(r"\n?thread '.*overflowed its stack\n(fatal.*\n)?", "", c["text"])})
                if kind == "stream"
                else (kind, c)
                for kind, c in cell.messages
            ]
        self.check(cell, want)
        lost = sorted(self.variables)
        self.lose_all()
        trace = COLOUR.sub("", "\n".join(cell.reply["traceback"]))
        if lost and f"lost with it: {', '.join(lost)}" not in trace:
            self.fault(cell, f"does not name {lost}")

    def cell_crate(self):
        if not self.crates:
            return self.cell_let()
        crate = self.crates.pop(0)
        want = Want()
        if crate.startswith("itoa"):
            version = re.search(r'name = "itoa"\nversion = "(.*)"', LOCKED.read_text())[1]
            want.prints(f"itoa {version} is there already: the library uses it\n")
        self.run(f":dep {crate}", want)
        code, text = {
            "itoa": ("itoa::Buffer::new().format(5).to_owned()", '"5"'),
            "roma": ("roman::to(4)", 'Some("IV")'),
            "void": ("std::mem::size_of::<void::Void>()", "0"),
        }[crate[:4]]
        self.run(code, Want().results(text))
        self.last = None

    def cell_time(self):
        token = self.token()
        number = self.random.randrange(1000)
        code = self.random.choice([":time {}", "%time {}", "%%time\n{}"])
        code = code.format(f'{{ println!("{token}"); {number} + 1 }}')
        self.run(code, Want(timed=True).prints(f"{token}\n").results(debug(number + 1)))
        self.last = None

    def cell_type(self):
        name = self.of_kind()
        if name is None:
            return self.cell_let()
        self.run(f":type {name}", Want().prints(self.variables[name].kind + "\n"))

    def cell_silent(self):
        statement, made = self.let()
        self.forgive_late()
        self.run(f'{statement} println!("{self.token()}"); 5', Want(), silent=True)
        self.make(*made)
        self.last = None

    def cell_expressions(self):
        name = self.of_kind()
        if name is None:
            return self.cell_let()
        token = self.token()
        self.forgive_late()
        cell = self.run(
            f'println!("{token}");', Want().prints(f"{token}\n"), user_expressions={"one": f"{name}.clone()"}
        )
        told = cell.reply["user_expressions"]["one"]
        text = debug(self.variables[name].value)
        if told.get("data", {}).get("text/plain") != text:
            self.fault(cell, f"tells {told}, not {text}")
        self.last = None

    def cell_burst(self):
        """Cells that wait for each other."""
        sent = []
        for _ in range(4):
            token = self.token()
            statement, made = self.let()
            sent.append((self.client.send(f'{statement} println!("{token}"); 7'), Want().prints(f"{token}\n").results("7"), made))
        for cell, want, made in sent:
            self.counts(cell, self.client.finish(cell), {})
            self.check(cell, want)
            self.make(*made)
        self.last = Variable("i32", 7)

    def cell_clear(self):
        self.run(":clear", Want())
        self.lose_all()
        self.gone.clear()
        self.shapes.clear()
        self.functions.clear()

    WEIGHTS = {
        cell_let: 60, cell_use: 40, cell_result: 20, cell_place: 12, cell_last: 20, cell_change: 30, cell_move: 20,
        cell_gone: 15, cell_borrow: 15, cell_several: 15, cell_errors_open: 12, cell_bytes: 15, cell_marks: 25,
        cell_content: 12, cell_panic: 15, cell_panic_aside: 6, cell_error: 15, cell_no_rust: 15, cell_late: 25,
        cell_process: 10, cell_process_left: 10, cell_shell: 5, cell_read: 10, cell_read_nothing: 6, cell_shape: 20,
        cell_shapes: 10, cell_function: 12, cell_call: 10, cell_interrupt_sleep: 6, cell_interrupt_read: 5,
        cell_interrupt_any_time: 10, cell_interrupt_idle: 4, cell_interrupt_loop: 4, cell_crash: 9, cell_crate: 4,
        cell_time: 10, cell_type: 5, cell_silent: 5, cell_expressions: 5, cell_burst: 8, cell_clear: 1,
    }

    # All variables.

    def listed(self):
        """What `:vars` lists."""
        cell = self.client.send(":vars")
        self.counts(cell, self.client.finish(cell), {})
        shown, _, error = self.gather(cell, cell.messages)
        cell.checked = len(cell.messages)
        text = self.without_late(cell, "".join(what for _, what in shown))
        listed = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        if error is not None:
            self.fault(cell, f"fails with {error}")
        known = {name: variable.kind for name, variable in self.variables.items()}
        if listed != known:
            self.fault(cell, f"lists {listed}, not {known}")
        return listed

    def look(self):
        """Whether every variable is listed and has its value, and every one that is listed can be used."""
        names = sorted(self.listed())
        token = self.token()
        lines = []
        for name in names:
            lines.append(f"let _ = &{name};")
            if name in self.variables:
                lines.append(f'assert_eq!(format!("{{:?}}", {name}), r#"{debug(self.variables[name].value)}"#, "{name}");')
        self.run("\n".join(lines) + f'\nprintln!("{token}");', Want().prints(f"{token}\n"))

    def soak(self):
        kinds = list(self.WEIGHTS)
        while len(self.client.order) < CELLS:
            kind = self.random.choices(kinds, list(self.WEIGHTS.values()))[0]
            # Users wait between cells, and what is printed then must not be lost.
            self.client.rest(self.random.choice([0, 0, 0.1, 0.2]))
            started = time.monotonic()
            kind(self)
            name = kind.__name__
            times, seconds = self.kinds.get(name, (0, 0.0))
            self.kinds[name] = (times + 1, seconds + time.monotonic() - started)
            self.check_afterwards()
            if len(self.client.order) >= self.looked + CELLS_BETWEEN_LOOKS:
                self.looked = len(self.client.order)
                self.look()
        # Threads sleep for three times 0.7 s at most.
        self.client.rest(3)
        self.look()
        self.client.rest(0.5)
        self.check_afterwards()
        for line, state in self.late.items():
            if state == "waits":
                self.fault(self.client.order[-1], f"{line!r} has not come")


def main():
    print(f"VITREPL_SOAK_SEED={SEED} VITREPL_SOAK_CELLS={CELLS}", flush=True)
    with open(sys.argv[1], "w") as log:
        client = Client(log)
        client.client.execute_interactive("1", timeout=STARTED, output_hook=lambda _: None)
        started = time.monotonic()
        soak = Soak(client)
        soak.count = 1
        try:
            soak.soak()
        except Wedged as wedged:
            soak.faults.append(str(wedged))
            print("FAULT", wedged, "\nsent last:", client.order[-1] if client.order else "nothing")
        finally:
            client.client.stop_channels()
            client.manager.shutdown_kernel(now=True)
        seconds = time.monotonic() - started
    for name, (times, spent) in sorted(soak.kinds.items()):
        print(f"{name}: {times}, {spent / times:.2f} s each")
    print(f"{len(client.order)} cells in {seconds:.0f} s, {len(soak.faults)} faults; see {sys.argv[1]}")
    sys.exit(1 if soak.faults else 0)


if __name__ == "__main__":
    main()
