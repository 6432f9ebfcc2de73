"use strict";
// The worker: long sums run beside the page, made of the page's own scripts. One job at a time, urgent ones first.
(() => {
  const HEADS_THERE = 4;
  const queue = [], there = [];
  let worker = null, running = null;

  // Makes what does a job; in the worker `page` is its own.
  function makeServer() {
    const heads = new Map();
    const work = {
      scores: (head, a) => page.scores(head, a.row, a.rows, a.key, a.keys),
      block: (head, a) => page.values(head, a.quantity, a.row, a.rows, a.key, a.keys),
      pool: (head, a) => page.pool(head, a.quantity, a.size),
    };
    return ({ kind, name, head, forget, argument }) => {
      if (forget) heads.delete(forget);
      if (head) heads.set(name, head);
      return work[kind](heads.get(name), argument);
    };
  }

  function finish(result) {
    const done = running;
    running = null;
    done.resolve(result);
    next();
  }

  const send = "onmessage = ({ data }) => { const r = serve(data); postMessage(r, [(r.most || r).buffer]); };";

  // Without a worker, since a browser gives a page of a file none, or since it failed, the page does the work itself, a
  // job at a time between frames.
  function makeLocal() {
    const serve = makeServer();
    return {
      postMessage: (message) => setTimeout(() => {
        let result;
        try {
          result = serve(message);
        } catch (error) {
          running.reject(error);
          running = null;
          return next();
        }
        finish(result);
      }),
    };
  }

  // What a worker that failed was at begins again, here; all that comes after it, too.
  function fail(event) {
    event.preventDefault();
    if (worker) worker.terminate();
    worker = makeLocal();
    there.length = 0;
    if (running) post();
  }

  function startWorker() {
    const scripts = ["values", "pool"].map((name) => document.getElementById("js-" + name).textContent);
    const text = ["\"use strict\"; const page = {};", ...scripts, `const serve = (${makeServer})();`, send].join("\n");
    const made = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    made.onmessage = (event) => finish(event.data);
    made.onerror = made.onmessageerror = fail;
    return made;
  }

  function start() {
    try {
      return startWorker();
    } catch {
      return makeLocal();
    }
  }

  function post() {
    const { kind, layer, head, argument } = running, name = layer + "/" + head;
    const message = { kind, name, argument }, at = there.indexOf(name);
    if (at >= 0) there.splice(at, 1);
    else message.head = page.readHead(layer, head);
    there.push(name);
    if (there.length > HEADS_THERE) message.forget = there.shift();
    worker = worker || start();
    worker.postMessage(message);
  }

  function next() {
    if (running || queue.length === 0) return;
    const urgent = queue.findIndex((job) => job.urgent);
    running = queue.splice(Math.max(urgent, 0), 1)[0];
    post();
  }

  // A promise of the result; the worker gets a head's numbers when it has them no more. Of blocks, which are windows
  // that somebody moves, the last one asked for counts: one before it that has not begun is dropped.
  page.ask = (kind, layer, head, argument, urgent) => new Promise((resolve, reject) => {
    const dropped = kind === "block" ? queue.findIndex((job) => job.kind === "block") : -1;
    if (dropped >= 0) queue.splice(dropped, 1);
    queue.push({ kind, layer, head, argument, urgent, resolve, reject });
    next();
  });

  // Takes back what has not begun and is not urgent.
  page.forgetJobs = () => {
    for (let i = queue.length - 1; i >= 0; i--) if (!queue[i].urgent) queue.splice(i, 1);
  };
})();
