"use strict";
// Two canvases on each other: the picture, and what moves with the pointer. What both views share.
(() => {
  const box = document.getElementById("picture");
  const layersOf = ["base", "overlay"].map((id) => document.getElementById(id));

  // Clears one of the two and returns its context in CSS pixels; the size follows the box.
  page.canvas = (which) => {
    const canvas = layersOf[which], ratio = devicePixelRatio || 1;
    const width = Math.round(box.clientWidth * ratio), height = Math.round(box.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.clientWidth, box.clientHeight);
    context.direction = "ltr";
    return context;
  };
  // Sets the picture back behind what lies over it.
  page.dim = (dimmed) => { layersOf[0].style.opacity = dimmed ? 0.2 : 1; };
  page.pictureSize = () => ({ width: box.clientWidth, height: box.clientHeight });
  const FAMILY = 'system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif';
  page.font = (size, weight) => `${weight || 400} ${size}px ${FAMILY}`;

  // A text that ends within `room` pixels.
  page.fitText = (context, text, room) => {
    if (context.measureText(text).width <= room) return text;
    const characters = Array.from(text.slice(1, -1));
    let low = 0, high = characters.length;
    const cut = (n) => text[0] + characters.slice(0, n).join("") + "…" + text.slice(-1);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (context.measureText(cut(middle)).width <= room) low = middle;
      else high = middle - 1;
    }
    return cut(low);
  };

  new ResizeObserver(() => page.redraw()).observe(box);

  // The pointer, told to whichever view is shown: hover(x, y), click(x, y), drag(dx, dy), wheel(x, y, factor), leave().
  const views = {};
  page.pointerOf = (view, handlers) => views[view] = handlers;
  const handler = () => views[page.state.view];
  let down = null, dragged = false;

  const place = (event) => {
    const rect = box.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    down = [event.clientX, event.clientY];
    dragged = false;
  });
  box.addEventListener("pointermove", (event) => {
    if (down && event.buttons & 1) {
      const dx = event.clientX - down[0], dy = event.clientY - down[1];
      if (!dragged && Math.hypot(dx, dy) < 4) return;
      if (!dragged) box.setPointerCapture(event.pointerId);
      dragged = true;
      down = [event.clientX, event.clientY];
      page.showTip(null);
      handler()?.drag(dx, dy);
      return;
    }
    handler()?.hover(...place(event));
  });
  box.addEventListener("pointerup", (event) => {
    if (down && !dragged) handler()?.click(...place(event));
    down = null;
  });
  box.addEventListener("pointerleave", () => handler()?.leave());
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = place(event);
    page.showTip(null);
    if (event.shiftKey) handler()?.drag(-event.deltaY, 0);
    else handler()?.wheel(x, y, Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 400));
  }, { passive: false });
  box.addEventListener("dblclick", (event) => handler()?.wheel(...place(event), 2));
})();
