"""The installed kernel against Jupyter's own tests, and what those do not look at.

One kernel serves all of it. The environment variable JUPYTER_PATH names where it is installed.
"""

import contextlib
import queue
import subprocess
import sys
import time
import unittest

import jupyter_kernel_test
from jupyter_client.session import Session
from jupyter_kernel_test.msgspec_v5 import validate_message

CHART = 'BarChart::new("Bars", "unit").bar("one", 1.0).bar("two", 2.0)'

# The session may have to start on a busy machine.
STARTED = 300


class KernelTests(jupyter_kernel_test.KernelTests):
    kernel_name = "vitrepl"
    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("to standard error");'
    completion_samples = [
        {"text": ":relo", "matches": [":reload"]},
        {"text": "let a = 1;\n:sav", "matches": [":save"]},
        {"text": "let options = FitOpt", "matches": ["FitOptions"]},
    ]
    complete_code_samples = ["1 + 1", "let a = 1;", "fn f() {}", ":help", "let a = 1"]
    incomplete_code_samples = ["fn f() {", "vec![1,", 'let s = "abc', "/* open"]
    invalid_code_samples = ["let = 3;", "fn f() }"]
    code_page_something = ":doc decompose"
    code_generate_error = "no_such_variable"
    code_execute_result = [
        {"code": "40 + 2", "result": "42"},
        {"code": '"ab".repeat(2)', "result": '"abab"'},
        {"code": CHART, "mime": "image/png"},
        {"code": CHART, "mime": "image/svg+xml"},
    ]
    # Not the last of its cell.
    code_display_data = [{"code": f"{CHART}\nlet after = 1;", "mime": "image/png"}]
    code_history_pattern = "40*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "decompose"
    code_clear_output = 'print!("\\x1b[2J\\x1b[H");'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kc.execute_interactive("1", timeout=STARTED, output_hook=lambda _: None)

    @classmethod
    def tearDownClass(cls):
        # It goes when it is asked to, and need not be killed.
        cls.kc.shutdown()
        ended = cls.km.provisioner.process.wait(timeout=10)
        super().tearDownClass()
        assert ended == 0, ended

    def run_cell(self, code, **options):
        """The content of the reply, and the messages that belong to the cell, without `status`."""
        messages = []
        reply = self.kc.execute_interactive(code, timeout=60, output_hook=messages.append, **options)
        for message in messages:
            validate_message(message)
        published = [(m["msg_type"], m["content"]) for m in messages if m["msg_type"] != "status"]
        return reply["content"], published

    def evaluates(self, code, text):
        """The text of a cell's result."""
        reply, published = self.run_cell(code)
        self.assertEqual(reply["status"], "ok", reply)
        results = [c["data"]["text/plain"] for kind, c in published if kind == "execute_result"]
        self.assertEqual(results, [text])

    def test_every_optional_sample_is_given(self):
        for name in dir(jupyter_kernel_test.KernelTests):
            if name.startswith("code_") or name.endswith("_samples"):
                self.assertTrue(getattr(self, name), name)

    def test_outputs_keep_their_order(self):
        _, published = self.run_cell(
            'println!("one"); eprintln!("two");\n"three"\nprintln!("four");\n"five"'
        )
        kinds = [kind for kind, _ in published]
        self.assertEqual(kinds[0], "execute_input")
        self.assertEqual(kinds[-1], "execute_result")
        self.assertLess(kinds.index("display_data"), kinds.index("execute_result"))
        text = "".join(c.get("text", "") for kind, c in published if kind == "stream")
        self.assertLess(text.index("one"), text.index("four"))
        self.assertIn("two", text)

    def test_a_panic_and_an_error_lose_nothing(self):
        self.run_cell("let kept = vec![1, 2, 3];")
        reply, published = self.run_cell("kept[7]")
        self.assertEqual((reply["status"], reply["ename"]), ("error", "Panic"))
        self.assertIn("index out of bounds", reply["evalue"])
        self.assertEqual([kind for kind, _ in published], ["execute_input", "error"])
        reply, _ = self.run_cell('let never: i32 = "x".parse()?;')
        self.assertEqual(reply["evalue"], "invalid digit found in string")
        reply, _ = self.run_cell('let a = 1;\nlet wrong: i32 = "text";')
        self.assertEqual(reply["ename"], "CompileError")
        self.assertIn(":2:", "".join(reply["traceback"]))
        reply, _ = self.run_cell(":no-such-command")
        self.assertIn("unknown command :no-such-command", reply["evalue"])
        self.evaluates("kept.len()", "3")

    def test_silent_cells_say_nothing_and_are_not_counted(self):
        before, _ = self.run_cell("1")
        _, published = self.run_cell('println!("quiet");\n2', silent=True, store_history=False)
        self.assertEqual(published, [])
        _, published = self.run_cell("3", store_history=False)
        self.assertEqual(published[0][1]["execution_count"], before["execution_count"])
        after, _ = self.run_cell("4")
        self.assertEqual(after["execution_count"], before["execution_count"] + 1)

    def test_text_of_a_thread_outlives_silent_cells_and_user_expressions(self):
        self.flush_channels()
        late = (
            "std::thread::spawn(|| { std::thread::sleep(std::time::Duration::from_secs(4));"
            ' println!("late"); });'
        )
        sent = self.kc.execute(late, user_expressions={"two": "1 + 1"})
        self.kc.get_shell_msg(timeout=30)
        self.kc.execute('println!("quiet")', silent=True)
        self.kc.get_shell_msg(timeout=30)
        said = []
        while not said:
            message = self.kc.get_iopub_msg(timeout=30)
            if message["msg_type"] == "stream":
                said.append((message["content"]["text"], message["parent_header"]["msg_id"]))
        self.assertEqual(said, [("late\n", sent)])
        self.flush_channels()

    def test_user_expressions_are_evaluated(self):
        reply, published = self.run_cell(
            "let seven = 7;", user_expressions={"good": "seven * 6", "bad": "nothing"}
        )
        good, bad = (reply["user_expressions"][name] for name in ("good", "bad"))
        self.assertEqual((good["status"], good["data"]["text/plain"]), ("ok", "42"))
        self.assertEqual((bad["status"], bad["ename"]), ("error", "CompileError"))
        self.assertEqual([kind for kind, _ in published], ["execute_input"])

    def test_cells_behind_a_failed_one_are_not_run(self):
        self.flush_channels()
        slow = "std::thread::sleep(std::time::Duration::from_secs(1));"
        sent = [self.kc.execute(code) for code in (f"{slow} None::<i32>.unwrap()", "1", "2")]
        kept = self.kc.is_complete("1")
        replies = [self.kc.get_shell_msg(timeout=30) for _ in range(4)]
        by_id = {r["parent_header"]["msg_id"]: r["content"]["status"] for r in replies}
        self.assertEqual([by_id[i] for i in sent], ["error", "aborted", "aborted"])
        self.assertEqual(by_id[kept], "complete")
        self.flush_channels()

    def test_a_message_that_is_not_signed_is_not_answered(self):
        self.flush_channels()
        own = self.kc.session
        self.kc.shell_channel.session = Session(key=b"another key")
        try:
            self.kc.kernel_info()
        finally:
            self.kc.shell_channel.session = own
        forged = self.kc.session.msg("kernel_info_request")
        frames = self.kc.session.serialize(forged)
        frames[1] = b"0" * 64
        self.kc.shell_channel.socket.send_multipart(frames)
        asked = self.kc.kernel_info()
        reply = self.kc.get_shell_msg(timeout=15)
        self.assertEqual(reply["parent_header"]["msg_id"], asked)

    def text_of(self, published, name="stdout"):
        return "".join(c["text"] for kind, c in published if kind == "stream" and c["name"] == name)

    def test_a_cell_that_reads_asks_the_user(self):
        asked = []

        def answer(message):
            # Not validated: the package wants a number for `password`, which the protocol says is a bool.
            asked.append(message["content"])
            self.kc.input("Ada")

        read = "let mut line = String::new(); std::io::stdin().read_line(&mut line)?;"
        prompt = 'println!("EVCXR_INPUT_REQUEST_PASSWORD:secret? ");'
        for code, question in [
            (read, {"prompt": "", "password": False}),
            (prompt + read, {"prompt": "secret? ", "password": True}),
        ]:
            asked.clear()
            _, published = self.run_cell(
                code + ' println!("got {line:?}");', stdin_hook=answer, allow_stdin=True
            )
            self.assertEqual(asked, [question])
            self.assertEqual(self.text_of(published), 'got "Ada\\n"\n')
        # A subprocess reads too; a client that answers nothing gives the end of the input.
        shell = 'std::process::Command::new("sh").args(["-c", "read a; echo got $a"]).status()?;'
        _, published = self.run_cell(shell, stdin_hook=answer, allow_stdin=True)
        self.assertEqual(self.text_of(published), "got Ada\n")
        _, published = self.run_cell(shell, allow_stdin=False)
        self.assertEqual(self.text_of(published), "got\n")

    def test_a_question_that_is_interrupted_ends(self):
        self.flush_channels()
        code = 'let mut l = String::new(); println!("{} bytes", std::io::stdin().read_line(&mut l)?);'
        asked = self.kc.execute(code, allow_stdin=True)
        self.kc.get_stdin_msg(timeout=60)
        self.km.interrupt_kernel()
        reply = self.get_non_kernel_info_reply(timeout=30)
        self.assertEqual(reply["parent_header"]["msg_id"], asked)
        self.flush_channels()
        self.evaluates("40 + 2", "42")

    def test_streams_are_passed_on_as_they_come(self):
        self.flush_channels()
        code = (
            'for k in 0..20 { print!("\\r{k} %"); std::io::Write::flush(&mut std::io::stdout())?;'
            " std::thread::sleep(std::time::Duration::from_millis(100)); }"
        )
        self.kc.execute(code)
        times, text = [], ""
        while "19 %" not in text:
            message = self.kc.get_iopub_msg(timeout=60)
            if message["msg_type"] == "stream":
                times.append(time.monotonic())
                text += message["content"]["text"]
        self.assertEqual(text, "".join(f"\r{k} %" for k in range(20)))
        self.assertGreater(times[-1] - times[0], 1)
        self.get_non_kernel_info_reply(timeout=30)
        self.flush_channels()
        _, published = self.run_cell(
            "use std::io::Write;\nstd::io::stdout().write_all(b\"\\xff\\n\")?;\n"
            'println!("EVCXR_EXECUTION_COMPLETE"); eprintln!("VITREPL_END_OF_CELL"); eprint!("open");'
        )
        self.assertEqual(self.text_of(published), "\ufffd\nEVCXR_EXECUTION_COMPLETE\n")
        self.assertEqual(self.text_of(published, "stderr"), "VITREPL_END_OF_CELL\nopen")
        self.evaluates("40 + 2", "42")

    def test_what_is_printed_between_two_cells_is_not_lost(self):
        self.flush_channels()
        late = "std::thread::spawn(|| { sleep(Duration::from_millis({})); println!(\"late {}\"); });"
        for number in range(5):
            pauses = "".join(late.replace("{}", str(40 * k), 1).replace("{}", f"{number} {k}") for k in range(1, 5))
            for code in (f"use std::{{thread::sleep, time::Duration}};\n{pauses}", "let next = 1;"):
                self.kc.execute(code)
                self.get_non_kernel_info_reply(timeout=60)
                time.sleep(0.13)
        text = ""
        with contextlib.suppress(queue.Empty):
            while True:
                text += self.kc.get_iopub_msg(timeout=1)["content"].get("text", "")
        wanted = sorted(f"late {number} {k}" for number in range(5) for k in range(1, 5))
        self.assertEqual(sorted(text.splitlines()), wanted)

    def test_what_the_session_says_begins_a_line(self):
        _, published = self.run_cell('let old = vec![1]; eprint!("open"); let new = old;')
        self.assertRegex(self.text_of(published, "stderr"), "^open\n.*note:.* `old` was moved")
        _, published = self.run_cell('print!("open");\n:type new')
        self.assertEqual(self.text_of(published), "open\nVec<i32>\n")

    def test_an_interrupted_cell_has_failed_and_what_is_behind_it_is_not_run(self):
        self.flush_channels()
        slow = "let kept = 3; std::thread::sleep(std::time::Duration::from_secs(3)); let also = 4;"
        sent = [self.kc.execute(code) for code in (slow, "1")]
        time.sleep(1.5)
        self.km.interrupt_kernel()
        replies = [self.kc.get_shell_msg(timeout=30) for _ in range(2)]
        by_id = {r["parent_header"]["msg_id"]: r["content"] for r in replies}
        self.assertEqual([by_id[i]["status"] for i in sent], ["error", "aborted"])
        self.assertIn("interrupted", by_id[sent[0]]["evalue"])
        self.flush_channels()
        self.evaluates("kept + also", "7")

    def test_an_interrupt_at_any_time_is_told_as_such(self):
        self.flush_channels()
        told = set()
        for number in range(40):
            self.kc.execute(f"let number = {number};")
            time.sleep(number * 0.008)
            self.km.interrupt_kernel()
            reply = self.get_non_kernel_info_reply(timeout=60)["content"]
            told.add(reply.get("evalue", "ok").split(" ")[0].rstrip(";"))
            # The next cell is not what is interrupted.
            time.sleep(0.1)
        self.assertLessEqual(told, {"ok", "interrupted"})
        self.flush_channels()

    def test_every_displayed_value_is_shown(self):
        _, published = self.run_cell(
            f'for k in 0..3 {{ println!("{{k}}"); {CHART}.evcxr_display(); }}\n{CHART}'
        )
        kinds = [kind for kind, _ in published if kind != "execute_input"]
        self.assertEqual(kinds, ["stream", "display_data"] * 3 + ["execute_result"])

    def test_documentation_of_a_variable_and_inside_a_call(self):
        def inspect(code, at=None):
            self.flush_channels()
            self.kc.inspect(code, at)
            return self.kc.get_shell_msg(timeout=60)["content"]

        found = inspect("let c = score::top(&names, 8);", 27)
        self.assertIn("pub fn top(", found["data"]["text/plain"])
        self.assertIn("```rust", found["data"]["text/markdown"])
        self.run_cell("let numbers = vec![1u8];")
        self.assertIn("Vec<u8>", inspect("numbers")["data"]["text/plain"])
        self.assertFalse(inspect("no_such_name")["found"])

    def test_a_fit_is_interrupted_and_goes_on(self):
        self.run_cell(
            'let vit = load("tiny_vit")?; let clip = load_clip("tiny_clip")?;\n'
            "let few = GeneratedSet::new(GeneratedSpec::unbiased(5, 600))?;\n"
            'let path = std::env::temp_dir().join(format!("vitrepl-fit-{}", std::process::id()));\n'
            "fn fit(epochs: usize, path: &std::path::Path) -> FitOptions<'static> { FitOptions {\n"
            "    epochs, patience: 100_000, checkpoint: Some(path.into()), ..FitOptions::default()\n"
            "} }"
        )
        self.flush_channels()
        fit = "let a = align(&vit, &clip, &few, &DecomposeOptions::default(), &fit({}, &path))?;"
        asked = self.kc.execute(fit.format(5000))
        updates, shown = 0, None
        while updates < 2:
            message = self.kc.get_iopub_msg(timeout=60)
            validate_message(message)
            content = message["content"]
            if message["msg_type"] == "display_data":
                shown = content["transient"]["display_id"]
            elif message["msg_type"] == "update_display_data":
                if content["transient"]["display_id"] != shown:
                    continue
                # A bar of the call that has just begun, live.
                self.assertIn("<progress", content["data"]["text/html"])
                updates += "align tiny_vit" in content["data"]["text/plain"]
            elif message["msg_type"] in ("stream", "error"):
                self.fail(content)
        pressed = time.monotonic()
        self.km.interrupt_kernel()
        reply = self.get_non_kernel_info_reply(timeout=30)
        took = time.monotonic() - pressed
        self.assertEqual(reply["parent_header"]["msg_id"], asked)
        self.assertEqual(reply["content"]["status"], "error")
        self.assertIn("interrupted", reply["content"]["evalue"])
        print(f"the fit stopped {took:.2f} s after the interrupt")
        self.assertLess(took, 5)
        self.flush_channels()
        reply, _ = self.run_cell(fit.format(1))
        self.assertEqual(reply["status"], "ok", reply)
        self.evaluates("a.report.as_ref().is_some_and(|r| r.resumed_at.is_some())", "true")
        self.evaluates("std::fs::remove_file(&path)?; vit.name()", '"tiny_vit"')


class OrphanTests(unittest.TestCase):
    def test_a_kernel_ends_when_its_parent_has_died(self):
        start = (
            "import os, signal, sys\n"
            "from jupyter_client.manager import start_new_kernel\n"
            "km, kc = start_new_kernel(kernel_name='vitrepl', startup_timeout=300)\n"
            "print(km.provisioner.process.pid, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ran = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
        kernel = int(ran.stdout)
        for _ in range(100):
            # One that has ended and that nobody has waited for is still listed.
            try:
                with open(f"/proc/{kernel}/stat") as stat:
                    if stat.read().rsplit(")")[-1].split()[0] == "Z":
                        return
            except FileNotFoundError:
                return
            time.sleep(0.1)
        self.fail(f"kernel {kernel} still runs")


class WelcomeTests(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "vitrepl"
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()
