"use strict";
// Numbers beside the picture, of the head, the pinned token and the cell under the pointer; and the tip at the pointer.
(() => {
  const LISTED = 8;
  const aside = document.getElementById("details"), tip = document.getElementById("tip");

  function add(parent, tag, text, className) {
    const out = document.createElement(tag);
    if (text !== undefined) out.textContent = text;
    if (className) out.className = className;
    parent.append(out);
    return out;
  }

  function fact(list, name, value, data) {
    add(list, "dt", name);
    const out = add(list, "dd", value);
    if (data) Object.assign(out.dataset, data);
  }

  // ---- the head ----

  // What the command says of a head, where it is known.
  const FACTS = {
    entropy_mean: "entropy of a row, mean (nats)",
    entropy_least: "… least",
    entropy_most: "… most",
    first_share: "share to the first token, mean",
    sharpness: "strongest edge to another token but the first, mean",
    a_share: "antisymmetric share of A",
    w_share: "antisymmetric share of W_QᵀW_K",
  };

  const cut = (x) => Math.abs(x) < 1e-6 ? 0 : x; // what rounding leaves

  function putFacts(list, layer, head) {
    const { facts } = page.layer(layer).heads[head];
    for (const name in FACTS)
      if (typeof facts[name] === "number") fact(list, FACTS[name], page.number(cut(facts[name])), { fact: name });
  }

  function putHead(parent) {
    const { layer, head } = page.state, l = page.layer(layer), list = document.createElement("dl");
    add(parent, "h2", `${l.name}, ${page.headName(layer, head)}`).className = "caption";
    if (l.source !== page.commonSource) add(parent, "p", page.tokenText(l.source), "quiet");
    list.className = "facts";
    fact(list, "queries × keys", `${l.sq} × ${l.sk}`);
    putFacts(list, layer, head);
    parent.append(list);
  }

  // The pairs whose weights differ the most between the two directions.
  function putPairs(parent) {
    const { layer, head } = page.state, { pairs } = page.layer(layer).heads[head];
    if (!pairs.length) return;
    const list = document.createElement("ol"), keys = page.keys(layer);
    add(parent, "h3", "One-way pairs (P there, P back)");
    list.className = "edges pairs";
    for (const [from, to, weight, back] of pairs) {
      const button = add(add(list, "li"), "button"), names = add(button, "span", undefined, "names");
      button.type = "button";
      button.title = "Pin this token";
      names.append(page.tokenElement(keys[from]), " → ", page.tokenElement(keys[to]));
      add(button, "span", page.number(weight), "number").dataset.pair = `${from} ${to}`;
      add(button, "span", page.number(back), "number");
      button.addEventListener("click", () => page.pin(page.tokenOfKey(layer, from)));
    }
    parent.append(list);
  }

  // ---- a token's edges ----

  // A row or column of the head: what a token gives or gets.
  function line(layer, head, quantity, token, isRow) {
    const l = page.layer(layer);
    if (page.isLong(layer)) {
      const data = page.head(layer, head);
      if (isRow) return page.values(data, quantity, token.query, 1, 0, l.sk);
      return page.values(data, quantity, 0, l.sq, token.key, 1);
    }
    const block = page.matrix(layer, head, quantity, page.redraw);
    if (!block) return null;
    if (isRow) return block.subarray(token.query * l.sk, (token.query + 1) * l.sk);
    const out = new Float32Array(l.sq);
    for (let i = 0; i < l.sq; i++) out[i] = block[i * l.sk + token.key];
    return out;
  }

  function strongest(values) {
    const order = [];
    for (let i = 0; i < values.length; i++) if (values[i] !== 0 && Number.isFinite(values[i])) order.push(i);
    order.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
    return order;
  }

  function bar(value, most) {
    const [svg, rect] = ["svg", "rect"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
    const both = page.isSigned(page.state.quantity), half = both ? 45 : 90;
    const width = Math.max(1, Math.abs(value) / most * half);
    svg.setAttribute("aria-hidden", "true");
    rect.setAttribute("x", both ? (value < 0 ? 45 - width : 45) : 0);
    rect.setAttribute("width", width);
    rect.setAttribute("height", 10);
    rect.setAttribute("rx", 2);
    rect.style.fill = value < 0 ? "var(--quiet)" : "var(--accent)";
    svg.append(rect);
    return svg;
  }

  function putLine(parent, title, token, isRow) {
    const { layer, head, quantity } = page.state, values = line(layer, head, quantity, token, isRow);
    if (!values) return;
    const order = strongest(values), most = order.length ? Math.abs(values[order[0]]) : 1;
    const list = document.createElement("ol");
    add(parent, "h3", title);
    list.className = "edges";
    for (const at of order.slice(0, LISTED)) {
      const other = isRow ? page.tokenOfKey(layer, at) : page.tokenOfQuery(layer, at), item = add(list, "li");
      const button = add(item, "button"), name = page.tokenElement((isRow ? page.keys : page.queries)(layer)[at]);
      button.type = "button";
      button.title = "Pin this token";
      button.append(name, bar(values[at], most));
      const number = add(button, "span", page.number(values[at]), "number");
      number.dataset[isRow ? "key" : "query"] = at;
      button.addEventListener("click", () => page.pin(other));
    }
    parent.append(list);
    const rest = order.slice(LISTED).reduce((sum, at) => sum + values[at], 0);
    const more = order.length - LISTED;
    if (more > 0) add(parent, "p", `and ${more} more, ${page.number(rest)} together`, "quiet");
    if (order.length === 0) add(parent, "p", "none", "quiet");
  }

  function numberOfToken(layer, token) {
    if (page.layer(layer).one) return `token ${token.key}`;
    return token.query !== null ? `query ${token.query}` : `key ${token.key}`;
  }
  page.numberOfToken = numberOfToken;

  function putToken(parent) {
    const { layer, cursor, pinned, view } = page.state;
    const token = pinned || (view === "network" ? cursor : cursor && page.tokenOfQuery(layer, cursor.query));
    const box = add(parent, "section");
    box.id = "token";
    if (!token) {
      add(box, "h3", "A token");
      add(box, "p", "Point at one to see its edges; click, or press Enter, to pin it.", "quiet");
      return;
    }
    const head = add(box, "h3", "");
    head.append("“", page.tokenElement(page.textOf(layer, token), true), "” ", `${numberOfToken(layer, token)} `);
    if (pinned) add(head, "span", "pinned", "pinned");
    const { short } = page.QUANTITIES[page.state.quantity];
    if (token.query !== null) putLine(box, `attends (${short})`, token, true);
    if (token.key !== null) putLine(box, `is attended by (${short})`, token, false);
  }

  // ---- a cell ----

  // All that can be said of an edge and of the one back: [[text, value, quantity, direction]].
  function edgeNumbers(layer, cell) {
    const data = page.head(layer, page.state.head), l = page.layer(layer), [first] = l.quantities, out = [];
    for (const quantity of l.quantities)
      out.push([page.QUANTITIES[quantity].short, page.cell(data, quantity, cell.query, cell.key), quantity, "there"]);
    const back = page.tokenOfKey(layer, cell.key), to = page.tokenOfQuery(layer, cell.query).key;
    if (l.one && back.query !== null && back.key !== to) {
      const name = page.QUANTITIES[first].short + " the other way";
      out.push([name, page.cell(data, first, back.query, to), first, "back"]);
    }
    return out;
  }

  function putEdge(parent, layer, cell) {
    const title = add(parent, "div"), list = document.createElement("dl");
    const [from, to] = [page.queries(layer)[cell.query], page.keys(layer)[cell.key]];
    title.append(page.tokenElement(from), " → ", page.tokenElement(to));
    list.className = "facts";
    for (const [name, value, quantity, way] of edgeNumbers(layer, cell))
      fact(list, name, page.number(value), { quantity, way });
    parent.append(list);
  }

  // Of an overview's tile.
  function putTile(parent, layer, cell) {
    const { head, quantity } = page.state, l = page.layer(layer), [tileRows, tileKeys] = l.tile;
    const row = Math.floor(cell.query / tileRows), key = Math.floor(cell.key / tileKeys);
    const range = (at, tile, count) => `${at * tile} to ${Math.min(count, (at + 1) * tile) - 1}`;
    const list = document.createElement("dl");
    add(parent, "div", `tile of queries ${range(row, tileRows, l.sq)}, keys ${range(key, tileKeys, l.sk)}`, "quiet");
    list.className = "facts";
    for (const pooling of ["most", "mean"]) {
      const tiles = page.overview(layer, head, quantity, pooling);
      fact(list, page.POOLINGS[pooling](quantity), page.number(tiles.values[row * tiles.keys + key]), { pooling });
    }
    parent.append(list);
  }

  function placeTip(x, y) {
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, x + 16 + width > innerWidth ? x - width - 12 : x + 16) + "px";
    tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - height - 4)) + "px";
  }

  // The tip of a cell, at a point of the picture; null hides it.
  page.showTip = (cell, x, y) => {
    tip.hidden = !cell;
    if (!cell) return;
    const { layer } = page.state, rect = document.getElementById("picture").getBoundingClientRect();
    tip.replaceChildren();
    putEdge(tip, layer, cell);
    if (page.isLong(layer)) putTile(tip, layer, cell);
    placeTip(rect.left + x, rect.top + y);
  };

  page.showHeadTip = (layer, head, x, y) => {
    const l = page.layer(layer), list = document.createElement("dl");
    tip.replaceChildren();
    add(tip, "strong", `${l.name}, ${page.headName(layer, head)}`);
    list.className = "facts";
    putFacts(list, layer, head);
    tip.append(list);
    placeTip(x, y);
  };

  // ---- said aloud ----
  page.speak = (text) => { document.getElementById("spoken").textContent = text; };
  page.speakCell = (cell) => {
    const { layer, quantity } = page.state, data = page.head(layer, page.state.head);
    const name = (text) => page.tokenText(text).slice(0, 60);
    page.speak(`${name(page.queries(layer)[cell.query])} to ${name(page.keys(layer)[cell.key])}: ` +
      `${page.QUANTITIES[quantity].short} ${page.number(page.cell(data, quantity, cell.query, cell.key))}`);
  };

  page.onDraw((changed) => {
    if (changed.has("view") || changed.has("layer") || changed.has("head")) page.showTip(null);
    const { view, cursor, layer } = page.state;
    const parts = document.createDocumentFragment();
    putHead(parts);
    if (view === "matrix" && cursor) {
      const box = add(parts, "section");
      box.id = "cell";
      add(box, "h3", "An edge");
      putEdge(box, layer, cursor);
    }
    if (view !== "grid") putToken(parts);
    putPairs(parts);
    aside.replaceChildren(parts);
  });
})();
