"use strict";
// From numbers to places on a colour map and to text.
(() => {
  const DECADES = 4; // that a logarithmic scale shows below its largest number

  page.TRANSFORMS = { root: "square root", linear: "linear", log: "logarithm" };

  const bend = {
    linear: (x) => x,
    root: Math.sqrt,
    log: (x) => Math.max(0, 1 + Math.log10(Math.max(x, 1e-30)) / DECADES),
  };
  page.isSigned = (quantity) => quantity === "A" || quantity === "antisymmetric";

  function largest(values) {
    let most = 0;
    for (let i = 0; i < values.length; i++) {
      const size = Math.abs(values[i]);
      if (size > most && size !== Infinity) most = size;
    }
    return most;
  }

  // at(value): 0 ... 1 along the map, NaN for what is not finite. P and P|v| begin at 0, scores lie around it.
  page.scale = (quantity, values) => {
    const most = largest(values) || 1, kind = page.state.transform, both = page.isSigned(quantity);
    const up = (x) => bend[kind](Math.min(1, Math.abs(x) / most));
    return {
      most, both, map: both ? "diverging" : "sequential",
      at: (x) => !Number.isFinite(x) ? NaN : !both ? (x > 0 ? up(x) : 0) : 0.5 + 0.5 * Math.sign(x) * up(x),
    };
  };

  // Pixels of values, a word each; `nothing` is the word of what is not finite.
  page.paint = (values, scale, words, nothing) => {
    const map = page.colourMap(scale.map), last = map.length - 1;
    for (let i = 0; i < values.length; i++) {
      const t = scale.at(values[i]);
      words[i] = Number.isNaN(t) ? nothing : map[Math.round(t * last)];
    }
  };

  page.wordOf = (css) => {
    const [r, g, b] = css.match(/[\d.]+/g).map(Number);
    return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  };

  // A canvas of rows x keys pixels.
  page.texture = (values, rows, keys, scale) => {
    const canvas = document.createElement("canvas");
    canvas.width = keys;
    canvas.height = rows;
    const context = canvas.getContext("2d"), image = context.createImageData(keys, rows);
    page.paint(values, scale, new Uint32Array(image.data.buffer), page.wordOf(page.css("nothing")));
    context.putImageData(image, 0, 0);
    return canvas;
  };

  // A proper minus, in front and in an exponent.
  const proper = (text) => text.replaceAll("-", "−");

  // Four decimals, three digits at least and not many more: what is read is within 1e-3 of what is meant.
  page.number = (x) => {
    if (Number.isNaN(x)) return "none";
    if (!Number.isFinite(x)) return x < 0 ? "−∞" : "∞";
    const size = Math.abs(x);
    if (size === 0) return "0";
    if (size >= 99999.5) return proper(x.toExponential(3).replace("e+", "e"));
    if (size < 0.001) return proper(x.toExponential(2));
    return proper(size < 0.01 ? x.toPrecision(3) : size < 10 ? x.toFixed(4) : x.toPrecision(5));
  };
  page.shortNumber = (x) => {
    if (!Number.isFinite(x)) return "";
    const size = Math.abs(x);
    if (size >= 99999.5) return page.tick(x);
    return proper(size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : x.toFixed(2));
  };
  // Of two significant digits, for ticks; short, however large or small.
  page.tick = (x) => {
    const size = Math.abs(x), plain = size === 0 || (size >= 0.001 && size < 99500);
    return proper(plain ? String(Number(x.toPrecision(2))) : x.toExponential(1).replace(".0e", "e").replace("e+", "e"));
  };

  page.QUANTITIES = {
    P: { short: "P", unit: "share of a row" },
    Pv: { short: "P‖v‖", unit: "share × length of the value" },
    A: { short: "A", unit: "nats, before softmax" },
    antisymmetric: { short: "(A − Aᵀ)/2", unit: "nats" },
  };
})();
