"""The page that `clattn draw -o x.html` makes, opened in a real browser.

test_page.py CLATTN FOLDER CASE...   (cases are the classes below; screenshots are left in FOLDER)
"""

import html
import json
import math
import operator
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import time
import unicodedata
import unittest

import page_inputs
from browser import Browser, By

CLATTN, FOLDER = sys.argv[1:3]
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
TOLERANCE = 1e-2  # relative to max(1, the number): what pages promise
QUANTITIES = ("P", "Pv", "A", "antisymmetric")


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf").replace("none", "nan"))


class PageCase(unittest.TestCase):
    """One browser for all tests of a case; each opens its page and leaves nothing said and nothing asked for."""

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(FOLDER, cls.__name__)
        shutil.rmtree(cls.folder, ignore_errors=True)
        os.makedirs(cls.folder)
        cls.browser = Browser(cls.folder)
        cls.addClassCleanup(cls.leave_screenshots)
        cls.addClassCleanup(cls.browser.quit)

    @classmethod
    def leave_screenshots(cls):
        shutil.rmtree(os.path.join(cls.folder, "profile"), ignore_errors=True)
        for name in os.listdir(cls.folder):
            if name.endswith(".safetensors"):
                os.remove(os.path.join(cls.folder, name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def draw(self, *arguments, output="page.html", warned=False):
        """warned: of numbers; tests of the command read what it says."""
        done = subprocess.run([CLATTN, "draw", *arguments, "-o", self.path(output)], capture_output=True, text=True)
        self.assertEqual((done.returncode, "" if warned else done.stderr), (0, ""), done.stdout)
        return self.path(output)

    def refused(self, *arguments):
        done = subprocess.run([CLATTN, "draw", *arguments, "-o", self.path("refused.html")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertFalse(os.path.exists(self.path("refused.html")))
        return done.stderr

    def open(self, *arguments, **state):
        self.browser.open(self.draw(*arguments))
        if state:
            self.set(**state)

    def set(self, **state):
        self.browser.run("page.set(arguments[0])", state)
        self.browser.frame()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.requests(), [])

    def state(self, name):
        return self.browser.run("return page.state[arguments[0]]", name)

    def matrix(self, layer, head, quantity):
        self.browser.wait_for("return page.matrix(arguments[0], arguments[1], arguments[2]) !== null", layer, head, quantity)
        return self.browser.run("return Array.from(page.matrix(arguments[0], arguments[1], arguments[2]), String)",
                                layer, head, quantity)

    def assert_near(self, shown, exact, what):
        self.assertLessEqual(abs(shown - exact), TOLERANCE * max(1.0, abs(exact)), what)

    def assert_matrix(self, layer, head, quantity, exact):
        shown = [float(text) for text in self.matrix(layer, head, quantity)]
        self.assertEqual(len(shown), len(exact))
        for at, (x, y) in enumerate(zip(shown, exact)):
            self.assert_near(x, y, f"layer {layer}, head {head}, {quantity}, cell {at}")

    def block_type(self, head, name="q", layer=0):
        return self.browser.run("const h = page.data.layers[arguments[0]].heads[arguments[1]];"
                                "return page.data.types[h[arguments[2]]]", layer, head, name)

    def cell_place(self, query, key):
        return self.browser.run("return page.placeOfCell({ query: arguments[0], key: arguments[1] })", query, key)


class Numbers(PageCase):
    """Every number of small heads of every kind, against sums in double."""

    def check(self, layer, **labels):
        layer.write(self.path("in.safetensors"), **labels)
        self.open(self.path("in.safetensors"))
        for quantity in QUANTITIES if layer.sq == layer.sk else QUANTITIES[:3]:
            for head in range(layer.heads):
                self.assert_matrix(0, head, quantity, layer.matrix(quantity, head))
        self.assertEqual(self.block_type(0), "h")

    def test_plain(self):
        self.check(page_inputs.Layer(1))

    def test_causal_window(self):
        self.check(page_inputs.Layer(2, sq=17, sk=17, causal=True, left=5))

    def test_both_windows_and_softcap(self):
        self.check(page_inputs.Layer(3, heads=2, key_heads=1, dk=9, softcap=2.5, left=3, right=2))

    def test_mask_of_numbers(self):
        mask = [[-math.inf if (i + j) % 5 == 0 else (i - j) / 8 for j in range(12)] for i in range(12)]
        self.check(page_inputs.Layer(4, mask=mask))

    def test_mask_of_bits_with_a_row_of_nothing(self):
        mask = [[-math.inf if i == 3 or (i * j) % 3 == 1 else 0.0 for j in range(12)] for i in range(12)]
        self.check(page_inputs.Layer(5, mask=mask))
        self.assertEqual(self.browser.run("return page.data.types[page.data.layers[0].mask.block]"), "b")

    def test_more_keys_than_queries(self):
        self.check(page_inputs.Layer(6, sq=5, sk=23, scale=0.7))

    def test_one_token(self):
        self.check(page_inputs.Layer(7, heads=1, key_heads=1, sq=1, sk=1))

    def test_real_layer(self):
        expect = page_inputs.read(os.path.join(DATA, "smollm2-layer13-elephant.expect.safetensors"))
        self.open(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"))
        for quantity in ("P", "A"):
            for head in range(9):
                self.assert_matrix(0, head, quantity, expect[quantity][1][head * 169:(head + 1) * 169])

    def test_second_entry_of_a_batch(self):
        expect = page_inputs.read(os.path.join(DATA, "minilm-layer03-mat.expect.safetensors"))["P"]
        size = math.prod(expect[0][1:])
        one = size // 12
        name = os.path.join(DATA, "minilm-layer03-mat.safetensors")
        self.open(name, "--batch", "1", "--heads", "2,11")
        for position, head in enumerate((2, 11)):
            self.assert_matrix(0, position, "P", expect[1][size + head * one:size + (head + 1) * one])
        self.assertIn("head 11", self.browser.find("#head").text)

    def test_same_bytes_twice(self):
        name = os.path.join(DATA, "minilm-layer03-mat.safetensors")
        pages = [self.draw(name, output=output) for output in ("once.html", "twice.html")]
        with open(pages[0], "rb") as once, open(pages[1], "rb") as twice:
            self.assertEqual(once.read(), twice.read())


class Halves(PageCase):
    """Where float16 cannot hold a key head and its queries, float32 does."""

    def check(self, layer, kinds):
        """kinds: of each key head."""
        layer.write(self.path("in.safetensors"))
        self.open(self.path("in.safetensors"))
        group = layer.heads // layer.key_heads
        for name in "qk":
            self.assertEqual([self.block_type(head, name) for head in range(layer.heads)], [k for k in kinds for _ in range(group)])
        for quantity in QUANTITIES:
            for head in range(layer.heads):
                self.assert_matrix(0, head, quantity, layer.matrix(quantity, head))

    def rounded(self, layer):
        """How far weights are off that come of rounded queries and keys, with the exact sums."""
        exact = [layer.matrix("P", head) for head in range(layer.heads)]
        lse = {}
        for head in range(layer.heads):
            for i in range(layer.sq):
                lse[head, i] = max(layer.masked(head, i, j) for j in range(layer.sk))
                lse[head, i] += math.log(math.fsum(math.exp(layer.masked(head, i, j) - lse[head, i])
                                                   for j in range(layer.sk)))
        layer.q, layer.k = ([struct.unpack("<e", struct.pack("<e", x))[0] for x in y] for y in (layer.q, layer.k))
        return max(abs(math.exp(layer.masked(head, i, j) - lse[head, i]) - exact[head][i * layer.sk + j])
                   for head in range(layer.heads) for i in range(layer.sq) for j in range(layer.sk))

    def test_ordinary_numbers(self):
        self.check(page_inputs.Layer(11), "hh")
        self.assertLess(self.rounded(page_inputs.Layer(11)), TOLERANCE)

    def test_beyond_the_largest_half(self):
        layer = page_inputs.Layer(12)
        layer.q[5] = 70000.0
        layer.k[5] = layer.k[13] = 1e-5
        self.check(layer, "fh")
        layer = page_inputs.Layer(12)
        layer.k[13 * layer.dk] = 70000.0  # of the other key head
        for head in (2, 3):
            for at in range(head * layer.sq * layer.dk, (head + 1) * layer.sq * layer.dk, layer.dk):
                layer.q[at] = 1e-5
        self.check(layer, "hf")

    def test_close_races_of_large_scores(self):
        """Scores that float16 holds to four digits, of which the weights are then off."""
        layer = page_inputs.Layer(13)
        for x, much in ((layer.q, 90.03), (layer.k, 30.013)):
            for at in range(0, len(x), layer.dk):
                x[at] = struct.unpack("<f", struct.pack("<f", x[at] * 0.01 + much))[0]
        self.check(layer, "ff")
        self.assertGreater(self.rounded(layer), TOLERANCE)

    def test_large_scores_of_either_sign(self):
        layer = page_inputs.Layer(15, spread=7.0)
        self.check(layer, "ff")
        self.assertGreater(self.rounded(layer), TOLERANCE)

    def test_one_head_of_many(self):
        layer = page_inputs.Layer(14, heads=4, key_heads=4, sk=40, sq=40)
        at = (3 * 40 + 17) * layer.dk
        layer.q[at:at + layer.dk] = [x * 60 for x in layer.row(layer.q, 3, 17)]
        self.check(layer, "hhhf")

    def test_one_head_of_a_group(self):
        layer = page_inputs.Layer(14, heads=6, key_heads=3, sk=40, sq=40)
        at = (3 * 40 + 17) * layer.dk
        layer.q[at:at + layer.dk] = [x * 60 for x in layer.row(layer.q, 3, 17)]
        self.check(layer, "hfh")

    def test_scores_that_are_nearly_symmetric(self):
        """Four digits of a score, and of its weight, are enough; of its difference from the one back they leave nothing."""
        layer = page_inputs.Layer(19, heads=1, key_heads=1, softcap=0.01)
        layer.q = list(struct.unpack(f"<{len(layer.q)}f", struct.pack(f"<{len(layer.q)}f", *(30 + x for x in layer.q))))
        near = [x * (1 + y / 1000) for x, y in zip(layer.q, layer.k)]
        layer.k = list(struct.unpack(f"<{len(near)}f", struct.pack(f"<{len(near)}f", *near)))
        self.check(layer, "f")
        self.assertLess(self.rounded(layer), 1e-3)

    def test_near_the_limit(self):
        """What float16 shows less than 1e-2 off, though not by much, stays float16."""
        layer = page_inputs.Layer(18, heads=1, key_heads=1, spread=3.0)
        layer.v = [x / 8 for x in layer.v]
        self.check(layer, "h")
        self.assertGreater(self.rounded(layer), 5e-3)

    def test_a_query_beside_a_larger_one(self):
        layer = page_inputs.Layer(16, heads=1, key_heads=1)
        layer.k[1::layer.dk] = [0.0] * layer.sk
        layer.q[:layer.dk] = [0.0, 4096.0] + [0.0] * (layer.dk - 2)
        at = 5 * layer.dk
        layer.q[at:at + layer.dk] = [x * 60 for x in layer.row(layer.q, 0, 5)]
        self.check(layer, "f")

    def test_a_score_that_nothing_weighs(self):
        """Far off, since large products cancel, where no weight tells of it: in what comes later."""
        layer = page_inputs.Layer(17, heads=1, key_heads=1, causal=True)
        layer.q[:2] = [100.03, 99.98]
        layer.k[11 * layer.dk:11 * layer.dk + 2] = [30.01, -30.04]
        for x in (layer.q, layer.k):
            x[:] = struct.unpack(f"<{len(x)}f", struct.pack(f"<{len(x)}f", *x))
        for at in range(layer.dk, 11 * layer.dk, layer.dk):  # nobody else has these channels
            layer.q[at:at + 2] = layer.k[at:at + 2] = [0.0, 0.0]
        layer.k[:2] = layer.q[11 * layer.dk:11 * layer.dk + 2] = [0.0, 0.0]
        self.check(layer, "f")


class Huge(PageCase):
    """Numbers of more digits than places have room for."""

    def test_no_weight_above_one(self):
        """Where neighbouring float32 numbers are further apart than a weight's logarithm."""
        layer = page_inputs.Layer(31, heads=1, key_heads=1, scale=1.0)
        for x in (layer.q, layer.k):
            x[:] = struct.unpack(f"<{len(x)}f", struct.pack(f"<{len(x)}f", *(5000.0 + y / 8 for y in x)))
        layer.write(self.path("in.safetensors"))
        self.browser.open(self.draw(self.path("in.safetensors"), warned=True))
        self.set(view="matrix")
        weights = [float(x) for x in self.matrix(0, 0, "P")]
        self.assertGreater(max(weights), 0)
        self.assertLessEqual(max(weights), 1)
        self.assertGreater(min(float(x) for x in self.matrix(0, 0, "A")), 1.9e8)

    def test_room(self):
        numbers = [3.4e38 * (-1) ** (i + j) / (1 + i) for i in range(9) for j in range(9)]
        page_inputs.write(self.path("a.safetensors"), {"A": ("F32", [9, 9], page_inputs.pack("F32", numbers))}, {})
        self.browser.open(self.draw(self.path("a.safetensors")))
        for transform in ("linear", "root", "log"):
            self.set(view="matrix", transform=transform)
            ticks = self.browser.run("return page.legendTicks")
            self.assertEqual((ticks[0]["said"], ticks[-1]["said"]), ("−3.4e38", "3.4e38"))
            for one, other in zip(ticks, ticks[1:]):
                self.assertLess(one["x"] + one["width"] / 2, other["x"] - other["width"] / 2)
        self.browser.screenshot("huge")
        texts = self.browser.run("return [0, 0.5, -12345, 99999.4, 99999.6, -123456, 2e8, 3.4e38].map(page.shortNumber)")
        self.assertEqual(texts, ["0.00", "0.50", "−12345", "99999", "1e5", "−1.2e5", "2e8", "3.4e38"])
        texts = self.browser.run("return [9.99999, 12345.6, -99999, 99999.9, -3.4028e38].map(page.number)")
        self.assertEqual(texts, ["10.0000", "12346", "−99999", "1.000e5", "−3.403e38"])
        self.set(pinned={"query": 0, "key": 0})
        for shown in self.browser.all("#token [data-key]"):
            self.assertLess(shown.rect["x"] + shown.rect["width"], 1400 - 18)
        texts = self.browser.run("return [0, 0.25, -0.0012, 0.00012, 1500, 99000, 99600, -2e8, 1e-7].map(page.tick)")
        self.assertEqual(texts, ["0", "0.25", "−0.0012", "1.2e−4", "1500", "99000", "1e5", "−2e8", "1e−7"])


class Bare(PageCase):
    """Files of nothing but P or A."""

    def write(self, name, shape, numbers, quantity="P", **labels):
        page_inputs.write(self.path(name), {quantity: ("F32", shape, page_inputs.pack("F32", numbers))}, labels)
        return self.path(name)

    def test_dense(self):
        numbers = [((i * 37) % 101 + 1) / 500 for i in range(2 * 7 * 7)]
        self.open(self.write("dense.safetensors", [2, 7, 7], numbers))
        for head in (0, 1):
            self.assert_matrix(0, head, "P", numbers[head * 49:(head + 1) * 49])
        self.assertEqual(self.browser.run("return page.layer(0).quantities"), ["P"])
        self.assertEqual([b.is_displayed() for b in self.browser.all("#quantities button")], [True, False, False, False])

    def test_sparse(self):
        numbers = [0.0] * (60 * 50)
        for at in (0, 49, 50, 777, 2999):
            numbers[at] = (at + 1) / 4000
        self.open(self.write("sparse.safetensors", [60, 50], numbers), view="network", top=0)
        self.assertNotIn("dense", self.browser.run("return Object.keys(page.layer(0).heads[0])"))
        self.assert_matrix(0, 0, "P", numbers)
        self.assertEqual(self.browser.run("return page.shownEdges().map((e) => [e.query, e.key])"),
                         [[at // 50, at % 50] for at in (0, 49, 50, 777, 2999)])

    def test_sparse_and_long(self):
        """Above 2,048 tokens an overview opens, and rows come of the edges."""
        raw, edges = bytearray(4 * 3000 * 3000), {(0, 0): 0.5, (17, 2999): 0.25, (2999, 17): 0.75, (2999, 16): 0.125}
        for (query, key), value in edges.items():
            struct.pack_into("<f", raw, 4 * (query * 3000 + key), value)
        page_inputs.write(self.path("long.safetensors"), {"P": ("F32", [3000, 3000], bytes(raw))}, {})
        self.open(self.path("long.safetensors"), view="matrix", pinned={"query": 2999, "key": 2999})
        self.assertLess(os.path.getsize(self.path("page.html")), 3e6)
        listed = {int(n.get_attribute("data-key")): number(n.text) for n in self.browser.all("#token [data-key]")}
        self.assertEqual(listed, {17: 0.75, 16: 0.125})
        tiles = self.browser.run("const o = page.overview(0, 0, 'P', 'most'); return Array.from(o.values).filter((x) => x)")
        self.assertEqual(tiles, [0.5, 0.25, 0.75])
        self.set(view="network", top=0)
        self.assertEqual(len(self.browser.run("return page.shownEdges()")), 3)

    def test_scores_with_infinities(self):
        numbers = [(-math.inf if j > i else 3.0 * i - 7.0 * j) for i in range(9) for j in range(9)]
        self.open(self.write("a.safetensors", [9, 9], numbers, "A"), view="matrix")
        shown = [float(x.replace("Infinity", "inf")) for x in self.matrix(0, 0, "A")]
        self.assertEqual(shown, numbers)
        self.browser.point(self.cell_place(2, 5))
        self.assertEqual(self.browser.find("#tip dd[data-quantity=A]").text, "−∞")
        half = self.browser.run("return page.cell(page.head(0, 0), 'antisymmetric', 6, 6)")
        self.assertEqual(half, 0)

    def test_as_many_edges_as_a_page_takes(self):
        numbers = [0.001] * 2000000
        self.open(self.write("full.safetensors", [2, 1000, 1000], numbers), view="matrix")
        self.browser.wait_for("return page.matrix(0, 1, 'P') !== null")
        self.assertAlmostEqual(self.browser.run("return page.cell(page.head(0, 1), 'P', 999, 999)"), 0.001, 6)

    def test_one_edge_more(self):
        shape = [1, 1, 2000001]
        name = self.write("more.safetensors", shape, [0.5] * 2000001)
        said = self.refused(name)
        self.assertIn("2000001 edges", said)
        self.assertIn("2000000", said)


class Hands(PageCase):
    """What a person does, with the pointer and with keys alone."""

    def elephant(self, **state):
        self.open(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"), **state)
        self.expect = page_inputs.read(os.path.join(DATA, "smollm2-layer13-elephant.expect.safetensors"))

    def exact(self, quantity, head, query, key):
        return self.expect[quantity][1][(head * 13 + query) * 13 + key]

    def test_hover_and_pin_in_the_matrix(self):
        self.elephant(view="matrix", head=8)
        self.browser.point(self.cell_place(12, 8))
        tip = self.browser.find("#tip")
        self.assertTrue(tip.is_displayed())
        self.assertTrue(tip.text.startswith("too → car"), tip.text)
        a, back = self.exact("A", 8, 12, 8), self.exact("A", 8, 8, 12)
        for quantity, exact in (("P", self.exact("P", 8, 12, 8)), ("A", a), ("antisymmetric", (a - back) / 2)):
            self.assert_near(number(tip.find_element(By.CSS_SELECTOR, f"dd[data-quantity={quantity}][data-way=there]").text),
                             exact, quantity)
        self.assertEqual(tip.find_element(By.CSS_SELECTOR, "dd[data-way=back]").text, "0")
        self.browser.point(self.cell_place(12, 2), click=True)
        self.browser.point({"x": 1, "y": 1})
        self.assertFalse(tip.is_displayed())
        token = self.browser.find("#token")
        self.assertIn("“ too” token 12 pinned", token.text)
        listed = [(int(n.get_attribute("data-key")), number(n.text)) for n in self.browser.all("#token [data-key]")]
        row = [self.exact("P", 8, 12, j) for j in range(13)]
        self.assertEqual([key for key, _ in listed], sorted(range(13), key=lambda j: -row[j])[:8])
        for key, value in listed:
            self.assert_near(value, row[key], f"key {key}")
        self.browser.screenshot("matrix-light")
        self.browser.point(self.cell_place(12, 0), click=True)
        self.assertIsNone(self.state("pinned"))

    def test_network(self):
        self.elephant(view="network", head=8)
        row = [self.exact("P", 8, 12, j) for j in range(13)]
        edges = self.browser.run("return page.shownEdges().filter((e) => e.query === 12)")
        self.assertEqual(sorted(e["key"] for e in edges), sorted(sorted(range(13), key=lambda j: -row[j])[:3]))
        for edge in edges:
            self.assert_near(edge["value"], row[edge["key"]], str(edge))
        place = self.browser.run("return page.placeOfToken({ query: 2, key: 2 })")
        self.browser.point(place)
        self.assertIn("“ elephant” token 2", self.browser.find("#token").text)
        incoming = {int(n.get_attribute("data-query")): number(n.text) for n in self.browser.all("#token [data-query]")}
        column = [self.exact("P", 8, i, 2) for i in range(13)]
        self.assertEqual(set(incoming), set(sorted(range(13), key=lambda i: -column[i])[:8]))
        for query, value in incoming.items():
            self.assert_near(value, column[query], f"query {query}")
        self.browser.point(place, click=True)
        self.assertEqual(self.state("pinned"), {"query": 2, "key": 2})
        self.browser.screenshot("network-light")
        self.browser.find("#token [data-query='6']").click()
        self.assertEqual(self.state("pinned"), {"query": 6, "key": 6})

    def test_options_of_the_command(self):
        self.open(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"), "--pin", "12", "--view", "network", "--top", "20",
                  "--threshold", "0.25", "--show", "Pv")
        self.assertEqual([self.state(name) for name in ("top", "threshold", "quantity")], [20, 0.25, "Pv"])
        self.assertEqual(self.browser.find("#top-said").text, "at most 20")
        self.assertEqual(self.state("pinned"), {"query": 12, "key": 12})
        self.assertIn("“ too” token 12 pinned", self.browser.find("#token").text)
        self.assertEqual((self.state("layer"), self.state("head")), (0, 8))  # whose tokens attend single others the most

    def test_sliders(self):
        self.elephant(view="network", head=8)
        p = [[self.exact("P", 8, i, j) for j in range(13)] for i in range(13)]
        self.browser.run("document.getElementById('top').focus()")
        self.browser.press("HOME")
        self.assertEqual(self.browser.find("#top-said").text, "all")
        self.assertEqual(len(self.browser.run("return page.shownEdges()")), 13 * 14 // 2)
        self.browser.press("ARROW_RIGHT", "ARROW_RIGHT")
        self.assertEqual(self.browser.find("#top-said").text, "at most 2")
        self.assertEqual(len(self.browser.run("return page.shownEdges()")), 1 + 12 * 2)
        self.browser.run("document.getElementById('threshold').focus()")
        self.browser.press(*["ARROW_RIGHT"] * 50)
        threshold = self.state("threshold")
        self.assertAlmostEqual(threshold, max(map(max, p)) / 4, 2)
        strong = sum(x >= threshold for row in p for x in sorted(row)[-2:])
        self.assertEqual(len(self.browser.run("return page.shownEdges()")), strong)
        self.assertTrue(0 < strong < 25)

    def test_choices(self):
        self.elephant(view="matrix", head=0)
        for quantity in ("Pv", "A", "antisymmetric", "P"):
            self.browser.click(f"#quantities [data-value={quantity}]")
            self.assertEqual(self.state("quantity"), quantity)
            self.assertEqual(self.browser.find("#quantities [aria-checked=true]").get_attribute("data-value"), quantity)
        self.browser.click("#head-on")
        self.browser.click("#head-on")
        self.assertEqual(self.state("head"), 2)
        self.assertIn("head 2: attention weight P", self.browser.find("#caption").text)
        self.browser.find("#head").send_keys("head 7")
        self.browser.frame()
        self.assertEqual(self.state("head"), 7)
        self.browser.click("#views [data-value=network]")
        self.browser.click("#views [data-value=grid]")
        self.assertFalse(self.browser.find("#picture").is_displayed())
        self.browser.wait_for("return [...document.querySelectorAll('.thumb')].every((t) => t.dataset.picture)")
        self.browser.screenshot("grid-light")
        self.browser.click(".thumb[data-head='4']")
        self.assertEqual((self.state("head"), self.state("view")), (4, "network"))

    def test_keys(self):
        self.elephant(view="matrix", head=8)
        self.browser.run("document.getElementById('picture').focus()")
        self.browser.press("ARROW_DOWN")
        self.assertEqual(self.state("cursor"), {"query": 12, "key": 0})
        self.browser.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_UP")
        self.assertEqual(self.state("cursor"), {"query": 11, "key": 2})
        said = self.browser.find("#spoken").get_attribute("textContent")
        self.assertTrue(said.startswith(" was to  elephant: P "), said)
        self.assert_near(number(said.split()[-1]), self.exact("P", 8, 11, 2), said)
        self.browser.press("ENTER")
        self.assertEqual(self.state("pinned"), {"query": 11, "key": 11})
        self.browser.press("n", "ARROW_UP", "ARROW_UP")
        self.assertEqual((self.state("view"), self.state("cursor")["key"]), ("network", 9))
        self.browser.press("ESCAPE")
        self.assertIsNone(self.state("pinned"))
        self.browser.press(",", "q", "q", "s")
        self.assertEqual((self.state("head"), self.state("quantity"), self.state("transform")), (7, "A", "linear"))
        self.browser.press("g", "ARROW_LEFT", "ENTER")
        self.assertEqual((self.state("head"), self.state("view")), (6, "network"))
        self.browser.press("m", "+", "+")
        self.assertGreater(self.browser.run("return page.matrixZoom()"), 1)
        self.browser.press("0")
        self.assertEqual(self.browser.run("return page.matrixZoom()"), 1)
        self.browser.press("?")
        self.assertTrue(self.browser.find("#help").is_displayed())
        self.browser.screenshot("help-light")
        self.browser.press("ESCAPE")
        self.assertFalse(self.browser.find("#help").is_displayed())

    def test_choice_by_arrows(self):
        self.elephant(view="matrix", head=8)
        self.browser.run("document.querySelector('#views [aria-checked=true]').focus()")
        self.browser.press("ARROW_RIGHT")
        self.assertEqual(self.state("view"), "network")
        self.browser.run("document.querySelector('#quantities [aria-checked=true]').focus()")
        self.browser.press("ARROW_LEFT")
        self.assertEqual(self.state("quantity"), "antisymmetric")
        self.assertTrue(all(e["value"] > 0 for e in self.browser.run("return page.shownEdges()")))

    def test_frames_before_the_page_is_whole(self):
        """A browser may show a frame, and tell of sizes, between two scripts: here it does after each that asks for one."""
        script = """const later = requestAnimationFrame;
            window.requestAnimationFrame = (f) => document.readyState === "loading" ? (f(0), 0) : later(f);
            window.ResizeObserver = class extends ResizeObserver {
              constructor(f) { super(f); this.f = f; }
              observe(e) { this.f([]); super.observe(e); }
            };"""
        driver = self.browser.driver
        added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        try:
            self.elephant()
            self.browser.run("page.set({ view: 'grid' })")
            self.browser.wait_for("return [...document.querySelectorAll('.thumb')].every((t) => t.dataset.picture)")
            self.assertEqual(self.browser.complaints(), [])
        finally:
            driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)

    def test_without_a_worker(self):
        self.open(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"), "--view", "matrix")
        self.browser.run("window.Worker = undefined")
        self.set(view="grid")
        self.browser.wait_for("return [...document.querySelectorAll('.thumb')].every((t) => t.dataset.picture)")

    def test_a_worker_that_fails(self):
        """What it was at, and all after it, is done by the page."""
        for failing in ("super.postMessage({ kind: 'nothing' })", "this.onmessageerror(new Event('messageerror'))"):
            self.open(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"), "--view", "matrix")
            self.browser.run("""window.failed = 0;
                window.Worker = class extends Worker { postMessage() { window.failed++; %s; } }""" % failing)
            self.set(view="grid")
            self.browser.wait_for("return [...document.querySelectorAll('.thumb')].every((t) => t.dataset.picture)")
            self.assertEqual(self.browser.run("return window.failed"), 1)

    def test_a_job_that_fails(self):
        """Without a worker: the next one runs."""
        self.elephant(view="matrix")
        self.browser.run("window.Worker = undefined")
        said = self.browser.driver.execute_async_script("""const done = arguments[0], all = [];
            page.ask("none", 0, 0, {}, true).catch((error) => all.push(error.name));
            page.ask("pool", 0, 0, { quantity: "P", size: 72 }, true).then((r) => done([...all, r.rows]));""")
        self.assertEqual(said, ["TypeError", 13])

    def test_legend_of_edges(self):
        """Sides are told apart wherever edges go both ways; a scale of colours is offered where there are colours."""
        self.elephant(view="network", head=8)
        for quantity in QUANTITIES:
            self.set(quantity=quantity, top=0)
            later = self.browser.run("return page.shownEdges().some((e) => e.key > e.query)")
            self.assertEqual(later, quantity in ("A", "antisymmetric"))
            self.assertEqual("left: to a later token" in self.browser.find("#legend").text, later)
        for view, colours in (("network", False), ("matrix", True), ("grid", True)):
            self.set(view=view)
            self.assertEqual(self.browser.find("#transform").is_displayed(), colours)

    def test_everything_is_reached_by_tab(self):
        self.elephant(view="network")
        self.reached_by_tab("views", "layer", "head", "quantities", "top", "threshold", "picture", "theme", "help-open")
        self.elephant(view="matrix")
        self.reached_by_tab("views", "layer", "head", "quantities", "transform", "picture", "theme", "help-open")

    def reached_by_tab(self, *names):
        reached = set()
        for _ in range(24):
            self.browser.press("TAB")
            reached.add(self.browser.run("const e = document.activeElement; return e.id || e.parentNode.id"))
            ring = self.browser.run("return getComputedStyle(document.activeElement).outlineStyle")
            self.assertTrue(ring != "none" or self.browser.run("return document.activeElement === document.body"))
        for name in names:
            self.assertIn(name, reached)

    def test_wheel_and_drag(self):
        self.open(os.path.join(DATA, "smollm2-qkv-layer00-seq200.safetensors"), view="matrix")
        for _ in range(6):  # the last of them has more cells than fit, so that the one under the pointer stays
            place = self.cell_place(100, 100)
            self.browser.run("""const box = document.getElementById('picture'), r = box.getBoundingClientRect();
                box.dispatchEvent(new WheelEvent('wheel', { deltaY: -150, clientX: r.left + arguments[0].x,
                  clientY: r.top + arguments[0].y, cancelable: true }))""", place)
            self.browser.frame()
        after = self.cell_place(100, 100)
        self.assertAlmostEqual(self.browser.run("return page.matrixZoom()"), math.exp(6 * 150 / 400), 5)
        self.assertAlmostEqual(after["x"], place["x"], delta=1)
        self.assertAlmostEqual(after["y"], place["y"], delta=1)
        self.browser.drag(place, -60, 40)
        moved = self.cell_place(100, 100)
        self.assertAlmostEqual(moved["x"], place["x"] - 60, delta=1)
        self.assertAlmostEqual(moved["y"], place["y"] + 40, delta=1)
        self.assertIsNone(self.state("pinned"))

    def test_light_and_dark(self):
        def paper():
            return self.browser.run("return getComputedStyle(document.body).backgroundColor")

        self.elephant(view="network", head=8)
        self.browser.colours("light")
        self.assertEqual(paper(), "rgb(255, 255, 255)")
        self.browser.colours("dark")
        self.assertEqual(paper(), "rgb(20, 22, 26)")
        self.browser.screenshot("network-dark")
        self.set(view="matrix", quantity="antisymmetric")
        self.browser.screenshot("matrix-dark")
        self.browser.click("#theme")
        self.assertEqual(paper(), "rgb(255, 255, 255)")
        self.browser.colours("light")
        self.browser.open(self.draw(os.path.join(DATA, "smollm2-layer13-elephant.safetensors"), "--dark"))
        self.assertEqual(paper(), "rgb(20, 22, 26)")

    def test_facts(self):
        self.elephant(head=8)
        rows = [[self.exact("P", 8, i, j) for j in range(13)] for i in range(13)]
        entropy = sum(-sum(x * math.log(x) for x in row if x > 0) for row in rows) / 13
        self.assert_near(number(self.browser.find("#details [data-fact=entropy_mean]").text), entropy, "entropy")
        self.assert_near(number(self.browser.find("#details [data-fact=first_share]").text), sum(r[0] for r in rows) / 13, "first")


class Hostile(PageCase):
    """Texts that would like to be something else."""

    TOKENS = ["</script x", "<!--<script ", "</script><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 2'>",
              "\"'`${window.hacked=3}&lt;&amp;", "--><!--", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f600",
              "\u05e9\u05dc\u05d5\u05dd", "\u202eevil\u2066", "\u0001\b\t\n\r\u007f", "\u2028\u2029", "x" * 10000, "__proto__",
              "constructor", "]]>", "", " ", "%s%n\\u003c", "<svg onload=window.hacked=4>", "javascript:window.hacked=5"]

    def page(self):
        count = len(self.TOKENS)
        page_inputs.Layer(21, sq=count, sk=count).write(
            self.path("in.safetensors"), tokens=json.dumps(self.TOKENS), source=self.TOKENS[0] + "\u202e" + self.TOKENS[1],
            title="<b onclick=x>'\"&</title></script><script>window.hacked = 6</script>")
        self.open(self.path("in.safetensors"), "--title", "</title><script>window.hacked = 7</script>" + "y" * 300)

    def test_names(self):
        """Of what is not seen: the same in the page and in pictures, everywhere in the page."""
        unseen = [c for c in map(chr, range(1, 0x110000)) if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
        self.assertGreater(len(unseen), 150)
        title = "|".join(unseen + list("\u034f\u115f\u3164\uffa0\ufff0\U000e0080\U000e01f0\u00e9\ufe0f\U000e0100\ufffe\ufdd0"))
        tokens = {"\n": "↵", "\n\n": "↵↵", "\t": "⇥", "\u2028": "↵", "\ufeff": "<FEFF>", " ": "␣", "  ": "␣␣", "": "∅", " \n": "↵",
                  "\u00ad": "<00AD>", "\U000e0041": "<E0041>", "\u00a0": "\u00a0"}
        page_inputs.Layer(22, sq=len(tokens), sk=len(tokens)).write(self.path("in.safetensors"), tokens=json.dumps(list(tokens)))
        with open(self.draw(self.path("in.safetensors"), "--title", title, "--heads", "0", output="names.svg"), encoding="utf-8") as f:
            drawn = html.unescape(re.search('<title id="title">(.*?)</title>', f.read(), re.S).group(1))
        self.open(self.path("in.safetensors"), "--title", title, view="matrix")
        self.assertEqual(self.browser.run("return document.getElementById('title').textContent"), drawn)
        for name in ("1", "7F", "AD", "61C", "202E", "2066", "FEFF", "1D173", "E0001", "E007F"):
            self.assertIn(f"<{name:0>4}>", drawn)
        self.assertIn("|\u200d|", drawn)
        for at, (text, name) in enumerate(tokens.items()):
            self.assertEqual(self.browser.run("return page.tokenLabel(arguments[0], 18)", text), f"\u2068{name}\u2069")
            self.set(cursor={"query": at, "key": at}, pinned={"query": at, "key": at})
            shown = self.browser.run("return [...document.querySelectorAll('#cell .token')].map((e) => e.textContent)")
            self.assertEqual(shown, [name, name])
            whole = self.browser.run("return document.querySelector('#token h3 .token').textContent")
            self.assertEqual(whole, " ↵" if text == " \n" else name)

    def unharmed(self):
        self.assertIsNone(self.browser.run("return window.hacked === undefined ? null : window.hacked"))
        self.assertEqual(self.browser.all("body img, body iframe, body [onclick], svg[onload]"), [])
        scripts = self.browser.run("return [...document.scripts].filter((s) => !s.type).map((s) => s.id)")
        self.assertTrue(all(name.startswith("js-") for name in scripts), scripts)

    def test_everywhere(self):
        self.page()
        self.assertTrue(self.browser.driver.title.startswith("</title><script>window.hacked = 7</script>"))
        self.assertEqual(self.browser.run("return page.keys(0)"), self.TOKENS)
        for view in ("grid", "network", "matrix"):
            for quantity in QUANTITIES:
                self.set(view=view, quantity=quantity)
        for at, text in enumerate(self.TOKENS):
            self.browser.point(self.cell_place(at, (at + 1) % len(self.TOKENS)))
            self.browser.run("page.set({ pinned: { query: arguments[0], key: arguments[0] } })", at)
            self.browser.frame()
            shown = self.browser.run("return document.querySelector('#token h3 .token').textContent")
            if text.isprintable() and text.strip():
                self.assertEqual(shown, text)
            label = self.browser.run("return page.tokenLabel(arguments[0], 18)", text)
            self.assertTrue(len(text.strip()) == 0 or label[0] + label[-1] == "\u2068\u2069", repr(label))
            self.assertFalse(any(ord(c) < 32 or c in "\u202e\u2066\u2028\u2029" for c in shown), repr(shown))
            self.unharmed()
        self.browser.screenshot("hostile-matrix")
        self.set(view="network", pinned=None)
        self.browser.screenshot("hostile-network")
        wide = self.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(wide[0], wide[1])

    def test_what_is_watched(self):
        """A page that does ask, complain and run is noticed."""
        with open(self.path("bad.html"), "w") as file:
            file.write("<script>page = { state: 1 }; window.hacked = 1; console.warn('a word')</script>"
                       "<img src='http://127.0.0.1:9/asked'>")
        self.browser.open(self.path("bad.html"))
        self.assertEqual(self.browser.requests(), ["http://127.0.0.1:9/asked"])
        self.assertTrue(any("a word" in line for line in self.browser.complaints()))
        with self.assertRaises(AssertionError):
            self.unharmed()

    def test_policy(self):
        """Were a text to become an element after all, it could do nothing."""
        self.page()
        self.tearDown()  # until here nothing was said
        self.browser.run("document.body.insertAdjacentHTML('beforeend', arguments[0])",
                         "<img src='http://127.0.0.1:9/x' onerror='window.hacked = 8'><iframe src='http://127.0.0.1:9/y'></iframe>"
                         "<p id='styled' style='color: red'>")
        self.browser.run("const s = document.createElement('script'); s.textContent = 'window.hacked = 9'; document.body.append(s)")
        fetched = self.browser.driver.execute_async_script(
            "const done = arguments[0]; fetch('http://127.0.0.1:9/z').then(() => done('came'), (e) => done(String(e)))")
        self.assertIn("TypeError", fetched)
        self.browser.frame()
        self.assertIsNone(self.browser.run("return window.hacked === undefined ? null : window.hacked"))
        said = "\n".join(self.browser.complaints())
        for directive in ("img-src", "frame-src", "script-src", "style-src", "connect-src"):
            self.assertIn(directive, said)
        self.browser.driver.get_log("performance")


class Large(PageCase):
    """512 tokens, 12 heads, 12 layers."""

    def test_size_and_smoothness(self):
        halves = page_inputs.random_halves
        names = []
        for layer in range(12):
            names.append(self.path(f"layer{layer:02}.safetensors"))
            shape, count = [1, 12, 512, 64], 12 * 512 * 64
            page_inputs.write(names[-1], {name: ("F16", shape, halves(layer * 3 + at, count)) for at, name in enumerate("QKV")},
                              {"layer": str(layer), "is_causal": "1", "scale": "0.4"})
        began = time.monotonic()
        page = self.draw(*names)
        drawn = time.monotonic()
        self.assertLess(os.path.getsize(page), 60e6)
        self.browser.open(page)
        opened = time.monotonic()
        print(f"made in {drawn - began:.2f} s, {os.path.getsize(page) / 1e6:.1f} MB, opened in {opened - drawn:.2f} s")
        self.browser.wait_for("return [...document.querySelectorAll('.thumb')].filter((t) => t.inSight)"
                              ".every((t) => t.dataset.picture)")
        print(f"thumbnails after {time.monotonic() - opened:.2f} s")
        self.browser.screenshot("grid-512")
        self.browser.click(".thumb[data-layer='3'][data-head='4']")
        self.assertEqual([self.state(name) for name in ("layer", "head", "view")], [3, 4, "matrix"])
        frames = self.browser.driver.execute_async_script("""
            const done = arguments[0], times = [];
            let last = performance.now(), n = 0;
            const step = () => {
              const now = performance.now();
              times.push(now - last);
              last = now;
              if (++n > 120) return done(times);
              if (n % 10 === 0) page.set({ layer: n / 10 % 12, head: n / 5 % 12 });
              else page.set({ cursor: { query: 4 * n, key: 3 * n } });
              requestAnimationFrame(step);
            };
            requestAnimationFrame(step);""")
        slow = [t for t in frames if t > 200]
        print(f"120 frames, 12 of them with another head: median {sorted(frames)[60]:.1f} ms, longest {max(frames):.1f} ms")
        self.assertLess(len(slow), 60, frames)
        self.check_a_row(names, 7, 5, 300)

    def check_a_row(self, names, layer, head, query):
        self.set(view="matrix", layer=layer, head=head)
        self.browser.screenshot("matrix-512")
        tensors = page_inputs.read(names[layer])

        def row(name, token):
            at = (head * 512 + token) * 64
            return tensors[name][1][at:at + 64]

        scores = [0.4 * math.fsum(a * b for a, b in zip(row("Q", query), row("K", j))) for j in range(query + 1)]
        total = math.fsum(math.exp(s - max(scores)) for s in scores)
        shown = [float(x) for x in self.matrix(layer, head, "P")[query * 512:(query + 1) * 512]]
        for j in range(512):
            exact = math.exp(scores[j] - max(scores)) / total if j <= query else 0.0
            self.assert_near(shown[j], exact, f"key {j}")


class Long(PageCase):
    """More tokens than a page shows cell by cell: an overview, and what one looks at."""

    TOKENS = 16384

    def test_a_head_that_takes_the_worker(self):
        """Small enough to be shown cell by cell, too large to be computed between two frames."""
        s, halves = 1500, page_inputs.random_halves
        name = self.path("middle.safetensors")
        page_inputs.write(name, {x: ("F16", [1, 1, s, 64], halves(200 + at, s * 64)) for at, x in enumerate("QKV")},
                          {"is_causal": "1", "scale": "0.5"})
        self.open(name, "--view", "matrix")
        self.browser.wait_for("return page.placeOfCell({ query: 0, key: 0 }) !== null")
        tensors = page_inputs.read(name)
        self.keys = [tensors["K"][1][j * 64:(j + 1) * 64] for j in range(s)]
        self.queries = tensors["Q"][1]
        self.check_pinned(1234)

    def test_overview_and_detail(self):
        s, halves = self.TOKENS, page_inputs.random_halves
        name = self.path("long.safetensors")
        page_inputs.write(name, {x: ("F16", [1, 1, s, 64], halves(100 + at, s * 64)) for at, x in enumerate("QKV")},
                          {"is_causal": "1", "scale": "0.5"})
        began = time.monotonic()
        page = self.draw(name, "--heads", "0")
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"made in {time.monotonic() - began:.2f} s, {os.path.getsize(page) / 1e6:.1f} MB, {most:.0f} MiB at most so far")
        self.assertLess(most, 1024)
        self.browser.open(page)
        self.assertEqual(self.state("transform"), "log")
        self.set(view="matrix")
        self.assertIn("zoom in for single cells", self.browser.find("#legend").text)
        tensors = page_inputs.read(name)
        self.keys = [tensors["K"][1][j * 64:(j + 1) * 64] for j in range(s)]
        self.queries = tensors["Q"][1]
        self.check_tile(s // 4 + 64, s // 8)
        self.check_pinned(s - 7)
        self.check_zoom(s // 2)
        for quantity in QUANTITIES[1:]:
            self.set(quantity=quantity, view="network")
            self.set(view="matrix")
        self.browser.screenshot("long-antisymmetric")

    def weights(self, query):
        q = self.queries[query * 64:(query + 1) * 64]
        scores = [0.5 * sum(map(operator.mul, q, self.keys[j])) for j in range(query + 1)]
        most = max(scores)
        parts = [math.exp(x - most) for x in scores]
        total = math.fsum(parts)
        return [x / total for x in parts]

    def check_tile(self, query, key):
        """A tile of the overview, by the tip at its place; the cell there exactly."""
        tile = -(-self.TOKENS // 512)
        rows = [self.weights(i)[key // tile * tile:key // tile * tile + tile] for i in
                range(query // tile * tile, query // tile * tile + tile)]
        self.browser.run("const p = page.placeOfCell(arguments[0]); page.set({ cursor: arguments[0] });"
                         "page.showTip(arguments[0], p.x, p.y)", {"query": query, "key": key})
        self.browser.screenshot("long-overview")
        shown = {n.get_attribute("data-pooling"): number(n.text) for n in self.browser.all("#tip [data-pooling]")}
        self.assert_near(shown["most"], max(map(max, rows)), "largest of a tile")
        mean = sum(map(sum, rows)) / tile
        self.assertAlmostEqual(shown["mean"] / mean, 1, 1)
        cell = number(self.browser.find("#tip [data-quantity=P]").text)
        self.assert_near(cell, rows[query % tile][key % tile], "cell")

    def check_pinned(self, query):
        exact = self.weights(query)
        self.set(pinned={"query": query, "key": query})
        listed = {int(n.get_attribute("data-key")): number(n.text) for n in self.browser.all("#token [data-key]")}
        self.assertEqual(set(listed), set(sorted(range(len(exact)), key=lambda j: -exact[j])[:8]))
        for key, value in listed.items():
            self.assert_near(value, exact[key], f"key {key}")

    def check_zoom(self, query):
        """Zoomed in, the window itself is computed: here around a query's strongest edge."""
        exact = self.weights(query)
        strongest = max(range(len(exact)), key=exact.__getitem__)
        self.set(cursor={"query": query, "key": strongest})
        size = "const r = document.getElementById('picture').getBoundingClientRect(); return [r.width, r.height]"
        before = self.browser.run(size)
        for _ in range(14):
            self.browser.press("+")
        self.browser.wait_for("return page.shownDetail() !== null")
        for _ in range(5):
            self.browser.frame()
        self.assertEqual(self.browser.run(size), before)
        detail = self.browser.run("const d = page.shownDetail(); return { row: d.row, rows: d.rows, key: d.key, keys: d.keys, "
                                  "first: Array.from(d.values.subarray((arguments[0] - d.row) * d.keys, "
                                  "(arguments[0] - d.row + 1) * d.keys)) }", query)
        self.assertTrue(detail["row"] <= query < detail["row"] + detail["rows"])
        self.assertTrue(detail["key"] <= strongest < detail["key"] + detail["keys"])
        self.assertGreater(exact[strongest], 0.1)
        for at, value in enumerate(detail["first"]):
            key = detail["key"] + at
            self.assert_near(value, exact[key] if key <= query else 0.0, f"key {key}")
        self.assertNotIn("zoom in", self.browser.find("#legend").text)
        self.browser.screenshot("long-zoomed")
        self.browser.press("0")


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[3:]])
