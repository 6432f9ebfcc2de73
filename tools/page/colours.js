"use strict";
// Colour maps: perceptually even (interpolated in OKLab), ordered by lightness, and told apart without red and green.
(() => {
  const STEPS = 256;

  // Anchors as [lightness, chroma, hue in degrees] of OKLCH, evenly spaced.
  const MAPS = {
    light: {
      sequential: [[1, 0, 110], [0.93, 0.06, 110], [0.83, 0.1, 160], [0.7, 0.105, 205], [0.55, 0.12, 240], [0.4, 0.13, 265], [0.25, 0.09, 280]],
      diverging: [[0.36, 0.12, 258], [0.55, 0.13, 252], [0.78, 0.08, 245], [0.985, 0, 0], [0.82, 0.09, 70], [0.62, 0.14, 55], [0.42, 0.11, 45]],
    },
    dark: {
      sequential: [[0.2, 0.01, 265], [0.33, 0.1, 275], [0.47, 0.13, 255], [0.62, 0.12, 220], [0.75, 0.12, 175], [0.88, 0.12, 125], [0.97, 0.07, 105]],
      diverging: [[0.9, 0.06, 235], [0.72, 0.12, 245], [0.45, 0.11, 255], [0.2, 0.008, 265], [0.45, 0.1, 50], [0.72, 0.14, 62], [0.92, 0.08, 85]],
    },
  };

  function gamma(x) {
    const clipped = Math.min(1, Math.max(0, x));
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  }

  // OKLab to sRGB (B. Ottosson's matrices).
  function rgb([lightness, a, b]) {
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    return [
      gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
      gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
      gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
    ];
  }

  const lab = ([lightness, chroma, hue]) =>
    [lightness, chroma * Math.cos(hue * Math.PI / 180), chroma * Math.sin(hue * Math.PI / 180)];

  // 256 colours as one array of pixels' words, as ImageData has them on little-endian machines.
  function table(anchors) {
    const words = new Uint32Array(STEPS), points = anchors.map(lab);
    for (let i = 0; i < STEPS; i++) {
      const at = i / (STEPS - 1) * (points.length - 1), n = Math.min(Math.floor(at), points.length - 2), t = at - n;
      const [r, g, b] = rgb(points[n].map((x, c) => x + t * (points[n + 1][c] - x)));
      words[i] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
    }
    return words;
  }

  const made = {};
  page.colourMap = (kind) => {
    const theme = page.isDark() ? "dark" : "light", name = theme + kind;
    return made[name] = made[name] || table(MAPS[theme][kind]);
  };

  page.cssOfWord = (word) => `rgb(${word & 255} ${word >> 8 & 255} ${word >> 16 & 255})`;

  // Ink that can be read on a pixel.
  page.inkOn = (word) => {
    const light = 0.299 * (word & 255) + 0.587 * (word >> 8 & 255) + 0.114 * (word >> 16 & 255);
    return light > 140 ? "#101318" : "#f4f6fa";
  };

  // The colour of a custom property of the style sheet, as canvases take it.
  const probe = document.getElementById("probe");
  page.css = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };

  // ---- light and dark ----
  const system = matchMedia("(prefers-color-scheme: dark)");
  let said = page.data.dark ? "dark" : null; // null: as the system has it

  page.isDark = () => (said || (system.matches ? "dark" : "light")) === "dark";
  page.applyTheme = () => {
    document.documentElement.style.colorScheme = page.isDark() ? "dark" : "light";
    document.getElementById("theme").textContent = page.isDark() ? "Light" : "Dark";
  };
  page.toggleTheme = () => {
    said = page.isDark() ? "light" : "dark";
    page.applyTheme();
    page.redraw();
  };
  system.addEventListener("change", () => {
    page.applyTheme();
    page.redraw();
  });
})();
