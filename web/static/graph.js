// Draws the graph of pages: laid out by d3-force, drawn on a canvas. Without it, the list beside says the same.
(() => {
  "use strict";
  const root = document.getElementById("graph");
  if (!root) return;
  const stage = root.querySelector(".stage");
  const canvas = stage.querySelector("canvas");
  const tip = stage.querySelector(".tip");
  const busy = stage.querySelector(".busy");
  const buttons = stage.querySelector(".zoom");
  const list = root.querySelector(".list ol");
  const seek = document.getElementById("seek");
  const fit = document.getElementById("fit");
  const pen = canvas.getContext("2d");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const LISTED = 200; // as many as the server lists
  const LABELS = 25;
  const FEW = 150;
  const ALWAYS = 10; // so many names however small the drawing is
  const NEAREST = 6;
  const FARTHEST = 0.02;
  const FONT = "12px system-ui, sans-serif";

  let nodes = [];
  let edges = [];
  let kinds = [];
  let layout;
  let width = 0;
  let height = 0;
  let view = { x: 0, y: 0, k: 1 }; // a node at (x, y) is drawn at (x * k + view.x, y * k + view.y)
  let isFitted = true; // until somebody moves it
  let pointed; // the node under the pointer, or that has the focus in the list
  let fitting; // the nodes that fit what is sought, all without
  let colours = {};
  let isDue = false;
  let isSettled = false;
  let isDragged = false;

  // Colours are those of the stylesheet, which knows of dark and light.
  const readColours = () => {
    const style = getComputedStyle(canvas);
    colours = {
      ink: style.color,
      ground: style.backgroundColor,
      line: style.textDecorationColor,
      accent: style.caretColor,
      kinds: new Map(),
    };
    for (const box of stage.querySelectorAll(".legend input")) {
      colours.kinds.set(box.value, getComputedStyle(box.parentElement.querySelector(".kind")).color);
    }
    draw();
  };

  // Drawing

  const draw = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(frame);
  };

  const frame = () => {
    isDue = false;
    if (calm ? !isSettled : !layout) return;
    if (!calm && layout.alpha() >= layout.alphaMin()) {
      layout.tick();
      draw();
    } else settled();
    if (isFitted) show();
    paint();
    // Who waits for it to come to rest looks here.
    canvas.toggleAttribute("data-settled", isSettled);
  };

  const settled = () => {
    isSettled = true;
    busy.hidden = true;
  };

  const paint = () => {
    const ratio = canvas.width / width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    for (const node of nodes) {
      node.px = node.x * view.k + view.x;
      node.py = node.y * view.k + view.y;
      node.pr = Math.max(1.5, node.r * Math.min(view.k, 1.6) ** 0.6);
      node.isSeen = node.isOn && node.px > -40 && node.px < width + 40 && node.py > -40 && node.py < height + 40;
    }
    const near = pointed && new Set([pointed, ...pointed.near]);
    const isBright = (node) => (!near || near.has(node)) && (!fitting || fitting.has(node));
    const isCrossing = ({ source, target }) =>
      source.isOn && target.isOn &&
      Math.max(source.px, target.px) > 0 && Math.min(source.px, target.px) < width &&
      Math.max(source.py, target.py) > 0 && Math.min(source.py, target.py) < height;
    const shown = edges.filter(isCrossing);
    const own = pointed ? shown.filter((edge) => edge.source === pointed || edge.target === pointed) : [];
    const isDim = Boolean(near || fitting);

    pen.lineWidth = 1;
    lines(shown.filter((edge) => edge.isPlain), colours.line, isDim ? 0.15 : 0.35);
    lines(shown.filter((edge) => !edge.isPlain), colours.accent, isDim ? 0.2 : 0.7);
    if (view.k > 0.8 && shown.length < 1500) arrows(shown, isDim ? 0.2 : 0.5);
    pen.lineWidth = 1.5;
    lines(own, colours.accent, 1);
    arrows(own, 1);

    for (const kind of kinds) {
      const colour = colours.kinds.get(kind) ?? colours.ink;
      const those = nodes.filter((node) => node.isSeen && node.kind === kind);
      dots(those.filter((node) => !isBright(node)), colour, 0.18);
      dots(those.filter(isBright), colour, 1);
    }
    if (pointed) tell(pointed);
    pen.font = FONT;
    names((view.k > 1.8 ? shown : own).filter((edge) => !edge.isPlain), isBright);
  };

  const lines = (those, colour, alpha) => {
    pen.globalAlpha = alpha;
    pen.strokeStyle = colour;
    // One path of thousands of lines takes far longer than the same lines in short paths.
    for (let start = 0; start < those.length; start += 64) {
      pen.beginPath();
      for (const { source, target } of those.slice(start, start + 64)) {
        pen.moveTo(source.px, source.py);
        pen.lineTo(target.px, target.py);
      }
      pen.stroke();
    }
    pen.globalAlpha = 1;
  };

  const arrows = (those, alpha) => {
    pen.globalAlpha = alpha;
    for (const { source, target, isPlain } of those) {
      const x = target.px - source.px;
      const y = target.py - source.py;
      const far = Math.hypot(x, y);
      if (far < target.pr + source.pr + 8) continue;
      const [ux, uy] = [x / far, y / far];
      const [tx, ty] = [target.px - ux * (target.pr + 1), target.py - uy * (target.pr + 1)];
      pen.fillStyle = isPlain && source !== pointed && target !== pointed ? colours.line : colours.accent;
      pen.beginPath();
      pen.moveTo(tx, ty);
      pen.lineTo(tx - ux * 7 - uy * 3, ty - uy * 7 + ux * 3);
      pen.lineTo(tx - ux * 7 + uy * 3, ty - uy * 7 - ux * 3);
      pen.fill();
    }
    pen.globalAlpha = 1;
  };

  const dots = (those, colour, alpha) => {
    pen.globalAlpha = alpha;
    pen.fillStyle = colour;
    for (const node of those) {
      pen.beginPath();
      pen.arc(node.px, node.py, node.pr, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  };

  // What is pointed at has a ring, and says what it is.
  const tell = (node) => {
    const x = Math.min(Math.max(node.px, 140), Math.max(width - 140, 140));
    tip.style.left = `${x}px`;
    tip.style.top = `${Math.min(Math.max(node.py, 0), height) + node.pr + 8}px`;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(node.px, node.py, node.pr + 3, 0, 2 * Math.PI);
    pen.stroke();
  };

  // Names of pages, the most important first, where there is room; then those of edges.
  const names = (typed, isBright) => {
    const taken = [];
    // No name is below the buttons; and where there are few dots, none stands on one.
    const corner = { left: buttons.offsetLeft, right: width, top: 0, bottom: buttons.offsetTop + buttons.offsetHeight };
    const dotted = nodes.length > FEW ? [] : nodes.filter((node) => node.isSeen).map(({ px, py, pr }) => ({ left: px - pr, right: px + pr, top: py - pr, bottom: py + pr }));
    const isOver = (one, other) => one.left < other.right && one.right > other.left && one.top < other.bottom && one.bottom > other.top;
    const put = (text, x, y, colour, others = dotted) => {
      const room = { left: x, right: x + widthOf(text), top: y - 8, bottom: y + 8 };
      if (x < 0 || room.right > width || [corner, ...taken, ...others].some((other) => isOver(room, other))) return false;
      taken.push(room);
      pen.strokeStyle = colours.ground;
      pen.strokeText(text, x, y);
      pen.fillStyle = colour;
      pen.fillText(text, x, y);
      return true;
    };
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 3;
    const isLargeEnough = (node) => node.number < ALWAYS || node.pr > 7 || view.k > 1.5;
    const named = pointed ? [...pointed.near] : fitting ? [...fitting] : nodes.filter(isLargeEnough);
    for (const node of named) {
      if (taken.length >= LABELS) break;
      if (!node.isSeen || !isBright(node)) continue;
      const [far, long] = [node.pr + 4, widthOf(node.label)];
      const places = [[far, 0], [-far - long, 0], [-long / 2, far + 8], [-long / 2, -far - 8]];
      const beside = (others) => places.some(([x, y]) => put(node.label, node.px + x, node.py + y, colours.ink, others));
      beside(dotted) || (node.number < ALWAYS && beside([]));
    }
    for (const { source, target, type } of typed.slice(0, LABELS)) {
      put(type, (source.px + target.px - widthOf(type)) / 2, (source.py + target.py) / 2, colours.accent);
    }
  };

  const widths = new Map();
  const widthOf = (text) => {
    if (!widths.has(text)) widths.set(text, pen.measureText(text).width);
    return widths.get(text);
  };

  // The view

  const measure = () => {
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    draw();
  };

  const show = () => {
    const those = nodes.filter((node) => node.isOn);
    if (!those.length || !width) return;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { x, y } of those) {
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
    const [x, y] = [Math.min(200, width / 4), 60]; // names need room
    const k = Math.min((width - x) / (right - left + 1), (height - y) / (bottom - top + 1), 3.5);
    view = { k, x: (width - x / 2.5) / 2 - ((left + right) / 2) * k, y: height / 2 - ((top + bottom) / 2) * k };
  };

  const zoom = (factor, x = width / 2, y = height / 2) => {
    isFitted = false;
    const k = Math.min(NEAREST, Math.max(FARTHEST, view.k * factor));
    view = { k, x: x - ((x - view.x) * k) / view.k, y: y - ((y - view.y) * k) / view.k };
    draw();
  };

  const move = (x, y) => {
    isFitted = false;
    view = { ...view, x: view.x + x, y: view.y + y };
    draw();
  };

  const all = () => {
    isFitted = true;
    draw();
  };

  const point = (node) => {
    pointed = node;
    canvas.classList.toggle("on", Boolean(node));
    tip.hidden = !node;
    if (node) tip.textContent = `${node.title} · ${node.kind} · ${node.project} · ${many(node.links, "link")}`;
    draw();
  };

  const at = ({ offsetX: x, offsetY: y }, reach = 5) => {
    let best;
    let least = Infinity;
    for (const node of nodes) {
      const far = Math.hypot(node.px - x, node.py - y) - node.pr;
      if (node.isSeen && far < Math.min(reach, least)) [best, least] = [node, far];
    }
    return best;
  };

  // Hands: a drag on a node moves it, elsewhere all; two fingers zoom; a click opens a page.

  const hands = new Map();
  let begun; // { node, x, y, hasMoved }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    hands.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    begun = { node: hands.size === 1 ? at(event, event.pointerType === "touch" ? 14 : 5) : undefined, x: event.offsetX, y: event.offsetY, hasMoved: hands.size > 1 };
  });

  canvas.addEventListener("pointermove", (event) => {
    const hand = hands.get(event.pointerId);
    if (!hand) return point(at(event));
    const before = { ...hand };
    const spread = () => {
      const [one, other] = [...hands.values()];
      return Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
    };
    const was = hands.size === 2 ? spread() : 0;
    Object.assign(hand, { x: event.offsetX, y: event.offsetY });
    if (was) {
      const [one, other] = [...hands.values()];
      move((hand.x - before.x) / 2, (hand.y - before.y) / 2);
      return zoom(spread() / was, (one.x + other.x) / 2, (one.y + other.y) / 2);
    }
    begun.hasMoved ||= Math.hypot(hand.x - begun.x, hand.y - begun.y) > 4;
    if (!begun.hasMoved) return;
    if (!begun.node) return move(hand.x - before.x, hand.y - before.y);
    drag(begun.node, (hand.x - view.x) / view.k, (hand.y - view.y) / view.k);
  });

  const drag = (node, x, y) => {
    isFitted = false;
    isDragged = true;
    if (calm) Object.assign(node, { x, y });
    else {
      Object.assign(node, { fx: x, fy: y });
      layout.alphaTarget(0.15).alpha(Math.max(layout.alpha(), 0.15));
    }
    point(node);
  };

  const release = (event) => {
    if (!hands.delete(event.pointerId)) return;
    if (isDragged) {
      Object.assign(begun.node ?? {}, { fx: null, fy: null });
      layout.alphaTarget(0);
      isDragged = false;
    } else if (event.type === "pointerup" && begun.node && !begun.hasMoved) {
      // A finger cannot point without pressing: the first touch says what it is, the second opens it.
      if (event.pointerType === "touch" && pointed !== begun.node) point(begun.node);
      else if (event.ctrlKey || event.metaKey) open(begun.node.address, "_blank", "noopener");
      else location.assign(begun.node.address);
    } else if (!begun.hasMoved) point(undefined);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") point(undefined);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }, { passive: false });

  const KEYS = {
    "+": () => zoom(1.25),
    "=": () => zoom(1.25),
    "-": () => zoom(0.8),
    0: all,
    ArrowLeft: () => move(60, 0),
    ArrowRight: () => move(-60, 0),
    ArrowUp: () => move(0, 60),
    ArrowDown: () => move(0, -60),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  buttons.addEventListener("click", (event) => {
    const factor = event.target.dataset.zoom;
    if (factor === undefined) return;
    Number(factor) ? zoom(Number(factor)) : all();
  });

  // The list

  const many = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  const relist = () => {
    const sought = seek.value.trim().toLowerCase();
    const those = nodes.filter((node) => node.isOn && `${node.title}\n${node.project}`.toLowerCase().includes(sought));
    fitting = sought ? new Set(those) : undefined;
    those.sort((one, other) => other.links - one.links || one.number - other.number);
    list.replaceChildren(...those.slice(0, LISTED).map(row));
    fit.textContent = sought ? `${many(those.length, "page")} of ${nodes.length.toLocaleString("en")} fit` : "";
    draw();
  };

  const row = (node) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const title = document.createElement("bdi");
    const kind = document.createElement("span");
    const rest = document.createElement("span");
    title.textContent = node.title;
    link.href = node.address;
    link.dataset.page = node.number;
    link.append(title);
    kind.className = `kind kind-${node.kind.toLowerCase().replaceAll(" ", "-")}`;
    kind.textContent = node.kind;
    rest.className = "aside";
    rest.textContent = `${node.project} · ${many(node.links, "link")}`;
    item.append(link, " ", kind, " ", rest);
    return item;
  };

  const nodeOf = (target) => nodes[target.closest("a[data-page]")?.dataset.page];
  list.addEventListener("focusin", (event) => {
    const node = nodeOf(event.target);
    if (!node) return;
    const [x, y] = [node.x * view.k + view.x, node.y * view.k + view.y];
    if (x < 20 || y < 20 || x > width - 20 || y > height - 20) move(width / 2 - x, height / 2 - y);
    point(node);
  });
  list.addEventListener("focusout", () => point(undefined));
  list.addEventListener("pointerover", (event) => point(nodeOf(event.target)));
  list.addEventListener("pointerleave", () => point(undefined));
  seek.addEventListener("input", relist);
  seek.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    list.querySelector("a")?.focus();
  });
  stage.querySelector(".legend").addEventListener("change", () => {
    const on = new Set([...stage.querySelectorAll(".legend input:checked")].map((box) => box.value));
    for (const node of nodes) node.isOn = on.has(node.kind);
    point(undefined);
    relist();
  });

  // What there is

  const take = (told) => {
    nodes = told.nodes.map((node, number) => ({
      ...node,
      number,
      r: 3 + 9 * node.importance,
      label: node.title.length > 40 ? `${node.title.slice(0, 39)}…` : node.title,
      links: 0,
      near: new Set(),
      isOn: true,
    }));
    kinds = [...new Set(nodes.map((node) => node.kind))];
    edges = told.edges.map(([source, target, type]) => ({ source: nodes[source], target: nodes[target], type, isPlain: type === "links" }));
    for (const { source, target } of edges) {
      source.links += 1;
      target.links += 1;
      source.near.add(target);
      target.near.add(source);
    }
    layout = d3
      .forceSimulation(nodes)
      .force("links", d3.forceLink(edges).distance(45))
      .force("apart", d3.forceManyBody().strength(-60).theta(1.1))
      .force("x", d3.forceX().strength(canvas.clientWidth > canvas.clientHeight ? 0.06 : 0.1))
      .force("y", d3.forceY().strength(canvas.clientWidth > canvas.clientHeight ? 0.1 : 0.06))
      .alphaDecay(0.03)
      .stop();
  };

  // Who wants no motion sees it when it has come to rest.
  const settle = () => {
    const until = performance.now() + 30;
    while (performance.now() < until && layout.alpha() >= layout.alphaMin()) layout.tick();
    if (layout.alpha() >= layout.alphaMin()) return setTimeout(settle);
    settled();
    measure();
  };

  const begin = async () => {
    stage.hidden = false;
    try {
      const answer = await fetch(root.dataset.from, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the server said ${answer.status}`);
      take(await answer.json());
    } catch (error) {
      busy.textContent = `It cannot be drawn: ${error.message}. The list says the same.`;
      return;
    }
    seek.parentElement.hidden = false;
    new ResizeObserver(measure).observe(canvas);
    document.addEventListener("theme", readColours);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
    if (calm) settle();
    readColours();
    measure();
  };
  begin();
})();
