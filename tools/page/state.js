"use strict";
// What is looked at. Everything that shows something draws from `page.state` alone, at most once a frame.
(() => {
  const data = page.data;

  page.state = {
    layer: 0,
    head: 0, // position in the layer's list
    view: data.view,
    lastView: data.view === "grid" ? "matrix" : data.view, // where the grid leads back to
    quantity: data.quantity,
    transform: "root",
    pooling: "most", // what a tile of an overview shows
    top: data.top,
    threshold: data.threshold,
    cursor: null, // what the pointer or the arrows are at: a cell { query, key }, in the network a token
    pinned: data.pin === null ? null : page.tokenOfQuery(0, data.pin), // a token, as source.js has them
  };

  const painters = [];
  let whole = false, asked = false, changed = new Set();

  page.onDraw = (painter) => painters.push(painter);

  function draw() {
    asked = false;
    const what = changed;
    changed = new Set();
    for (const painter of painters) painter(what);
  }

  function ask() {
    if (asked || !whole) return;
    asked = true;
    requestAnimationFrame(draw);
  }

  // Everything again: another theme or size.
  page.redraw = () => {
    changed.add("all");
    ask();
  };

  // Nothing is drawn before: a browser may show a frame between two scripts of the page.
  page.begin = () => {
    whole = true;
    page.redraw();
  };

  // What a layer or head cannot keep of what was chosen is put right here.
  page.set = (changes) => {
    const s = page.state, before = { ...s };
    Object.assign(s, changes);
    s.layer = Math.min(Math.max(s.layer, 0), data.layers.length - 1);
    const l = page.layer(s.layer);
    s.head = Math.min(Math.max(s.head, 0), l.heads.length - 1);
    if (!l.quantities.includes(s.quantity)) s.quantity = l.quantities[0];
    if (s.view !== "grid") s.lastView = s.view;
    if (s.view !== before.view && !("cursor" in changes)) s.cursor = null; // a cell is no token
    const other = page.layer(before.layer);
    if (other.sq !== l.sq || other.sk !== l.sk || other.one !== l.one) s.pinned = s.cursor = null;
    for (const name in s) if (s[name] !== before[name]) changed.add(name);
    if (changed.size) ask();
  };

  page.pin = (pinned) => {
    const now = page.state.pinned, same = now && pinned && now.query === pinned.query && now.key === pinned.key;
    page.set({ pinned: same ? null : pinned });
  };
})();
