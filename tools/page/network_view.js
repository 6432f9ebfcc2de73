"use strict";
// The network: tokens in reading order, one below the other, and an arc from each query to each key. Of one sequence
// arcs to earlier tokens run on the right, arcs to later ones on the left; of two, queries stand left and keys right.
(() => {
  const LABEL_CHARACTERS = 22, MOST_ARROWS = 600, MOST_NAMES = 40;
  const APART = 420; // pixels between the two columns of two sequences, at most
  const LONG_QUERIES = 512; // of a long head: the window whose edges are computed
  let shown = null, edges = [], edgesOf = "";
  let detail = null;
  let frame = { zoom: 1, y: 0 }, frameOf = "";

  // ---- which edges ----

  // Of a long head, a block of all keys for the queries in the window; until it is there, or where the window is too
  // large, its overview's tiles are the nodes.
  function longSource(layer, head, quantity) {
    const l = page.layer(layer), from = Math.floor(frame.y), count = Math.ceil(l.sk / frame.zoom) + 1;
    if (count <= LONG_QUERIES) {
      const first = page.tokenOfKey(layer, from).query ?? 0, rows = Math.min(l.sq - first, count);
      const name = [layer, head, quantity, first, rows].join();
      if (!detail || detail.name !== name) {
        const asked = detail = { name, row: first, rows, keys: l.sk, tileRows: 1, tileKeys: 1, values: null };
        page.ask("block", layer, head, { quantity, row: first, rows, key: 0, keys: l.sk }, true).then((values) => {
          asked.values = values;
          if (detail === asked) page.redraw();
        });
      }
      if (detail.values) return detail;
    }
    const overview = page.overview(layer, head, quantity, page.state.pooling);
    return { name: [layer, head, quantity, page.state.pooling, "tiles"].join(), row: 0, ...overview };
  }

  function source() {
    const { layer, head, quantity } = page.state, l = page.layer(layer);
    if (page.isLong(layer)) return longSource(layer, head, quantity);
    const values = page.matrix(layer, head, quantity, page.redraw);
    const name = [layer, head, quantity].join();
    return values && { name, row: 0, rows: l.sq, keys: l.sk, tileRows: 1, tileKeys: 1, values };
  }

  function takeEdges(from) {
    const { top, threshold, quantity } = page.state, name = [from.name, top, threshold].join();
    if (edgesOf === name) return;
    edges = page.edges(from.values, from.row, from.rows, from.keys, quantity, top, threshold);
    edges.sort((a, b) => Math.abs(a.value) - Math.abs(b.value)); // the strongest lie on top
    edgesOf = name;
  }

  page.shownEdges = () => edges;

  // ---- where things lie ----

  const middle = (tile, index, count) => index * tile + (Math.min(tile, count - index * tile) - 1) / 2;

  function layout(context, from) {
    const { layer } = page.state, l = page.layer(layer), { width, height } = page.pictureSize();
    const top = 26, rows = l.one ? l.sk : Math.max(l.sk, l.sq);
    const plot = height - top - 8, pitch = Math.min(plot / rows, 46);
    context.font = page.font(Math.max(10, Math.min(14, pitch * frame.zoom * 0.8)), 700);
    const label = Math.max(widest(context, page.keys(layer)), widest(context, page.queries(layer)));
    const forward = l.one && edges.some((e) => e.key > e.query + l.offset / from.tileKeys);
    const backward = l.one && edges.some((e) => e.key < e.query + l.offset / from.tileKeys);
    const extent = Math.min(0.75 * (14 + 0.62 * pitch * rows), width - label - 40); // of the longest arc
    const side = (width - label - extent) / 2;
    let left = Math.max(14, side);
    if (forward) left = backward ? (width - label) / 2 : Math.min(width - label - 14, side + extent);
    if (!l.one) left = Math.max(10, (width - 2 * label - APART) / 2);
    return { top, pitch, rows, label, plot: Math.min(plot, pitch * rows), left, width, height, one: l.one, l, from };
  }

  function widest(context, texts) {
    const step = Math.max(1, Math.floor(texts.length / 200));
    let room = 16;
    for (let i = 0; i < texts.length; i += step)
      room = Math.max(room, context.measureText(page.tokenLabel(texts[i], LABEL_CHARACTERS)).width);
    return room + 16;
  }

  // The height of a token's line, by its number on its side.
  const lineAt = (p, at) => p.top + (at + 0.5 - frame.y) * p.pitch * frame.zoom;

  function ends(p, edge) {
    const { l, from } = p;
    const query = from.tileRows > 1 ? middle(from.tileRows, edge.query, l.sq) : edge.query;
    const key = from.tileKeys > 1 ? middle(from.tileKeys, edge.key, l.sk) : edge.key;
    return { from: l.one ? query + l.offset : query, to: key };
  }

  // The curve of an edge, from its query to its key.
  function curve(p, edge) {
    const { from, to } = ends(p, edge), y0 = lineAt(p, from), y1 = lineAt(p, to);
    if (!p.one) {
      const x0 = p.left + p.label, x1 = Math.min(p.width - p.label - 10, x0 + APART);
      return { x0, y0, x1, y1, cx0: x0 + (x1 - x0) * 0.45, cx1: x0 + (x1 - x0) * 0.55, cy0: y0, cy1: y1, side: 0 };
    }
    if (from === to) {
      const x = p.left + p.label, r = Math.min(16, p.pitch * frame.zoom * 0.9);
      const cx = x + r * 1.6;
      return { x0: x, y0: y0 - 1, x1: x, y1: y0 + 1, cx0: cx, cx1: cx, cy0: y0 - r * 0.7, cy1: y0 + r * 0.7, side: 0 };
    }
    const back = to < from, x = back ? p.left + p.label : p.left;
    const room = back ? p.width - x - 12 : x - 12, bulge = Math.min(room * 1.3, 14 + Math.abs(y1 - y0) * 0.62);
    const cx = back ? x + bulge : x - bulge;
    return { x0: x, y0, x1: x, y1, cx0: cx, cx1: cx, cy0: y0, cy1: y1, side: back ? 1 : -1 };
  }

  // ---- drawing ----

  function colourOf(side, value) {
    if (value < 0) return page.css("quiet");
    return page.css(side < 0 ? "forward" : "back");
  }

  // Where tokens lie close, edges are thin.
  const thickest = (p) => Math.max(1.2, Math.min(8, p.pitch * frame.zoom * 0.5));
  const widthOf = (p, value, most) => 0.5 + (thickest(p) - 0.5) * Math.min(1, Math.abs(value) / most);

  function drawEdge(context, p, edge, most, colour, alpha, arrows) {
    const c = curve(p, edge), width = widthOf(p, edge.value, most);
    if (Math.max(c.y0, c.y1) < p.top - 40 || Math.min(c.y0, c.y1) > p.height + 40) return;
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = width;
    context.setLineDash(edge.value < 0 ? [5, 4] : []);
    context.beginPath();
    const angle = Math.atan2(c.y1 - c.cy1, c.x1 - c.cx1), size = 5 + width * 0.9, short = arrows ? size * 0.8 : 0;
    context.moveTo(c.x0, c.y0);
    context.bezierCurveTo(c.cx0, c.cy0, c.cx1, c.cy1, c.x1 - short * Math.cos(angle), c.y1 - short * Math.sin(angle));
    context.stroke();
    if (!arrows) return;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(c.x1, c.y1);
    context.lineTo(c.x1 - size * Math.cos(angle - 0.42), c.y1 - size * Math.sin(angle - 0.42));
    context.lineTo(c.x1 - size * Math.cos(angle + 0.42), c.y1 - size * Math.sin(angle + 0.42));
    context.fill();
  }

  // The two columns of labels, or the one: [texts, left edge, alignment, whose numbers].
  function columns(p) {
    if (p.one) return [[page.keys(p.layer), p.left, "center", "key"]];
    const right = curve(p, { query: 0, key: 0 }).x1;
    return [[page.queries(p.layer), p.left, "right", "query"], [page.keys(p.layer), right, "left", "key"]];
  }

  function drawToken(context, p, [texts, x, align], i, colour, bold) {
    const pitch = p.pitch * frame.zoom, y = lineAt(p, i);
    const at = { center: p.label / 2, right: p.label - 8, left: 8 }[align];
    context.font = page.font(Math.max(10, Math.min(14, pitch * 0.8)), bold ? 700 : 400);
    context.textAlign = align;
    context.textBaseline = "middle";
    context.globalAlpha = 1;
    if (bold) {
      context.fillStyle = page.css("paper");
      context.fillRect(x + 2, y - Math.max(8, pitch / 2), p.label - 4, Math.max(16, pitch));
    }
    context.fillStyle = colour;
    context.fillText(page.fitText(context, page.tokenLabel(texts[i], LABEL_CHARACTERS), p.label - 12), x + at, y);
  }

  function drawTokens(context, p, ink) {
    const pitch = p.pitch * frame.zoom, step = Math.max(1, Math.ceil(12 / pitch));
    for (const column of columns(p)) {
      const end = Math.min(column[0].length, Math.ceil(frame.y + p.plot / pitch));
      for (let i = Math.ceil(Math.floor(frame.y) / step) * step; i < end; i += step)
        drawToken(context, p, column, i, ink, false);
    }
  }

  function drawHeads(context, p) {
    context.globalAlpha = 1;
    context.font = page.font(12, 600);
    context.fillStyle = page.css("quiet");
    context.textBaseline = "top";
    if (!p.one) {
      context.textAlign = "right";
      context.fillText("queries", p.left + p.label - 8, 2);
      context.textAlign = "left";
      context.fillText("keys", curve(p, { query: 0, key: 0 }).x1 + 8, 2);
    }
  }

  function draw() {
    const { layer } = page.state, l = page.layer(layer), context = page.canvas(0);
    const count = Math.max(l.sk, l.sq);
    if (frameOf !== count + "") frame = { zoom: 1, y: 0 };
    frameOf = count + "";
    clampFrame(count);
    const from = source();
    document.getElementById("busy").hidden = Boolean(from);
    shown = null;
    if (!from) return;
    takeEdges(from);
    const p = { ...layout(context, from), layer }, most = edges.length ? Math.abs(edges[edges.length - 1].value) : 1;
    const faint = edges.length > 4000 ? 0.05 : edges.length > 800 ? 0.1 : 0.75;
    for (const edge of edges) {
      const alpha = faint + (0.75 - faint) * Math.abs(edge.value) / most;
      drawEdge(context, p, edge, most, colourOf(curve(p, edge).side, edge.value), alpha, edges.length <= MOST_ARROWS);
    }
    drawTokens(context, p, page.css("ink"));
    drawHeads(context, p);
    context.setLineDash([]);
    shown = { ...p, most };
    page.setLegendEdges(most, edges.length, from, thickest(p));
  }

  // ---- one token's edges ----

  const same = (p, edge, token) => {
    const { from } = p;
    const outgoing = token.query !== null && edge.query === Math.floor(token.query / from.tileRows);
    const incoming = token.key !== null && edge.key === Math.floor(token.key / from.tileKeys);
    return outgoing ? 1 : incoming ? -1 : 0;
  };

  // Its edges, and its neighbours in their colours; names of so many that they would cover each other are left out.
  function drawFocus(context, token) {
    const p = shown, bold = { query: new Map(), key: new Map() }, tiles = p.from.tileKeys > 1;
    for (const edge of edges) {
      const which = same(p, edge, token);
      if (!which) continue;
      const colour = page.css(which > 0 ? "accent" : "pin");
      drawEdge(context, p, edge, p.most, colour, 0.95, true);
      if (tiles) continue;
      if (which > 0) bold.key.set(edge.key, colour);
      else if (p.one) bold.key.set(edge.query + p.l.offset, colour);
      else bold.query.set(edge.query, colour);
    }
    if (token.key !== null) bold.key.set(token.key, page.css("ink"));
    if (token.query !== null && !p.one) bold.query.set(token.query, page.css("ink"));
    drawTokens(context, p, page.css("quiet"));
    for (const column of columns(p)) {
      const ofSide = bold[column[3]];
      if (ofSide.size > MOST_NAMES && p.pitch * frame.zoom < 12) continue;
      for (const [i, colour] of ofSide) drawToken(context, p, column, i, colour, true);
    }
    context.globalAlpha = 1;
  }

  function drawOverlay() {
    const context = page.canvas(1), token = page.state.cursor || page.state.pinned;
    page.dim(shown && token);
    if (shown && token) drawFocus(context, token);
  }

  function tokenAt(x, y) {
    if (!shown || y < shown.top || y > shown.top + shown.plot) return null;
    const at = Math.floor(frame.y + (y - shown.top) / (shown.pitch * frame.zoom)), { l, layer } = shown;
    if (shown.one) return at < l.sk ? page.tokenOfKey(layer, at) : null;
    if (x < curve(shown, { query: 0, key: 0 }).cx0) return at < l.sq ? page.tokenOfQuery(layer, at) : null;
    return at < l.sk ? page.tokenOfKey(layer, at) : null;
  }

  function clampFrame(count) {
    frame.zoom = Math.max(1, Math.min(frame.zoom, count / 4));
    frame.y = Math.max(0, Math.min(frame.y, count - count / frame.zoom));
  }

  function zoomAt(x, y, factor) {
    if (!shown) return;
    const line = (y - shown.top) / shown.pitch, token = frame.y + line / frame.zoom;
    frame.zoom *= factor;
    clampFrame(shown.rows);
    frame.y = token - line / frame.zoom;
    page.redraw();
  }

  page.pointerOf("network", {
    hover(x, y) {
      page.set({ cursor: tokenAt(x, y) });
    },
    click(x, y) {
      const token = tokenAt(x, y);
      if (token) page.pin(token);
    },
    drag(dx, dy) {
      if (!shown) return;
      frame.y -= dy / (shown.pitch * frame.zoom);
      page.redraw();
    },
    wheel: zoomAt,
    leave() {
      page.set({ cursor: null });
    },
  });

  page.placeOfToken = (token) => shown && {
    x: shown.left + shown.label / 2, y: lineAt(shown, shown.one || token.query === null ? token.key : token.query),
  };
  page.revealToken = (token) => {
    const at = token.key ?? token.query, count = shown ? shown.rows / frame.zoom : Infinity;
    if (at < frame.y || at + 1 > frame.y + count) frame.y = at + 0.5 - count / 2;
  };
  page.zoomNetwork = (factor) => {
    if (!shown) return;
    if (factor === 0) frame = { zoom: 1, y: 0 };
    const token = page.state.cursor || page.state.pinned;
    zoomAt(0, token ? page.placeOfToken(token).y : shown.top + shown.plot / 2, factor || 1);
  };

  const moves = ["cursor", "pinned"];
  page.onDraw((changed) => {
    if (page.state.view !== "network") return;
    if ([...changed].some((name) => !moves.includes(name))) draw();
    drawOverlay();
  });
})();
