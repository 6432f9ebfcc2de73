"use strict";
// What is chosen above the picture: each control sets the state and follows it.
(() => {
  const $ = (id) => document.getElementById(id), data = page.data;
  const VIEWS = { matrix: "Matrix", network: "Network", grid: "Grid" };

  function option(select, value, text) {
    const out = document.createElement("option");
    out.value = value;
    out.textContent = text;
    select.append(out);
  }

  // Buttons of which one is chosen: arrows move between them, as between radio buttons.
  function choice(box, names, key) {
    for (const name in names) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      button.dataset.value = name;
      button.textContent = names[name].short || names[name];
      button.addEventListener("click", () => page.set({ [key]: name }));
      box.append(button);
    }
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const usable = [...box.children].filter((button) => !button.hidden), at = usable.indexOf(document.activeElement);
      const next = usable[(at + step + usable.length) % usable.length];
      next.focus();
      next.click();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  function showChoice(box, chosen, usable) {
    for (const button of box.children) {
      const on = button.dataset.value === chosen;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
      button.hidden = usable && !usable.includes(button.dataset.value);
    }
  }

  // The slider's place to a threshold: nothing, then up to the largest number of the head, finer at its lower end.
  const thresholdAt = (place) => place === 0 ? 0 : (place / 100) ** 2 * largest();
  const placeOf = (threshold) => Math.round(100 * Math.sqrt(Math.min(1, threshold / largest())));

  let largestOf = "", largestIs = 1;
  function largest() {
    const { layer, head, quantity } = page.state, name = [layer, head, quantity].join();
    if (name === largestOf) return largestIs;
    const values = page.isLong(layer)
      ? page.overview(layer, head, quantity, "most").values
      : page.matrix(layer, head, quantity);
    if (!values) return 1;
    largestOf = name;
    return largestIs = page.scale(quantity, values).most;
  }

  function build() {
    choice($("views"), VIEWS, "view");
    choice($("quantities"), page.QUANTITIES, "quantity");
    for (const button of $("quantities").children) button.title = data.quantities[button.dataset.value].title;
    data.layers.forEach((l, i) => option($("layer"), i, l.name));
    for (const name in page.TRANSFORMS) option($("transform"), name, page.TRANSFORMS[name]);
    for (const name in page.POOLINGS) option($("pooling"), name, name === "most" ? "largest" : "mean");
    $("layer").addEventListener("change", () => page.set({ layer: Number($("layer").value) }));
    $("head").addEventListener("change", () => page.set({ head: Number($("head").value) }));
    $("transform").addEventListener("change", () => page.set({ transform: $("transform").value }));
    $("pooling").addEventListener("change", () => page.set({ pooling: $("pooling").value }));
    $("layer-back").addEventListener("click", () => page.step("layer", -1));
    $("layer-on").addEventListener("click", () => page.step("layer", 1));
    $("head-back").addEventListener("click", () => page.step("head", -1));
    $("head-on").addEventListener("click", () => page.step("head", 1));
    $("top").max = Math.max(16, data.top);
    $("top").addEventListener("input", () => page.set({ top: Number($("top").value) }));
    $("threshold").addEventListener("input", () => page.set({ threshold: thresholdAt(Number($("threshold").value)) }));
    $("theme").addEventListener("click", page.toggleTheme);
    document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  }

  page.step = (name, by) => page.set({ [name]: page.state[name] + by });

  let headsOf = -1;
  function showHeads(layer) {
    if (headsOf === layer) return;
    headsOf = layer;
    $("head").replaceChildren();
    page.layer(layer).heads.forEach((h, i) => option($("head"), i, "head " + h.index));
  }

  function caption() {
    const { layer, head, quantity, view } = page.state, l = page.layer(layer), title = data.quantities[quantity].title;
    if (view === "grid") return `${data.layers.length} layer${data.layers.length > 1 ? "s" : ""}, every head: ${title}`;
    return `${l.name}, ${page.headName(layer, head)}: ${title}`;
  }

  build();
  page.onDraw(() => {
    const s = page.state, l = page.layer(s.layer);
    showChoice($("views"), s.view);
    showChoice($("quantities"), s.quantity, l.quantities);
    showHeads(s.layer);
    $("layer").value = s.layer;
    $("head").value = s.head;
    $("layer-back").disabled = s.layer === 0;
    $("layer-on").disabled = s.layer === data.layers.length - 1;
    $("head-back").disabled = s.head === 0;
    $("head-on").disabled = s.head === l.heads.length - 1;
    $("transform").value = s.transform;
    $("pooling").value = s.pooling;
    $("transform-label").hidden = s.view === "network"; // whose widths are in proportion
    $("pooling-label").hidden = !page.isLong(s.layer);
    $("top-label").hidden = $("threshold-label").hidden = s.view !== "network";
    $("top").value = s.top;
    $("top-said").textContent = s.top === 0 ? "all" : "at most " + s.top;
    if (s.view === "network") $("threshold").value = placeOf(s.threshold);
    $("threshold-said").textContent = s.threshold === 0 ? "any" : page.tick(s.threshold);
    $("caption").textContent = caption();
    $("picture").setAttribute("aria-label", `${VIEWS[s.view]}. ${caption()}. Arrows move, Enter pins.`);
  });
})();
