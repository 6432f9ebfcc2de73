"use strict";
// The layers and heads of the page's data; a head's numbers are decoded when it is first looked at.
(() => {
  const KEPT = 6, KEPT_CELLS = 3e7; // heads whose numbers and matrices are kept, and cells of all their matrices
  const SOON = 6e7; // products that may be summed at once, without a worker
  const kept = new Map();

  page.data = JSON.parse(document.getElementById("data").textContent);
  const layers = page.data.layers;
  const texts = page.data.texts;

  page.layer = (layer) => layers[layer];
  page.commonSource = layers.every((l) => l.source === layers[0].source) ? layers[0].source : "";
  page.queries = (layer) => texts[layers[layer].queries];
  page.keys = (layer) => texts[layers[layer].keys];
  page.isLong = (layer) => layers[layer].tile !== undefined;
  page.isSquare = (layer) => layers[layer].sq === layers[layer].sk;

  // Heads are named by their position in the layer's list, since some may have been left out.
  page.headName = (layer, head) => "head " + layers[layer].heads[head].index;

  // A token is { query, key }: its numbers among the queries and among the keys, null where it is none. Of one sequence
  // queries are the keys offset, offset + 1, ...
  page.tokenOfQuery = (layer, query) => ({ query, key: layers[layer].one ? query + layers[layer].offset : null });
  page.tokenOfKey = (layer, key) => {
    const l = layers[layer], query = l.one ? key - l.offset : -1;
    return { query: query >= 0 && query < l.sq ? query : null, key };
  };
  page.textOf = (layer, token) => token.query !== null ? page.queries(layer)[token.query] : page.keys(layer)[token.key];

  function maskOf(l, index) {
    if (!l.mask) return null;
    const data = page.block(l.mask.block), bits = page.data.types[l.mask.block] === "b";
    const start = l.mask.heads > 1 ? index * l.mask.rows * l.sk : 0;
    return { data, bits, start, stride: l.mask.rows > 1 ? l.sk : 0 };
  }

  function startsOf(counts) {
    const starts = new Int32Array(counts.length + 1);
    for (let i = 0; i < counts.length; i++) starts[i + 1] = starts[i] + counts[i];
    return starts;
  }

  function read(layer, head) {
    const l = layers[layer], h = l.heads[head];
    const out = { sq: l.sq, sk: l.sk, bare: l.bare || "" };
    if (h.dense !== undefined) return Object.assign(out, { dense: page.block(h.dense) });
    if (l.bare) {
      const [counts, keys, values] = [h.counts, h.keys, h.values].map(page.block);
      return Object.assign(out, { starts: startsOf(counts), keys, values });
    }
    const { dk, offset, scale, softcap, causal, left, right } = l;
    const [q, k, lse, norms] = [h.q, h.k, h.lse, h.norms].map(page.block);
    return Object.assign(out, {
      dk, offset, scale, softcap, causal, left, right, q, k, lse, norms, mask: maskOf(l, h.index),
    });
  }

  function entry(layer, head) {
    const name = layer + "/" + head;
    let found = kept.get(name);
    if (found) kept.delete(name);
    else found = { head: read(layer, head), scores: null, matrices: {} };
    kept.set(name, found);
    const { sq, sk, tile } = layers[layer], cells = tile ? 1e6 : 5 * sq * sk; // scores and four quantities
    const limit = Math.max(1, Math.min(KEPT, Math.floor(KEPT_CELLS / cells)));
    while (kept.size > limit) kept.delete(kept.keys().next().value);
    return found;
  }

  // A head that others do not need kept: for thumbnails.
  page.readHead = (layer, head) => {
    const found = kept.get(layer + "/" + head);
    return found ? found.head : read(layer, head);
  };
  page.head = (layer, head) => entry(layer, head).head;

  function derive(found, quantity) {
    const { sq, sk } = found.head;
    return found.matrices[quantity] = page.values(found.head, quantity, 0, sq, 0, sk, found.scores);
  }

  // A head's whole matrix [sq, sk], now or by the worker: null until `then` is called.
  page.matrix = (layer, head, quantity, then) => {
    const found = entry(layer, head), { sq, sk, dk, bare } = found.head;
    if (found.matrices[quantity]) return found.matrices[quantity];
    if (found.scores || bare || sq * sk * dk <= SOON) {
      found.scores = found.scores || page.scores(found.head, 0, sq, 0, sk);
      return derive(found, quantity);
    }
    if (!found.waiting) {
      found.waiting = [];
      page.ask("scores", layer, head, { row: 0, rows: sq, key: 0, keys: sk }, true).then((scores) => {
        found.scores = scores;
        for (const waiter of found.waiting.splice(0)) waiter();
        found.waiting = null;
      });
    }
    if (then) found.waiting.push(then);
    return null;
  };

  // The overview of a long head: { rows, keys, tile, values }.
  page.overview = (layer, head, quantity, pooling) => {
    const l = layers[layer], [tileRows, tileKeys] = l.tile, found = entry(layer, head);
    const name = quantity + " " + pooling, block = l.heads[head].overview[quantity][pooling];
    found.matrices[name] = found.matrices[name] || page.block(block);
    const rows = Math.ceil(l.sq / tileRows), keys = Math.ceil(l.sk / tileKeys);
    return { rows, keys, tileRows, tileKeys, values: found.matrices[name] };
  };
})();
