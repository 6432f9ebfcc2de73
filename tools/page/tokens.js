"use strict";
// Texts of tokens as they are shown: whatever they hold, they are text, and stay where they are put.
(() => {
  const FIRST_STRONG = "\u2068", POP = "\u2069"; // what stands between keeps its direction to itself

  const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

  // Controls and marks of direction, which nobody sees, are made visible; joiners, which make emoji, stay.
  function visible(text) {
    return text.replace(UNSEEN, (c) => {
      const code = c.charCodeAt(0);
      if (code === 10) return "⏎";
      if (code === 9) return "⇥";
      return "‹U+" + code.toString(16).toUpperCase().padStart(4, "0") + "›";
    });
  }

  page.tokenText = visible;

  // At most `count` characters for canvases, where spaces at the ends are worth seeing only when there is nothing else.
  page.tokenLabel = (text, count) => {
    const characters = Array.from(visible(text.length > 200 ? text.slice(0, 200) : text).trim());
    if (characters.length === 0) return text.length ? "␣" : "∅";
    const shown = characters.length > count ? characters.slice(0, count - 1).join("") + "…" : characters.join("");
    return FIRST_STRONG + shown + POP;
  };

  // An element with a token's text, short and without the spaces at its ends; `whole`: as it is, in a box that scrolls.
  page.tokenElement = (text, whole) => {
    const span = document.createElement("bdi");
    span.className = whole && text.length > 120 ? "token long" : "token";
    const shown = whole ? visible(text) : visible(text.slice(0, 200)).trim();
    span.textContent = whole || shown.length <= 80 ? shown : shown.slice(0, 80) + "…";
    if (!text.trim()) span.textContent = text.length ? "␣".repeat(Math.min(text.length, 8)) : "∅";
    return span;
  };
})();
