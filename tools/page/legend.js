"use strict";
// What colours, widths and sides mean, with units.
(() => {
  const legend = document.getElementById("legend"), WIDTH = 240;

  page.POOLINGS = {
    most: () => "largest of a tile",
    mean: (quantity) => quantity === "P" || quantity === "Pv" ? "what a query gives a tile, mean" : "mean of a tile",
  };

  function text(parent, words) {
    const span = document.createElement("span");
    span.textContent = words;
    parent.append(span);
    return span;
  }

  function canvasOf(parent, width, height) {
    const canvas = document.createElement("canvas"), ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    canvas.setAttribute("role", "img");
    parent.append(canvas);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  const name = (quantity) => `${page.data.quantities[quantity].title} (${page.data.quantities[quantity].unit})`;

  // Round numbers along the bar that do not touch, first of all its ends.
  function ticks(context, scale) {
    const wanted = scale.both ? [1, -1, 0, -0.5, 0.5] : [1, 0, 0.1, 0.01, 0.001, 0.25, 0.5, 0.75];
    const found = [];
    for (const part of wanted) {
      const value = part * scale.most, x = scale.at(value) * WIDTH, said = page.tick(value);
      const width = context.measureText(said).width;
      const apart = (tick) => Math.abs(tick.x - x) > Math.max(30, (tick.width + width) / 2 + 6);
      if (found.every(apart)) found.push({ value, x, said, width });
    }
    return found.sort((a, b) => a.x - b.x);
  }

  // tiles: of an overview are in sight.
  page.setLegendScale = (scale, tiles) => {
    const { quantity, layer, pooling } = page.state, figure = document.createElement("figure");
    legend.replaceChildren(figure);
    text(figure, name(quantity));
    const pad = 24, context = canvasOf(figure, WIDTH + 2 * pad, 38), map = page.colourMap(scale.map);
    for (let x = 0; x < WIDTH; x++) {
      context.fillStyle = page.cssOfWord(map[Math.round(x / (WIDTH - 1) * 255)]);
      context.fillRect(pad + x, 4, 1.5, 13);
    }
    context.strokeStyle = page.css("line");
    context.strokeRect(pad - 0.5, 3.5, WIDTH + 1, 14);
    context.fillStyle = page.css("ink");
    context.font = page.font(11.5);
    context.textAlign = "center";
    context.textBaseline = "top";
    const shown = page.legendTicks = ticks(context, scale);
    for (const tick of shown) {
      context.fillRect(pad + tick.x - 0.5, 17, 1, 4);
      context.fillText(tick.said, pad + tick.x, 23);
    }
    context.canvas.setAttribute("aria-label", `colours from ${shown[0].said} to ${page.tick(scale.most)}`);
    if (page.isLong(layer)) {
      const [rows, keys] = page.layer(layer).tile;
      const said = text(legend, `a pixel of the overview is a tile of ${rows} × ${keys} cells: ` +
        `${page.POOLINGS[pooling](quantity)}; zoom in for single cells`);
      // It keeps its place: a picture of another size would have another window, whose single cells are not there yet.
      said.style.visibility = tiles ? "visible" : "hidden";
    }
  };

  function sample(parent, words, paint) {
    const figure = document.createElement("figure");
    legend.append(figure);
    paint(canvasOf(figure, 44, 22));
    text(figure, words);
  }

  function stroke(context, colour, width, dash) {
    context.strokeStyle = page.css(colour);
    context.lineWidth = width;
    context.setLineDash(dash || []);
    context.beginPath();
    context.moveTo(2, 11);
    context.lineTo(42, 11);
    context.stroke();
  }

  page.setLegendEdges = (most, count, from, thickest) => {
    const { quantity, layer, top } = page.state, l = page.layer(layer);
    legend.replaceChildren();
    text(legend, `Width: ${name(quantity)}`);
    for (const part of [0.1, 0.5, 1])
      sample(legend, page.tick(part * most), (context) => stroke(context, "ink", 0.5 + (thickest - 0.5) * part));
    if (l.one) {
      sample(legend, "right: to an earlier token", (context) => stroke(context, "back", 3));
      if (!l.causal || page.isSigned(quantity))
        sample(legend, "left: to a later token", (context) => stroke(context, "forward", 3));
    }
    if (quantity === "A") sample(legend, "negative", (context) => stroke(context, "quiet", 3, [5, 4]));
    if (quantity === "antisymmetric") text(legend, "an edge goes where A is larger than in the other direction");
    const limit = top ? `, at most ${top} of a query` : "";
    const tiles = from.tileRows > 1 ? `; each end is a tile of ${from.tileRows} tokens; zoom in for single ones` : "";
    text(legend, `${count} edges${limit}${tiles}`);
  };

  page.setLegendGrid = (quantity) => {
    legend.replaceChildren();
    text(legend, `${name(quantity)}: each head on its own scale, from nothing to its largest; ` +
      "a pixel is the largest of its cells. Rows are queries, columns are keys.");
  };
})();
