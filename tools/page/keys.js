"use strict";
// The keyboard: one table of what keys do, which the help shows too.
(() => {
  const picture = document.getElementById("picture"), help = document.getElementById("help");

  function cycle(names, now) {
    return names[(names.indexOf(now) + 1) % names.length];
  }

  const clampTo = (value, count) => Math.min(Math.max(value, 0), count - 1);

  // Arrows in the picture: a cell of the matrix, a token of the network.
  function move(down, across) {
    const { view, layer, pinned } = page.state, l = page.layer(layer);
    if (view === "grid") return page.moveInGrid(down, across);
    let { cursor } = page.state;
    if (view === "matrix") {
      const from = cursor || { query: pinned?.query ?? l.sq - 1, key: 0 };
      cursor = cursor ? { query: clampTo(from.query + down, l.sq), key: clampTo(from.key + across, l.sk) } : from;
      page.revealCell(cursor);
      page.set({ cursor });
      page.redraw();
      const at = page.placeOfCell(cursor);
      if (at) page.showTip(cursor, at.x, at.y);
      return page.speakCell(cursor);
    }
    cursor = moveToken(layer, l, cursor || pinned, down, across);
    page.revealToken(cursor);
    page.set({ cursor });
    page.redraw();
    page.speak(page.tokenText(page.textOf(layer, cursor)).slice(0, 80) + ", " + page.numberOfToken(layer, cursor));
  }

  function moveToken(layer, l, token, down, across) {
    if (!token) return l.one ? page.tokenOfKey(layer, l.sk - 1) : page.tokenOfQuery(layer, 0);
    if (l.one) return page.tokenOfKey(layer, clampTo(token.key + down + across, l.sk));
    const at = (token.query ?? token.key) + down, asQuery = across ? across < 0 : token.query !== null;
    return asQuery ? page.tokenOfQuery(layer, clampTo(at, l.sq)) : page.tokenOfKey(layer, clampTo(at, l.sk));
  }

  function pinCursor() {
    const { view, cursor, layer } = page.state;
    if (!cursor || view === "grid") return;
    page.pin(view === "matrix" ? page.tokenOfQuery(layer, cursor.query) : cursor);
  }

  function zoom(factor) {
    page.showTip(null);
    if (page.state.view === "matrix") page.zoomMatrix(factor);
    if (page.state.view === "network") page.zoomNetwork(factor);
  }

  function release() {
    page.set({ pinned: null, cursor: null });
    page.showTip(null);
  }

  const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const VIEW_OF = { m: "matrix", n: "network", g: "grid" };
  const ZOOM_OF = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 };

  // [keys, how they are shown, what they do, only in the picture, does it]
  const KEYS = [
    [Object.keys(ARROWS), "↑ ↓ ← →", "another cell, token or head", true, (key) => move(...ARROWS[key])],
    [["Enter", " "], "Enter", "pin the token, or unpin it", true, pinCursor],
    [["Escape"], "Esc", "unpin", false, release],
    [["[", "]"], "[ ]", "layer before, layer after", false, (key) => page.step("layer", key === "[" ? -1 : 1)],
    [[",", "."], ", .", "head before, head after", false, (key) => page.step("head", key === "," ? -1 : 1)],
    [["m", "n", "g"], "m n g", "matrix, network, grid", false, (key) => page.set({ view: VIEW_OF[key] })],
    [["q"], "q", "next quantity", false, () =>
      page.set({ quantity: cycle(page.layer(page.state.layer).quantities, page.state.quantity) })],
    [["s"], "s", "next colour scale", false, () =>
      page.set({ transform: cycle(Object.keys(page.TRANSFORMS), page.state.transform) })],
    [Object.keys(ZOOM_OF), "+ − 0", "nearer, further, all (wheel and drag, too)", false, (key) => zoom(ZOOM_OF[key])],
    [["t"], "t", "light or dark", false, page.toggleTheme],
    [["?"], "?", "this help", false, () => help.showModal()],
  ];

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open) return;
    const control = event.target.closest("input, select, .choice");
    const row = KEYS.find(([keys]) => keys.includes(event.key));
    if (!row || (control && (row[3] || event.target.matches("select")))) return;
    const inPicture = event.target === picture || event.target.closest(".thumb") || event.target === document.body;
    if (row[3] && !inPicture) return;
    if (event.key === "Enter" && event.target.closest(".thumb")) return; // the thumbnail's own click
    event.preventDefault();
    row[4](event.key);
  });

  function build() {
    const keys = document.getElementById("help-keys"), quantities = document.getElementById("help-quantities");
    const add = (list, tag, text) => list.appendChild(document.createElement(tag)).textContent = text;
    for (const [, shown, does] of KEYS) {
      const name = keys.appendChild(document.createElement("dt"));
      for (const key of shown.split(" ")) {
        name.appendChild(document.createElement("kbd")).textContent = key;
        name.append(" ");
      }
      add(keys, "dd", does);
    }
    for (const name in page.QUANTITIES) {
      add(quantities, "dt", page.QUANTITIES[name].short);
      add(quantities, "dd", `${page.data.quantities[name].title}, ${page.data.quantities[name].unit}`);
    }
  }

  build();
  document.getElementById("help-open").addEventListener("click", () => help.showModal());
})();
