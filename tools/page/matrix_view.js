"use strict";
// The heat map: rows are queries, columns are keys. Zoomed and moved by one window over the cells.
(() => {
  const LARGEST_CELL = 72, SMALLEST_LABEL = 11;
  const MOST_CELLS = 1 << 20; // of a window of a long head that is computed exactly
  let shown = null; // what is on the canvas: { left, top, width, height, cell sizes, window, values, scale ... }
  let texture = null, textureOf = "";
  let detail = null; // of a long head: { name, row, rows, key, keys, texture, values }
  let frame = { zoom: 1, x: 0, y: 0 }, frameOf = ""; // x, y: the cell at the top left

  // ---- what the picture is made of ----

  // Pixels of the whole head: its cells, or the tiles of its overview.
  function source() {
    const { layer, head, quantity, pooling, transform } = page.state, l = page.layer(layer);
    const name = [layer, head, quantity, pooling, transform, page.isDark()].join();
    if (page.isLong(layer)) {
      const overview = page.overview(layer, head, quantity, pooling);
      return { name, ...overview };
    }
    const values = page.matrix(layer, head, quantity, page.redraw);
    return values && { name, rows: l.sq, keys: l.sk, tileRows: 1, tileKeys: 1, values };
  }

  // ---- where things lie ----

  function labelRoom(context, texts, most) {
    const step = Math.max(1, Math.floor(texts.length / 200));
    let room = 20;
    for (let i = 0; i < texts.length; i += step)
      room = Math.max(room, context.measureText(page.tokenLabel(texts[i], 18)).width);
    return Math.min(room + 12, most);
  }

  function clampZoom(zoom, { cellX, cellY }) {
    return Math.max(1, Math.min(zoom, LARGEST_CELL / Math.min(cellX, cellY)));
  }

  function layout(context, l) {
    const { width, height } = page.pictureSize();
    context.font = page.font(13, 700);
    const left = labelRoom(context, page.queries(page.state.layer), 130) + 18;
    const lean = labelRoom(context, page.keys(page.state.layer), 130);
    const top = lean * 0.72 + 26, right = Math.min(60, lean * 0.7);
    const roomX = Math.max(40, width - left - right), roomY = Math.max(40, height - top - 6);
    let cellX = roomX / l.sk, cellY = roomY / l.sq;
    const square = Math.min(cellX, cellY, LARGEST_CELL);
    cellX = Math.max(square, Math.min(cellX, 24 / l.sk));
    cellY = Math.max(square, Math.min(cellY, 24 / l.sq));
    frame.zoom = clampZoom(frame.zoom, { cellX, cellY });
    const plotX = Math.min(cellX * frame.zoom * l.sk, roomX), plotY = Math.min(cellY * frame.zoom * l.sq, roomY);
    return { left, top, width: plotX, height: plotY, cellX, cellY };
  }

  // How many keys and queries are in the window.
  const keysSeen = (place) => place.width / (place.cellX * frame.zoom);
  const rowsSeen = (place) => place.height / (place.cellY * frame.zoom);

  function clampFrame(l, place) {
    frame.x = Math.max(0, Math.min(frame.x, l.sk - keysSeen(place)));
    frame.y = Math.max(0, Math.min(frame.y, l.sq - rowsSeen(place)));
  }

  // ---- drawing ----

  function drawLabels(context, place, texts, isRow) {
    const cell = isRow ? place.cellY * frame.zoom : place.cellX * frame.zoom, origin = isRow ? frame.y : frame.x;
    const seen = isRow ? rowsSeen(place) : keysSeen(place);
    const from = Math.floor(origin), end = Math.min(texts.length, Math.ceil(origin + seen));
    const step = niceStep(Math.max(1, Math.ceil(SMALLEST_LABEL * (isRow ? 1.15 : 1.35) / cell)));
    context.fillStyle = page.css("ink");
    context.font = page.font(Math.max(10, Math.min(13, cell * 0.9)));
    context.textBaseline = "middle";
    for (let i = Math.ceil(from / step) * step; i < end; i += step) {
      const at = (i + 0.5 - origin) * cell, text = page.tokenLabel(texts[i], 18);
      if (at < 0 || at > (isRow ? place.height : place.width) + 0.5) continue;
      drawLabel(context, place, text, at, isRow);
    }
  }

  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
  const niceStep = (n) => STEPS.find((step) => step >= n) || n;

  function drawLabel(context, place, text, at, isRow) {
    if (isRow) {
      context.textAlign = "right";
      context.fillText(page.fitText(context, text, place.left - 26), place.left - 6, place.top + at);
      return;
    }
    context.save();
    context.translate(place.left + at, place.top - 6);
    context.rotate(-Math.PI / 4);
    context.textAlign = "left";
    context.fillText(page.fitText(context, text, (place.top - 26) / 0.72), 0, 0);
    context.restore();
  }

  function drawAxes(context, place) {
    context.fillStyle = page.css("quiet");
    context.font = page.font(12, 600);
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillText("keys: what is attended →", place.left, 2);
    context.save();
    context.translate(2, place.top + place.height);
    context.rotate(-Math.PI / 2);
    context.fillText(place.height > 150 ? "← queries: who attends" : "← queries", 0, 0);
    context.restore();
    context.strokeStyle = page.css("line");
    context.lineWidth = 1;
    context.strokeRect(place.left - 0.5, place.top - 0.5, place.width + 1, place.height + 1);
  }

  // Numbers in cells that have room for them.
  function drawNumbers(context, place, from, scale) {
    const cellX = place.cellX * frame.zoom, cellY = place.cellY * frame.zoom;
    if (cellX < 34 || cellY < 16) return;
    const map = page.colourMap(scale.map), keys = from.keys;
    context.font = page.font(Math.min(13, cellX * 0.3));
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = Math.floor(frame.y); i < Math.min(from.rows, frame.y + place.height / cellY); i++)
      for (let j = Math.floor(frame.x); j < Math.min(keys, frame.x + place.width / cellX); j++) {
        const value = from.values[i * keys + j], t = scale.at(value);
        if (Math.abs(value) < 0.005 || Number.isNaN(t)) continue;
        context.fillStyle = page.inkOn(map[Math.round(t * 255)]);
        const x = place.left + (j + 0.5 - frame.x) * cellX, y = place.top + (i + 0.5 - frame.y) * cellY;
        context.fillText(page.shortNumber(value), x, y, cellX - 4);
      }
  }

  function drawTexture(context, place, image, cells) {
    const cellX = place.cellX * frame.zoom, cellY = place.cellY * frame.zoom;
    context.imageSmoothingEnabled = cellX * cells.tileKeys < 1 || cellY * cells.tileRows < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, place.left + (cells.key - frame.x) * cellX, place.top + (cells.row - frame.y) * cellY,
      image.width * cells.tileKeys * cellX, image.height * cells.tileRows * cellY);
  }

  // Of a long head: the window itself, as soon as it is small enough.
  function askForDetail(place, scale) {
    const { layer, head, quantity, transform } = page.state, l = page.layer(layer);
    const row = Math.floor(frame.y), rows = Math.min(l.sq - row, Math.ceil(rowsSeen(place)) + 1);
    const key = Math.floor(frame.x), keys = Math.min(l.sk - key, Math.ceil(keysSeen(place)) + 1);
    if (rows * keys > MOST_CELLS) return null;
    const name = [layer, head, quantity, transform, page.isDark(), row, rows, key, keys].join();
    if (detail && detail.name === name) return detail.texture && detail;
    const asked = detail = { name, row, rows, key, keys, tileRows: 1, tileKeys: 1, texture: null };
    page.ask("block", layer, head, { quantity, row, rows, key, keys }, true).then((values) => {
      asked.values = values;
      asked.texture = page.texture(values, rows, keys, scale);
      if (detail === asked) page.redraw();
    });
    return null;
  }

  function draw() {
    const { layer, head } = page.state, l = page.layer(layer), context = page.canvas(0);
    if (frameOf !== l.sq + "x" + l.sk) frame = { zoom: 1, x: 0, y: 0 };
    frameOf = l.sq + "x" + l.sk;
    const from = source(), place = layout(context, l);
    clampFrame(l, place);
    document.getElementById("busy").hidden = Boolean(from);
    shown = null;
    if (!from) return;
    const scale = page.scale(page.state.quantity, from.values);
    if (textureOf !== from.name) texture = page.texture(from.values, from.rows, from.keys, scale);
    textureOf = from.name;
    context.save();
    context.beginPath();
    context.rect(place.left, place.top, place.width, place.height);
    context.clip();
    drawTexture(context, place, texture, { row: 0, key: 0, tileRows: from.tileRows, tileKeys: from.tileKeys });
    const exact = page.isLong(layer) ? askForDetail(place, scale) : null;
    if (exact) drawTexture(context, place, exact.texture, exact);
    if (!page.isLong(layer)) drawNumbers(context, place, from, scale);
    context.restore();
    drawAxes(context, place);
    drawLabels(context, place, page.queries(layer), true);
    drawLabels(context, place, page.keys(layer), false);
    shown = { ...place, scale, from, layer, head, exact };
    page.setLegendScale(scale, !exact);
  }

  // ---- the cell under the pointer, and the pinned token ----

  function band(context, at, isRow, colour, width) {
    const cell = isRow ? shown.cellY * frame.zoom : shown.cellX * frame.zoom, size = Math.max(cell, 2);
    const offset = (at - (isRow ? frame.y : frame.x)) * cell + (cell - size) / 2;
    const { left, top } = shown;
    const rect = isRow ? [left, top + offset, shown.width, size] : [left + offset, top, size, shown.height];
    context.save();
    context.beginPath();
    context.rect(shown.left, shown.top, shown.width, shown.height);
    context.clip();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(...rect);
    context.restore();
  }

  function frameCell(context, { query, key }) {
    const cellX = shown.cellX * frame.zoom, cellY = shown.cellY * frame.zoom;
    const x = shown.left + (key - frame.x) * cellX, y = shown.top + (query - frame.y) * cellY;
    const rect = [x - 1, y - 1, cellX + 2, cellY + 2];
    context.lineWidth = 5;
    context.strokeStyle = page.css("paper");
    context.strokeRect(...rect);
    context.lineWidth = 2.5;
    context.strokeStyle = page.css("accent");
    context.strokeRect(...rect);
  }

  function boldLabel(context, at, texts, isRow) {
    const cell = isRow ? shown.cellY * frame.zoom : shown.cellX * frame.zoom;
    const where = (at + 0.5 - (isRow ? frame.y : frame.x)) * cell;
    if (where < 0 || where > (isRow ? shown.height : shown.width)) return;
    context.font = page.font(13, 700);
    context.textBaseline = "middle";
    context.lineWidth = 5;
    context.strokeStyle = page.css("paper");
    context.fillStyle = page.css("accent");
    const text = page.tokenLabel(texts[at], 18), plain = context.fillText;
    context.lineJoin = "round";
    context.fillText = (...rest) => {
      context.strokeText(...rest);
      plain.apply(context, rest);
    };
    drawLabel(context, shown, text, where, isRow);
    context.fillText = plain;
  }

  function drawOverlay() {
    const context = page.canvas(1), { cursor, pinned, layer } = page.state;
    page.dim(false);
    if (!shown) return;
    if (pinned && pinned.query !== null) band(context, pinned.query, true, page.css("pin"), 2);
    if (pinned && pinned.key !== null) band(context, pinned.key, false, page.css("pin"), 2);
    if (!cursor || cursor.query === null || cursor.key === null) return;
    band(context, cursor.query, true, page.css("accent"), 1);
    band(context, cursor.key, false, page.css("accent"), 1);
    frameCell(context, cursor);
    boldLabel(context, cursor.query, page.queries(layer), true);
    boldLabel(context, cursor.key, page.keys(layer), false);
  }

  function cellAt(x, y) {
    if (!shown || x < shown.left || y < shown.top) return null;
    if (x >= shown.left + shown.width || y >= shown.top + shown.height) return null;
    const l = page.layer(shown.layer);
    const key = Math.floor(frame.x + (x - shown.left) / (shown.cellX * frame.zoom));
    const query = Math.floor(frame.y + (y - shown.top) / (shown.cellY * frame.zoom));
    return query < l.sq && key < l.sk ? { query, key } : null;
  }

  function zoomAt(x, y, factor) {
    if (!shown) return;
    const cellX = (x - shown.left) / shown.cellX, cellY = (y - shown.top) / shown.cellY;
    const key = frame.x + cellX / frame.zoom, query = frame.y + cellY / frame.zoom;
    frame.zoom = clampZoom(frame.zoom * factor, shown);
    frame.x = key - cellX / frame.zoom;
    frame.y = query - cellY / frame.zoom;
    page.redraw();
  }

  page.pointerOf("matrix", {
    hover(x, y) {
      const cell = cellAt(x, y);
      page.set({ cursor: cell });
      page.showTip(cell, x, y);
    },
    click(x, y) {
      const cell = cellAt(x, y);
      if (cell) page.pin(page.tokenOfQuery(page.state.layer, cell.query));
    },
    drag(dx, dy) {
      if (!shown) return;
      frame.x -= dx / (shown.cellX * frame.zoom);
      frame.y -= dy / (shown.cellY * frame.zoom);
      page.redraw();
    },
    wheel: zoomAt,
    leave() {
      page.set({ cursor: null });
      page.showTip(null);
    },
  });

  // Where a cell lies in the picture, in CSS pixels: for the tip of a cell that the arrows are at.
  page.placeOfCell = ({ query, key }) => shown && {
    x: shown.left + (key + 0.5 - frame.x) * shown.cellX * frame.zoom,
    y: shown.top + (query + 0.5 - frame.y) * shown.cellY * frame.zoom,
  };
  // Brings a cell into the window.
  page.revealCell = ({ query, key }) => {
    if (!shown) return;
    const keys = keysSeen(shown), rows = rowsSeen(shown);
    if (key < frame.x || key + 1 > frame.x + keys) frame.x = key + 0.5 - keys / 2;
    if (query < frame.y || query + 1 > frame.y + rows) frame.y = query + 0.5 - rows / 2;
  };
  page.zoomMatrix = (factor) => {
    if (!shown) return;
    if (factor === 0) frame = { zoom: 1, x: 0, y: 0 };
    const at = page.state.cursor && page.placeOfCell(page.state.cursor);
    zoomAt(at ? at.x : shown.left + shown.width / 2, at ? at.y : shown.top + shown.height / 2, factor || 1);
  };
  page.shownDetail = () => shown && shown.exact;
  page.matrixZoom = () => frame.zoom;

  const moves = ["cursor", "pinned"];
  page.onDraw((changed) => {
    if (page.state.view !== "matrix") return;
    if ([...changed].some((name) => !moves.includes(name))) draw();
    drawOverlay();
  });
})();
