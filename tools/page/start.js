"use strict";
// The page as it opens.
(() => {
  const { data } = page, layers = data.layers, heads = layers.reduce((sum, l) => sum + l.heads.length, 0);
  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const tokens = Math.max(...layers.map((l) => Math.max(l.sq, l.sk)));
  document.getElementById("title").textContent = data.title;
  document.getElementById("subtitle").textContent =
    `${count(layers.length, "layer")}, ${count(heads, "head")}, ${count(tokens, "token")}` + (layers[0].source ? `. ${layers[0].source}` : "");
  page.applyTheme();
  page.set({ layer: 0 });
  page.redraw();
})();
