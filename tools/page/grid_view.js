"use strict";
// The grid: a thumbnail of every head of every layer. Those in sight are computed first, by the worker, and kept.
(() => {
  const SIZE = 72; // tiles of a thumbnail, each way
  const grid = document.getElementById("grid");
  const known = new Map(); // "layer/head/quantity" -> { rows, keys, most }
  const asked = new Set();
  let built = false, at = { layer: 0, head: 0 };

  const heads = [...new Set(page.data.layers.flatMap((l) => l.heads.map((h) => h.index)))].sort((a, b) => a - b);
  const thumbs = page.data.layers.map(() => []);

  function element(parent, tag, className, text) {
    const out = document.createElement(tag);
    out.className = className;
    if (text !== undefined) out.textContent = text;
    parent.append(out);
    return out;
  }

  // One layer's heads fill several rows, each with its name below; of several layers each has a row.
  const COLUMNS = page.data.layers.length > 1 ? heads.length : Math.ceil(Math.sqrt(heads.length * 2.2));
  const rows = page.data.layers.length > 1 ? thumbs : heads.filter((_, i) => i % COLUMNS === 0).map(() => []);

  function addRow() {
    const row = element(grid, "div", "");
    row.setAttribute("role", "row");
    return row;
  }

  function buildOne() {
    let row = null;
    heads.forEach((index, head) => {
      if (head % COLUMNS === 0) row = addRow();
      const cell = element(row, "span", "cell");
      rows[Math.floor(head / COLUMNS)].push(addThumb(cell, 0, head));
      element(cell, "span", "", "head " + index);
    });
  }

  function buildSeveral() {
    const header = addRow();
    element(header, "span", "name top", "head").setAttribute("role", "columnheader");
    for (const index of heads) element(header, "span", "name top", index).setAttribute("role", "columnheader");
    page.data.layers.forEach((l, layer) => {
      const row = addRow(), name = element(row, "span", "name", l.name);
      name.setAttribute("role", "rowheader");
      name.title = l.name;
      for (const index of heads) {
        const head = l.heads.findIndex((h) => h.index === index);
        if (head < 0) element(row, "span", "").setAttribute("role", "gridcell");
        else addThumb(row, layer, head);
      }
    });
  }

  function build() {
    built = true;
    if (page.data.layers.length > 1) buildSeveral();
    else buildOne();
  }

  function addThumb(row, layer, head) {
    const thumb = element(row, "button", "thumb");
    thumb.type = "button";
    thumb.setAttribute("role", "gridcell");
    thumb.dataset.layer = layer;
    thumb.dataset.head = head;
    element(thumb, "canvas", "").width = SIZE;
    thumbs[layer][head] = thumb;
    seen.observe(thumb);
    return thumb;
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      entry.target.inSight = entry.isIntersecting;
      if (entry.isIntersecting) show(Number(entry.target.dataset.layer), Number(entry.target.dataset.head));
    }
  }, { root: grid, rootMargin: "200px" });

  function quantityOf(layer) {
    const l = page.layer(layer);
    return l.quantities.includes(page.state.quantity) ? page.state.quantity : l.quantities[0];
  }

  function summary(layer, head, quantity, name) {
    if (known.has(name)) return known.get(name);
    if (page.isLong(layer)) {
      const overview = page.overview(layer, head, quantity, "most"), found = { ...overview, most: overview.values };
      known.set(name, found);
      return found;
    }
    if (!asked.has(name)) {
      asked.add(name);
      page.ask("pool", layer, head, { quantity, size: SIZE }, false).then((found) => {
        asked.delete(name);
        known.set(name, found);
        if (thumbs[layer][head].inSight && quantityOf(layer) === quantity) show(layer, head);
      });
    }
    return null;
  }

  function show(layer, head) {
    const quantity = quantityOf(layer), name = [layer, head, quantity].join("/"), thumb = thumbs[layer][head];
    const found = summary(layer, head, quantity, name), picture = [name, page.state.transform, page.isDark()].join();
    if (!found || thumb.dataset.picture === picture) return;
    const canvas = thumb.firstChild, scale = page.scale(quantity, found.most);
    const image = page.texture(found.most, found.rows, found.keys, scale);
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    thumb.dataset.picture = picture;
  }

  function arrange() {
    const several = page.data.layers.length > 1, names = several ? 190 : 10;
    const across = (grid.clientWidth - names) / COLUMNS - 6;
    const down = (grid.clientHeight - 40) / rows.length - (several ? 6 : 28);
    const size = Math.floor(down < 44 ? Math.max(44, Math.min(96, across)) : Math.max(44, Math.min(240, across, down)));
    grid.style.gridTemplateColumns = `${several ? "max-content " : ""}repeat(${COLUMNS}, ${size}px)`;
  }

  function mark() {
    const { layer, head } = page.state;
    thumbs.forEach((row, i) => row.forEach((thumb, h) => {
      const chosen = i === layer && h === head;
      thumb.setAttribute("aria-selected", chosen);
      thumb.tabIndex = i === at.layer && h === at.head ? 0 : -1;
      thumb.setAttribute("aria-label", `${page.layer(i).name}, ${page.headName(i, h)}${chosen ? ", chosen" : ""}`);
    }));
  }

  function open(thumb) {
    page.set({ layer: Number(thumb.dataset.layer), head: Number(thumb.dataset.head), view: page.state.lastView });
    document.getElementById("picture").focus();
  }

  grid.addEventListener("click", (event) => {
    const thumb = event.target.closest(".thumb");
    if (thumb) open(thumb);
  });
  grid.addEventListener("pointerover", (event) => {
    const thumb = event.target.closest(".thumb");
    if (thumb) page.showHeadTip(Number(thumb.dataset.layer), Number(thumb.dataset.head), event.clientX, event.clientY);
    else page.showTip(null);
  });
  grid.addEventListener("pointerleave", () => page.showTip(null));

  // Arrows in the grid: to the next thumbnail that is there.
  page.moveInGrid = (down, across) => {
    const now = thumbs[at.layer][at.head], from = rows.findIndex((row) => row.includes(now));
    const row = rows[Math.min(Math.max(from + down, 0), rows.length - 1)];
    const thumb = row[Math.min(Math.max(rows[from].indexOf(now) + across, 0), row.length - 1)];
    at = { layer: Number(thumb.dataset.layer), head: Number(thumb.dataset.head) };
    mark();
    thumb.focus();
    page.speak(thumb.getAttribute("aria-label"));
  };

  page.onDraw((changed) => {
    const shown = page.state.view === "grid";
    grid.hidden = !shown;
    document.getElementById("picture").hidden = shown;
    if (!shown) return;
    if (!built) build();
    const { layer, head } = page.state;
    if (changed.has("layer") || changed.has("head") || changed.has("view")) at = { layer, head };
    if (changed.has("quantity")) page.forgetJobs(), asked.clear();
    arrange();
    mark();
    thumbs.forEach((row, i) => row.forEach((thumb, h) => thumb.inSight && show(i, h)));
    page.setLegendGrid(quantityOf(layer));
    if (changed.has("view")) thumbs[at.layer][at.head].focus();
    if (changed.has("layer") || changed.has("head")) thumbs[at.layer][at.head].scrollIntoView({ block: "nearest" });
  });
})();
