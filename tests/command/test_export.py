"""What of tools/export_layers.py runs without torch: the command line, refusals, token texts, files that appear whole.

    python3 test_export.py SCRATCH       (Python alone; tests/models has the rest)
"""
import argparse
import os
import shutil
import subprocess
import sys
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
SCRIPT = os.path.join(TOOLS, "export_layers.py")
sys.path.insert(0, TOOLS)

from export import command_line, requirements, token_texts, whole_files  # noqa: E402
from export.refusal import Refusal  # noqa: E402

SCRATCH = os.path.join(sys.argv[1], "export")


def place(name, content=None):
    """A path in the scratch folder; with content, a file of it."""
    path = os.path.join(SCRATCH, name)
    if content is not None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    return path


class Scratch(unittest.TestCase):
    def setUp(self):
        shutil.rmtree(SCRATCH, ignore_errors=True)
        os.makedirs(SCRATCH)

    def run_script(self, *arguments):
        """As on a machine whose Python has nothing installed; it must never trip over itself."""
        done = subprocess.run([sys.executable, "-I", "-S", "-B", SCRIPT, *arguments], text=True, cwd=SCRATCH,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={})
        self.assertNotIn("Traceback", done.stderr)
        return done

    def refuses(self, words, *arguments):
        done = self.run_script(*arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, "^export_layers: ")
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(place("out")))


class CommandLine(Scratch):
    def test_help(self):
        done = self.run_script("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("example: ", "--text ", "--text-file ", "--layers ", "--max-tokens ", "--dtype ", "--expect ",
                     "--name "):
            self.assertIn(word, done.stdout)

    def test_wrong_command_lines(self):
        good = ["model", "--text", "word", "-o", "out"]
        for words, arguments in (
                (["--text"], ["model", "-o", "out"]),
                (["-o"], ["model", "--text", "word"]),
                (["MODEL"], good[1:]),
                (["--text-file", "not allowed with"], good + ["--text-file", "f"]),
                (["unrecognized", "--layer"], good + ["--layer", "3"]),
                (["--layers", "'a'", "neither a layer (3) nor a range (3-5)"], good + ["--layers", "0,a"]),
                (["--max-tokens", "'0'", "1 or more"], good + ["--max-tokens", "0"]),
                (["--dtype", "'int8'", "bfloat16"], good + ["--dtype", "int8"]),
                (["--expect ./out is the folder of -o"], good + ["--expect", "./out"]),
                (["name of output is empty"], ["model", "--text", "word", "-o", ""]),
                (["name of model is empty"], ["", "--text", "word", "-o", "out"])):
            with self.subTest(arguments):
                done = self.run_script(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                for word in words:
                    self.assertIn(word, done.stderr)

    def test_layer_lists(self):
        for text, numbers in (("0", [0]), ("0,3-5", [0, 3, 4, 5]), ("7,2,2-3,7", [2, 3, 7]), ("9999", [9999]),
                              ("4-4", [4])):
            self.assertEqual(command_line.layer_list(text), numbers, text)
        for text in ("", ",", "1,", "-1", "1-", "1-2-3", "1.5", " 1", "\u0663", "x", "5-3", "10000", "0-10000"):
            with self.assertRaises(argparse.ArgumentTypeError, msg=repr(text)):
                command_line.layer_list(text)

    def test_spelled_lists(self):
        for numbers, text in (([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([5, 0, 4, 9], "0,4-5,9")):
            self.assertEqual(command_line.spell_layers(numbers), text)

    def test_layers_that_a_model_lacks(self):
        command_line.check_layers(None, range(6))
        command_line.check_layers([0, 5], range(6))
        with self.assertRaises(Refusal) as caught:
            command_line.check_layers([4, 5, 6, 7], range(6))
        self.assertEqual(str(caught.exception),
                         "--layers 4-7: no layer 6-7 with attention, the model has 0-5")


class Refusals(Scratch):
    def test_models_that_are_none(self):
        place("empty/readme.txt", b"")
        place("weights.bin", b"GGML and more")
        for words, model in ((["nowhere: no such folder or file"], "nowhere"),
                             (["empty: the folder has no config.json"], "empty"),
                             (["weights.bin: ", "b'GGML'", "b'GGUF'"], "weights.bin")):
            self.refuses(words, model, "--text", "word", "-o", "out")

    def test_texts_that_cannot_be_read(self):
        place("model/config.json", b"{}")
        place("latin", b"caf\xe9")
        self.refuses(["--text-file none: No such file"], "model", "--text-file", "none", "-o", "out")
        self.refuses(["--text-file latin: byte 3 is not UTF-8"], "model", "--text-file", "latin", "-o", "out")

    def test_words_that_are_not_utf8(self):
        place("model/config.json", b"{}")
        place(b"caf\xe9".decode("utf-8", "surrogateescape") + "/config.json", b"{}")
        self.refuses(["--text: byte 3 is not UTF-8"], "model", "--text", b"\xc3\xa9a\xff", "-o", "out")
        self.refuses(["--name: byte 0 is not UTF-8"], "model", "--text", "word", "-o", "out", "--name", b"\xff")
        self.refuses(["the model's name, b'caf\\xe9', which --name overrides: byte 3 is not UTF-8"], b"caf\xe9", "--text", "word",
                     "-o", "out")
        self.refuses(["no module torch"], b"caf\xe9", "--text", "word", "-o", "out", "--name", "coffee")

    def test_folders_that_are_files(self):
        place("model/config.json", b"{}")
        place("file", b"")
        self.refuses(["-o file: is there, and is no folder"], "model", "--text", "word", "-o", "file")
        self.refuses(["--expect file: is there, and is no folder"], "model", "--text", "word", "-o", "out", "--expect",
                     "file")

    def test_modules_that_are_missing(self):
        place("model/config.json", b"{}")
        place("model.gguf", b"GGUF")
        needed = "torch, transformers, safetensors"
        for model, names in (("model", needed), ("model.gguf", needed + ", gguf, accelerate")):
            self.refuses([f"no module {names}:", f"pip install {names.replace(',', '')}, or all",
                          "model_requirements.txt"], model, "--text", "word", "-o", "out")

    def test_requirements_name_what_is_needed(self):
        with open(requirements.FILE, encoding="utf-8") as file:
            pinned = {line.split("==")[0] for line in file if "==" in line and not line.startswith("#")}
        self.assertLessEqual(set(requirements.NEEDED + requirements.NEEDED_BY_GGUF), pinned)


class WholeFiles(Scratch):
    def writer(self, text, error=None):
        def write(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            if error:
                raise error
        return write

    def test_written(self):
        path = place("layer00.safetensors", b"old")
        whole_files.write(path, self.writer("new"))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "new")
        self.assertEqual(os.listdir(SCRATCH), ["layer00.safetensors"])

    def test_mode(self):
        """That of any new file: what writes safetensors keeps its own to their owner."""
        def private(path):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

        path = place("layer00.safetensors")
        for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
            before = os.umask(mask)
            try:
                whole_files.write(path, private)
            finally:
                os.umask(before)
            self.assertEqual(os.stat(path).st_mode & 0o777, mode)

    def test_nothing_half_written(self):
        path = place("layer00.safetensors")
        for error, kind in ((OSError(28, "No space left"), Refusal), (KeyboardInterrupt(), KeyboardInterrupt)):
            with self.assertRaises(kind):
                whole_files.write(path, self.writer("half", error))
            self.assertEqual(os.listdir(SCRATCH), [])

    def test_folders(self):
        place("file", b"")
        whole_files.make_folder(place("a/b"))
        whole_files.make_folder(place("a/b"))
        self.assertTrue(os.path.isdir(place("a/b")))
        with self.assertRaises(Refusal) as caught:
            whole_files.make_folder(place("file/b"))
        self.assertEqual(str(caught.exception), f"{place('file/b')}: the folder cannot be made: Not a directory")

    def test_message(self):
        path = place("no/folder/layer00.safetensors")
        with self.assertRaises(Refusal) as caught:
            whole_files.write(path, self.writer("new"))
        self.assertEqual(str(caught.exception), f"{path}: No such file or directory")

    def test_left_over(self):
        for name in ("layer00.safetensors", "layer01.safetensors", "layer100.safetensors", "layer.safetensors",
                     "layer02.expect.safetensors", "layer03.safetensors.bak", ".layer04.safetensors.7.part"):
            place("out/" + name, b"")
        found = whole_files.left_over(place("out"), ["layer01.safetensors"])
        self.assertEqual(found, ["layer00.safetensors", "layer100.safetensors"])
        self.assertEqual(whole_files.left_over(place("out"), found + ["layer01.safetensors"]), [])
        self.assertIsNone(command_line.tell_left_over("out", []))
        said = command_line.tell_left_over("out", found)
        self.assertTrue(said.startswith("out holds layers of an earlier run as well"), said)
        self.assertIn("layer00.safetensors, layer100.safetensors; ", said)
        said = command_line.tell_left_over("out", [f"layer{n:02}.safetensors" for n in range(29)])
        self.assertIn("layer03.safetensors and 25 more; ", said)
        self.assertNotIn("layer04", said)

    def test_groups(self):
        self.assertEqual(whole_files.group_by_text([("a", 0), ("b", 1), ("a", 2)]), {"a": [0, 2], "b": [1]})


class Bytes:
    """A tokenizer whose tokens are bytes; a list of tokens decodes as UTF-8 does."""

    def convert_ids_to_tokens(self, ids):
        return [f"<{i}>" for i in ids]

    def decode(self, ids, clean_up_tokenization_spaces):
        return bytes(ids).decode("utf-8", errors="replace")


class Pieces:
    """Words by number; those that begin with U+2581 lose it, and the space that it stands for, when decoded alone."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def convert_ids_to_tokens(self, ids):
        return [self.pieces[i] for i in ids]

    def decode(self, ids, clean_up_tokenization_spaces):
        return "".join(self.pieces[i] for i in ids).replace("\u2581", " ").removeprefix(" ")


class TokenTexts(unittest.TestCase):
    def test_parts_of_characters(self):
        accent, elephant = ["é 1/2", "é 2/2"], [f"🐘 {i}/4" for i in (1, 2, 3, 4)]
        self.assertEqual(token_texts.of(Bytes(), list("aé b".encode())), ["a", *accent, " ", "b"])
        self.assertEqual(token_texts.of(Bytes(), list("🐘".encode())), elephant)
        self.assertEqual(token_texts.of(Bytes(), list("é🐘".encode())), accent + elephant)

    def test_bytes_that_are_no_character(self):
        unknown = token_texts.UNKNOWN
        self.assertEqual(token_texts.of(Bytes(), [0xC3]), [unknown])
        self.assertEqual(token_texts.of(Bytes(), [0xFF, 0x61, 0xFF]), [unknown, "a", unknown])
        self.assertEqual(token_texts.of(Bytes(), [0x80] * 200), [unknown] * 200)

    def test_words(self):
        pieces = Pieces("[CLS]", "\u2581pink", "\u2581el", "eph", "ants", "\u2581")
        self.assertEqual(token_texts.of(pieces, [0, 1, 2, 3, 4, 5]), ["[CLS]", " pink", " el", "eph", "ants", " "])
        self.assertEqual(token_texts.of(pieces, []), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
