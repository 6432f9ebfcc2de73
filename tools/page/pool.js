"use strict";
// What is summed up over a head. Runs in the page and in its worker.
(() => {
  const BAND = 1 << 18; // cells at once

  // A head in at most `size` x `size` tiles: of each the value of the largest magnitude.
  page.pool = (head, quantity, size) => {
    const tileRows = Math.ceil(head.sq / size), tileKeys = Math.ceil(head.sk / size);
    const rows = Math.ceil(head.sq / tileRows), keys = Math.ceil(head.sk / tileKeys);
    const most = new Float32Array(rows * keys), band = Math.max(1, Math.floor(BAND / head.sk));
    for (let row = 0; row < head.sq; row += band) {
      const count = Math.min(band, head.sq - row), block = page.values(head, quantity, row, count, 0, head.sk);
      for (let i = 0; i < count; i++) {
        const to = Math.floor((row + i) / tileRows) * keys;
        for (let j = 0; j < head.sk; j++) {
          const value = block[i * head.sk + j], at = to + Math.floor(j / tileKeys);
          if (Math.abs(value) > Math.abs(most[at])) most[at] = value;
        }
      }
    }
    return { rows, keys, most };
  };

  // The strongest edges of each query in a range, by falling magnitude: `top` of each (0: all), none below `threshold`.
  // Of an antisymmetric part only the direction that has more: the other one says the same.
  page.edges = (block, row, rows, keys, quantity, top, threshold) => {
    const list = [];
    for (let i = 0; i < rows; i++) {
      const from = [];
      for (let j = 0; j < keys; j++) {
        const value = block[i * keys + j];
        if (value === 0 || !Number.isFinite(value) || Math.abs(value) < threshold) continue;
        if (quantity === "antisymmetric" && value < 0) continue;
        from.push({ query: row + i, key: j, value });
      }
      from.sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.key - b.key);
      if (top > 0 && from.length > top) from.length = top;
      for (const edge of from) list.push(edge);
    }
    return list;
  };
})();
