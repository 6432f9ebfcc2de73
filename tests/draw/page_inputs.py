"""Files that pages are made of, and what they must show: from the formulas, in Python's floats."""

import json
import math
import random
import struct

TYPES = {"F16": ("e", 2), "F32": ("f", 4), "F64": ("d", 8)}
# A random byte to the upper byte of a float16 of magnitude 0.5 to 2: many numbers in little time.
UPPER_BYTE = bytes((byte & 0x80) | 0x38 | (byte & 7) for byte in range(256))


def pack(kind, numbers):
    return struct.pack(f"<{len(numbers)}{TYPES[kind][0]}", *numbers)


def random_halves(seed, count):
    raw, out = random.Random(seed).randbytes(2 * count), bytearray(2 * count)
    out[0::2] = raw[0::2]
    out[1::2] = raw[1::2].translate(UPPER_BYTE)
    return bytes(out)


def write(path, tensors, labels):
    """tensors: name -> (type, shape, bytes)"""
    head, at = {"__metadata__": labels}, 0
    for name, (kind, shape, raw) in tensors.items():
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, raw in tensors.values():
            file.write(raw)


def read(path):
    """name -> (shape, numbers)"""
    with open(path, "rb") as file:
        raw = file.read()
    length = struct.unpack("<Q", raw[:8])[0]
    head, out = json.loads(raw[8:8 + length]), {}
    for name, tensor in head.items():
        if name == "__metadata__" or tensor["dtype"] not in TYPES:
            continue
        letter, size = TYPES[tensor["dtype"]]
        first, end = (8 + length + at for at in tensor["data_offsets"])
        out[name] = (tensor["shape"], struct.unpack(f"<{(end - first) // size}{letter}", raw[first:end]))
    return out


class Layer:
    """Q, K and V of one sequence (or of queries at its end), and what attention makes of them."""

    def __init__(self, seed, heads=4, key_heads=2, sq=12, sk=12, dk=8, scale=None, softcap=0.0, causal=False, left=-1, right=-1,
                 mask=None, spread=1.0):
        r = random.Random(seed)
        self.heads, self.key_heads, self.sq, self.sk, self.dk = heads, key_heads, sq, sk, dk
        self.scale = 1 / math.sqrt(dk) if scale is None else scale
        self.softcap, self.causal, self.left, self.right, self.mask = softcap, causal, left, right, mask

        def numbers(count):
            return list(struct.unpack(f"<{count}f", pack("F32", [r.gauss(0, spread) for _ in range(count)])))

        self.q, self.k, self.v = (numbers(n) for n in (heads * sq * dk, key_heads * sk * dk, key_heads * sk * dk))

    def write(self, path, **labels):
        known = {"scale": repr(self.scale)}
        if self.softcap:
            known["softcap"] = repr(self.softcap)
        if self.causal:
            known["is_causal"] = "1"
        for name, window in (("left_window_size", self.left), ("right_window_size", self.right)):
            if window >= 0:
                known[name] = str(window)
        tensors = {"Q": ("F32", [1, self.heads, self.sq, self.dk], pack("F32", self.q))}
        for name, x in (("K", self.k), ("V", self.v)):
            tensors[name] = ("F32", [1, self.key_heads, self.sk, self.dk], pack("F32", x))
        if self.mask:
            tensors["attn_mask"] = ("F32", [self.sq, self.sk], pack("F32", [x for row in self.mask for x in row]))
        write(path, tensors, {**known, **labels})

    def row(self, x, head, token):
        of_keys = x is not self.q
        at = ((head * self.key_heads // self.heads) * self.sk if of_keys else head * self.sq) + token
        return x[at * self.dk:(at + 1) * self.dk]

    def score(self, head, i, j):
        return self.scale * math.fsum(a * b for a, b in zip(self.row(self.q, head, i), self.row(self.k, head, j)))

    def masked(self, head, i, j):
        at = i  # queries stand at the beginning, unless there is a past, which these have not
        if self.causal and j > at or 0 <= self.left < at - j or 0 <= self.right < j - at:
            return -math.inf
        s = self.score(head, i, j)
        if self.softcap:
            s = self.softcap * math.tanh(s / self.softcap)
        return s + (self.mask[i][j] if self.mask else 0.0)

    def weights(self, head, i):
        scores = [self.masked(head, i, j) for j in range(self.sk)]
        most = max(scores)
        if most == -math.inf:
            return [0.0] * self.sk
        parts = [math.exp(s - most) for s in scores]
        return [part / math.fsum(parts) for part in parts]

    def matrix(self, quantity, head):
        """Row after row."""
        out = []
        for i in range(self.sq):
            p = self.weights(head, i) if quantity in ("P", "Pv") else None
            for j in range(self.sk):
                if quantity == "P":
                    out.append(p[j])
                elif quantity == "Pv":
                    out.append(p[j] * math.sqrt(math.fsum(x * x for x in self.row(self.v, head, j))))
                elif quantity == "A":
                    out.append(self.score(head, i, j))
                else:
                    out.append((self.score(head, i, j) - self.score(head, j, i)) / 2)
        return out
