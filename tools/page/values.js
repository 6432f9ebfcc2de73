"use strict";
// What an edge weighs, out of Q, K and lse, or out of P or A as they were given. Runs in the page and in its worker: a
// head comes as a plain object of numbers and typed arrays, as source.js makes it.
(() => {
  // Scores A = scale q k of a block, dense [rows, keys].
  function scores(head, row, rows, key, keys) {
    const out = new Float32Array(rows * keys), { q, k, dk, scale } = head, whole = dk - dk % 4;
    for (let i = 0; i < rows; i++) {
      const at = (row + i) * dk;
      for (let j = 0; j < keys; j++) {
        const to = (key + j) * dk;
        let a = 0, b = 0, c = 0, d = 0;
        for (let n = 0; n < whole; n += 4) {
          a += q[at + n] * k[to + n];
          b += q[at + n + 1] * k[to + n + 1];
          c += q[at + n + 2] * k[to + n + 2];
          d += q[at + n + 3] * k[to + n + 3];
        }
        for (let n = whole; n < dk; n++) a += q[at + n] * k[to + n];
        out[i * keys + j] = scale * (a + b + (c + d));
      }
    }
    return out;
  }

  // Of P or A as given: dense, or in each row the keys that have a value.
  function given(head, row, rows, key, keys) {
    const out = new Float32Array(rows * keys);
    for (let i = 0; i < rows; i++) {
      if (head.dense) {
        const at = (row + i) * head.sk + key;
        out.set(head.dense.subarray(at, at + keys), i * keys);
        continue;
      }
      for (let n = head.starts[row + i]; n < head.starts[row + i + 1]; n++) {
        const j = head.keys[n] - key;
        if (j >= 0 && j < keys) out[i * keys + j] = head.values[n];
      }
    }
    return out;
  }

  const plain = (head, row, rows, key, keys) =>
    head.bare ? given(head, row, rows, key, keys) : scores(head, row, rows, key, keys);

  // What the mask adds to a score.
  function bias(mask, i, j) {
    const at = mask.start + i * mask.stride + j;
    if (mask.bits) return mask.data[at >> 3] >> (at & 7) & 1 ? 0 : -Infinity;
    return mask.data[at];
  }

  // Scores to weights, in place: P = exp(s - lse) of what a query may attend to, 0 elsewhere.
  function weigh(head, row, rows, key, keys, block, travels) {
    const { lse, softcap, mask, norms } = head;
    for (let i = 0; i < rows; i++) {
      const at = row + i + head.offset, sum = lse[row + i];
      for (let j = 0; j < keys; j++) {
        const to = key + j, n = i * keys + j;
        if (sum === -Infinity || (head.causal && to > at) || (head.left >= 0 && to < at - head.left) ||
          (head.right >= 0 && to > at + head.right)) {
          block[n] = 0;
          continue;
        }
        let s = block[n];
        if (softcap > 0) s = softcap * Math.tanh(s / softcap);
        if (mask) s += bias(mask, row + i, to);
        const p = Math.exp(Math.min(s - sum, 0)); // of huge scores lse is rounded
        block[n] = travels && p !== 0 ? p * norms[to] : p;
      }
    }
    return block;
  }

  // (A - A^T) / 2 in place; `turned` is the block of the keys as queries and the queries as keys.
  function antisymmetric(rows, keys, block, turned) {
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < keys; j++) block[i * keys + j] = 0.5 * (block[i * keys + j] - turned[j * rows + i]);
    return block;
  }

  // A block of a quantity, dense [rows, keys]. known: its scores, where somebody has them; they stay as they are.
  page.values = (head, quantity, row, rows, key, keys, known) => {
    const block = known ? known.slice() : plain(head, row, rows, key, keys);
    if (quantity === "antisymmetric") {
      const turned = known && rows === keys ? known : plain(head, key, keys, row, rows);
      return antisymmetric(rows, keys, block, turned);
    }
    if (head.bare || quantity === "A") return block;
    return weigh(head, row, rows, key, keys, block, quantity === "Pv");
  };

  page.scores = plain;
  page.cell = (head, quantity, i, j) => page.values(head, quantity, i, 1, j, 1)[0];
})();
