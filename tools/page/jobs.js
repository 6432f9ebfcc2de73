"use strict";
// The worker: long sums run beside the page, made of the page's own scripts. One job at a time, urgent ones first.
(() => {
  const HEADS_THERE = 4;
  const queue = [], there = [];
  let worker = null, running = null;

  // What the worker runs; `page` is its own there.
  function serve() {
    const heads = new Map();
    const work = {
      scores: (head, a) => page.scores(head, a.row, a.rows, a.key, a.keys),
      block: (head, a) => page.values(head, a.quantity, a.row, a.rows, a.key, a.keys),
      pool: (head, a) => page.pool(head, a.quantity, a.size),
    };
    onmessage = (event) => {
      const { kind, name, head, forget, argument } = event.data;
      if (forget) heads.delete(forget);
      if (head) heads.set(name, head);
      const result = work[kind](heads.get(name), argument);
      postMessage(result, [(result.most || result).buffer]);
    };
  }

  function start() {
    const scripts = ["values", "pool"].map((name) => document.getElementById("js-" + name).textContent);
    const text = ["\"use strict\"; const page = {};", ...scripts, `(${serve})();`].join("\n");
    worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    worker.onmessage = (event) => {
      const done = running;
      running = null;
      done.resolve(event.data);
      next();
    };
  }

  function next() {
    if (running || queue.length === 0) return;
    const urgent = queue.findIndex((job) => job.urgent);
    running = queue.splice(Math.max(urgent, 0), 1)[0];
    const { kind, layer, head, argument } = running, name = layer + "/" + head;
    const message = { kind, name, argument }, at = there.indexOf(name);
    if (at >= 0) there.splice(at, 1);
    else message.head = page.readHead(layer, head);
    there.push(name);
    if (there.length > HEADS_THERE) message.forget = there.shift();
    if (!worker) start();
    worker.postMessage(message);
  }

  // A promise of the result; the worker gets a head's numbers when it has them no more.
  page.ask = (kind, layer, head, argument, urgent) => new Promise((resolve) => {
    queue.push({ kind, layer, head, argument, urgent, resolve });
    next();
  });

  // Takes back what has not begun and is not urgent.
  page.forgetJobs = () => {
    for (let i = queue.length - 1; i >= 0; i--) if (!queue[i].urgent) queue.splice(i, 1);
  };
})();
