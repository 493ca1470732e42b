/** The script of the page: it draws what /page/events tells. */

const COUNTS = {
  waiting: "in flight",
  most: "the most at a time",
  flag: "flags",
  none: "not found",
  error: "errors",
  gone: "given up",
  seconds: "seconds since the first",
};

/** Pixels: of a lane at most, of all lanes at most, of the line of seconds. */
const [LANE, LANES, AXIS] = [26, 364, 20];

const $ = (selector) => document.querySelector(selector);
const say = (text) => {
  if ($("#status").textContent !== text) $("#status").textContent = text;
};
const { label, host, fates, countries } = JSON.parse($("#site").textContent);

document.title = `${label ?? "Flags"} ${host}`;
$("h1").innerHTML = `${label ?? "Flags"} <small>${host}</small>`;
$("#fates").textContent = fates;
$("dl").innerHTML = Object.entries(COUNTS).map(([name, what]) =>
  `<div class="${name}"><dd>0</dd><dt>${what}</dt></div>`
).join("");
$("dl .gone").hidden = true;

let requests; // of the picture, by their ids
let lanes; // The id of the request that is on each.
let counts;
let isOver = true;
let lastEnd = 0;
let ahead = 0; // milliseconds from the site's clock to this one
let summary;
let frame;

function begin({ id, cc, at }) {
  clearTimeout(summary);
  if (isOver) {
    [requests, lanes, isOver] = [new Map(), [], false];
    counts = Object.fromEntries(Object.keys(COUNTS).map((name) => [name, 0]));
    $("ul").replaceChildren();
    say("A script is asking.");
  }
  const lane = [...lanes, undefined].indexOf(undefined);
  lanes[lane] = id;
  const tile = document.createElement("li");
  tile.className = "waiting";
  tile.title = countries[cc.toUpperCase()] ?? "";
  tile.innerHTML = `<div></div>${cc.toUpperCase()}`;
  $("ul").append(tile);
  requests.set(id, { cc, lane, at, kind: "waiting", tile });
  counts.most = Math.max(counts.most, ++counts.waiting);
}

function end({ id, status, at }) {
  const request = requests?.get(id);
  if (request?.kind !== "waiting") return; // Nobody watched when it began.
  const kind = { 200: "flag", 404: "none", 0: "gone" }[status] ?? "error";
  const image = kind === "flag" && new Image();
  Object.assign(request, { kind, image, end: at });
  request.tile.className = kind;
  request.tile.firstChild.append(image || status || "–");
  if (image) {
    Object.assign(image, { alt: "flag", onload: draw });
    image.src = `/page/${request.cc}.gif`;
  }
  lanes[request.lane] = undefined;
  counts[kind]++;
  lastEnd = at;
  if (--counts.waiting === 0) summary = setTimeout(summarize, 1000);
}

function summarize() {
  const { flag, none, error, gone, most } = counts;
  const givenUp = gone ? `, ${gone} given up` : "";
  say(
    `Over: ${flag} flags, ${none} not found, ${error} errors${givenUp}; ` +
      `${most} at a time at most.`,
  );
}

function draw() {
  if (frame || !requests) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  frame = isCalm ? setTimeout(paint, 500) : requestAnimationFrame(paint);
}

function paint() {
  frame = undefined;
  const [first] = requests.values();
  const now = counts.waiting > 0 ? performance.now() - ahead : lastEnd;
  counts.seconds = ((now - first.at) / 1000).toFixed(2);
  for (const [name, count] of Object.entries(counts)) {
    $(`dl .${name} dd`).textContent = count;
  }
  $("dl .gone").hidden = counts.gone === 0;

  const canvas = $("canvas");
  const height = Math.min(LANE * lanes.length, LANES);
  canvas.style.height = `${height + AXIS}px`;
  const { clientWidth: width } = canvas;
  canvas.width = width * devicePixelRatio;
  canvas.height = (height + AXIS) * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.textBaseline = "middle";
  context.font = "12px system-ui, sans-serif";

  const span = Math.max(now - first.at, 200);
  const toX = (at) => (at - first.at) / span * width;
  const colorOf = (name) => getComputedStyle($(`dl .${name}`)).borderLeftColor;
  const colors = Object.fromEntries(
    Object.keys(counts).map((name) => [name, colorOf(name)]),
  );
  const { color: faint } = getComputedStyle(canvas);
  const { color: ink, backgroundColor: paper } = getComputedStyle($("body"));
  const atLeast = span / width * 80; // that labels do not meet
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= atLeast);
  for (let tick = 0; tick < span; tick += step) {
    const x = toX(first.at + tick);
    context.fillStyle = colors.most;
    context.fillRect(x, 0, 1, height + AXIS);
    context.fillStyle = faint;
    const text = `${+(tick / 1000).toFixed(3)} s`;
    if (x < width - 40) context.fillText(text, x + 4, height + AXIS / 2 + 1);
  }
  for (const { cc, lane, at, end = now, kind, image } of requests.values()) {
    const [x, y] = [toX(at), lane / lanes.length * height];
    const w = Math.max(toX(end) - x - 1, 1.5);
    const h = height / lanes.length * 0.96;
    context.fillStyle = colors[kind];
    context.beginPath();
    context.roundRect(x, y, w, h, Math.min(3, w / 3, h / 4));
    context.fill();
    context.fillStyle = kind === "none" ? ink : paper;
    if (h > 16 && w > 28) {
      context.fillText(cc.toUpperCase(), x + 6, y + h / 2 + 1);
    }
    if (h > 16 && w > 72 && image?.naturalWidth) {
      context.drawImage(image, x + w - 28, y + 4, 1.5 * (h - 8), h - 8);
    }
  }
  if (counts.waiting > 0) draw();
}

addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

const command = "deno run -P flags2_asyncio.ts -a -m 10 -s " +
  (label ?? `http://${host}/flags`);
const events = new EventSource("/page/events");
events.onopen = () =>
  say(`Run a script and watch what it does to this site: ${command}`);
events.onerror = () => {
  const at = performance.now() - ahead;
  for (const id of requests?.keys() ?? []) end({ id, status: 0, at });
  clearTimeout(summary);
  draw();
  say("The site is gone. This page waits for it.");
};
events.addEventListener("picture", ({ data }) => {
  ahead = performance.now() - data;
  isOver = true;
});
events.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  (event.status === undefined ? begin : end)(event);
  draw();
};
