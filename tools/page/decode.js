"use strict";
// Numbers of the page: base64 in elements b0, b1, ... to typed arrays. All scripts share the one name `page`.
const page = {};

(() => {
  let floats = null; // what each of float16's 65536 patterns is

  function makeFloats() {
    floats = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = bits >> 10 & 31, fraction = bits & 1023;
      let size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
      if (exponent === 31) size = fraction ? NaN : Infinity;
      floats[bits] = bits & 32768 ? -size : size;
    }
  }

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  function widen(halves) {
    if (!floats) makeFloats();
    const out = new Float32Array(halves.length);
    for (let i = 0; i < halves.length; i++) out[i] = floats[halves[i]];
    return out;
  }

  // A block as Float32Array, Int32Array or, for bits, Uint8Array.
  page.block = (index) => {
    const bytes = bytesOf(document.getElementById("b" + index).textContent);
    switch (page.data.types[index]) {
      case "h": return widen(new Uint16Array(bytes.buffer, 0, bytes.length / 2));
      case "f": return new Float32Array(bytes.buffer, 0, bytes.length / 4);
      case "i": return new Int32Array(bytes.buffer, 0, bytes.length / 4);
      default: return bytes;
    }
  };
})();
