"use strict";
// Texts of tokens as they are shown: whatever they hold, they are text, and stay where they are put.
(() => {
  const FIRST_STRONG = "\u2068", POP = "\u2069"; // what stands between keeps its direction to itself

  // The same as those of tools/clattn/label_text.c.
  const UNSEEN = new RegExp("[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e" +
    "\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\u{1bca0}-\\u{1bca3}" +
    "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e00ff}\\u{e01f0}-\\u{e0fff}\\p{Noncharacter_Code_Point}]", "gu");

  // Controls, marks of direction and all else that nobody sees are made visible; joiners, which make emoji, stay.
  function visible(text) {
    return text.replace(UNSEEN, (c) => {
      const code = c.codePointAt(0);
      if (code === 10 || code === 0x2028 || code === 0x2029) return "↵";
      if (code === 9) return "⇥";
      if ((code & 0xfffe) === 0xfffe) return "\ufffd";
      return code >= 0xfdd0 && code <= 0xfdef ? c : "<" + code.toString(16).toUpperCase().padStart(4, "0") + ">";
    });
  }

  // Spaces are worth seeing where there is nothing else.
  const named = (text) => text === "" ? "∅" : /[^ ]/.test(text) ? visible(text) : "␣".repeat(text.length);
  const inner = (text) => named(text.slice(0, 200)).replace(/^ +| +$/g, "");

  page.tokenText = visible;

  // At most `count` characters for canvases, without the spaces at its ends.
  page.tokenLabel = (text, count) => {
    const characters = Array.from(inner(text));
    const shown = characters.length > count ? characters.slice(0, count - 1).join("") + "…" : characters.join("");
    return FIRST_STRONG + shown + POP;
  };

  // An element with a token's text, short and without the spaces at its ends; `whole`: as it is, in a box that scrolls.
  page.tokenElement = (text, whole) => {
    const span = document.createElement("bdi");
    span.className = whole && text.length > 120 ? "token long" : "token";
    const shown = whole ? named(text) : inner(text);
    span.textContent = whole || shown.length <= 80 ? shown : shown.slice(0, 80) + "…";
    return span;
  };
})();
