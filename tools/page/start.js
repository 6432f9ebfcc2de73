"use strict";
// The page as it opens.
(() => {
  const { data } = page, layers = data.layers, heads = layers.reduce((sum, l) => sum + l.heads.length, 0);
  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const tokens = Math.max(...layers.map((l) => Math.max(l.sq, l.sk)));

  // Where nobody chose a head: the one whose tokens attend single others the most.
  function sharpest() {
    let most = -1, found = { layer: 0, head: 0 };
    layers.forEach((l, layer) => l.heads.forEach((h, head) => {
      if (h.facts.sharpness > most) most = h.facts.sharpness, found = { layer, head };
    }));
    return found;
  }

  document.getElementById("title").textContent = page.tokenText(data.title);
  document.getElementById("subtitle").textContent =
    [count(layers.length, "layer"), count(heads, "head"), count(tokens, "token")].join(", ") +
    (page.commonSource ? `. ${page.tokenText(page.commonSource)}` : "");
  page.applyTheme();
  const first = data.sharpest ? sharpest() : { layer: 0 };
  // Of many tokens each gets little, which a square root leaves as pale as nothing.
  if (page.isLong(first.layer) && !page.isSigned(page.state.quantity)) first.transform = "log";
  page.set(first);
  page.begin();
})();
