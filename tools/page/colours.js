"use strict";
// Colour maps, which the command gives (tools/clattn/colours.c), and the page's own colours, light and dark.
(() => {
  // 256 colours of "rrggbb" each, as words of ImageData's pixels, which are red first on little-endian machines.
  function table(digits) {
    const words = new Uint32Array(digits.length / 6);
    for (let i = 0; i < words.length; i++) {
      const rgb = parseInt(digits.slice(6 * i, 6 * i + 6), 16);
      words[i] = (255 << 24 | (rgb & 255) << 16 | rgb & 0xff00 | rgb >> 16) >>> 0;
    }
    return words;
  }

  const made = {};
  page.colourMap = (kind) => {
    const theme = page.isDark() ? "dark" : "light", name = theme + kind;
    return made[name] = made[name] || table(page.data.colours[theme][kind]);
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
