/** The script of the page, which draws what /page/events reports. */

import { layOut, toBars } from "./lanes.js";

/** The words for the outcomes; a count of one drops the final s. */
const OUTCOMES = {
  flag: "flags",
  none: "not found",
  error: "errors",
  gone: "given up",
};

/**
 * Parts of a lane's height that a bar covers, as [from, to] fractions. They
 * differ, so that bars can be told apart without colours; what is not found is
 * an outline instead.
 */
const SHAPES = {
  waiting: [[0.8, 1]],
  flag: [[0, 1]],
  none: [],
  error: [[0, 0.1], [0.2, 0.8], [0.9, 1]],
  gone: [[0, 0.1], [0.9, 1]],
};

/** Pixels: the most for a lane and for all lanes, and the height of the time axis. */
const [LANE, LANES, AXIS] = [26, 364, 20];

/** Milliseconds without an event after which a run is done. */
const PAUSE = 1000;

const $ = (selector) => document.querySelector(selector);
const { deno, sites, countries } = await (await fetch("/page/facts")).json();
const { host, port } = location;
const label = sites[port];
const name = label ?? "Flags";
const [status, list, canvas] = [$("#status"), $("#codes"), $("canvas")];

document.title = `${name} ${host}`;
$("h1").innerHTML = `${name} <small>${host}</small>`;
$("nav").innerHTML = Object.entries(sites).map(([port, label]) =>
  `<a href="http://localhost:${port}/">${label}</a>`
).join(" ");
$(`nav [href$=":${port}/"]`)?.setAttribute("aria-current", "page");
const where = label ?? `http://${host}/flags`;
const command = `run -A flags2_asyncio.ts a -s ${where}`;
$("#deno").textContent = `deno ${command}`;
$("#npx").textContent = `npx -y deno@${deno} ${command}`;

let events = []; // Those of the latest run.
let isOver = false; // The next event begins a picture.
let isConnected = true;
let ahead = 0; // Milliseconds from the site's clock to this one.
let frame;
let timer;

function showTiles(requests) {
  for (const [i, { cc, kind, status }] of requests.entries()) {
    const tile = list.children[i] ??
      list.appendChild(document.createElement("li"));
    if (tile.className === kind) continue;
    tile.className = kind;
    tile.title = countries[cc.toUpperCase()] ?? "";
    const text = kind === "gone" ? "–" : status ?? "";
    tile.innerHTML = `<div>${text}</div>${cc.toUpperCase()}`;
    if (kind !== "flag") continue;
    const image = Object.assign(new Image(), { alt: "flag", onload: draw });
    image.src = `/page/${cc}.gif`;
    tile.firstChild.replaceChildren(image);
  }
}

/** Report in words on the run, and on a site that has ended. */
function say(counts, most, isBusy) {
  const outcomes = Object.entries(OUTCOMES).map(([kind, words]) => {
    const count = counts[kind];
    return count && `${count} ${count === 1 ? words.replace(/s$/, "") : words}`;
  }).filter(Boolean).join(", ");
  let text = "No request has arrived yet.";
  if (isBusy) text = "Requests are arriving.";
  else if (most > 0) text = `Done: ${outcomes}; at most ${most} at once.`;
  if (!isConnected) text += " The site has ended. This page will reconnect.";
  if (status.textContent !== text) status.textContent = text;
}

function draw() {
  if (frame) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  frame = isCalm ? setTimeout(paint, 500) : requestAnimationFrame(paint);
}

function paint() {
  frame = undefined;
  clearTimeout(timer);
  const { requests, lanes, counts } = layOut(events);
  const first = events[0]?.at ?? 0;
  const last = (events.at(-1)?.at ?? 0) - first;
  const clock = performance.now() - ahead - first;
  const now = counts.waiting > 0 ? Math.max(clock, last) : last;
  const isBusy = isConnected && !isOver &&
    (counts.waiting > 0 || clock - last < PAUSE);
  say(counts, lanes, lanes > 0 && isBusy);
  showTiles(requests);
  const numbers = { ...counts, most: lanes, seconds: (now / 1000).toFixed(2) };
  for (const [name, number] of Object.entries(numbers)) {
    $(`dl .${name} dd`).textContent = number;
  }
  $("dl").hidden = canvas.hidden = lanes === 0;
  if (lanes > 0) drawLanes(requests, lanes, now);
  if (counts.waiting > 0) draw();
  else if (lanes > 0 && isBusy) timer = setTimeout(draw, PAUSE);
}

function drawLanes(requests, lanes, now) {
  const height = Math.min(LANE * lanes, LANES);
  canvas.style.height = `${height + AXIS}px`;
  const { clientWidth: width } = canvas;
  canvas.width = width * devicePixelRatio;
  canvas.height = (height + AXIS) * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.textBaseline = "middle";
  context.font = "12px system-ui, sans-serif";
  const colorOf = (selector) => getComputedStyle($(selector)).color;
  const [faint, ink] = [colorOf("canvas"), colorOf("body")];
  const paper = getComputedStyle($("body")).backgroundColor;
  const colors = Object.fromEntries(
    Object.keys(SHAPES).map((kind) => [kind, colorOf(`#kinds .${kind} i`)]),
  );

  const span = Math.max(now, 200);
  const scale = width / span;
  const atLeast = 100 / scale; // Two ticks need this for their labels.
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= atLeast);
  context.fillStyle = faint;
  for (let tick = 0; tick < span; tick += step) {
    const x = scale * tick;
    context.globalAlpha = 0.4;
    context.fillRect(x, 0, 1, height + AXIS);
    context.globalAlpha = 1;
    const text = `${+(tick / 1000).toFixed(3)} s`;
    const isLast = x + 50 > width;
    context.textAlign = isLast ? "right" : "left";
    context.fillText(text, isLast ? x - 4 : x + 4, height + AXIS / 2 + 1);
  }

  context.textAlign = "left";
  const h = height / lanes * 0.92;
  for (const [i, bar] of toBars(requests, now, scale, width).entries()) {
    const { cc, kind, lane, left, right } = bar;
    const [y, w] = [lane / lanes * height, right - left];
    context.fillStyle = context.strokeStyle = colors[kind];
    const parts = h < 8 ? [[0, 1]] : SHAPES[kind];
    for (const [from, to] of parts) {
      context.fillRect(left, y + from * h, w, (to - from) * h);
    }
    if (parts.length === 0) {
      const line = context.lineWidth = Math.min(1, w / 3);
      context.strokeRect(left + line / 2, y + 0.5, w - line, h - 1);
    }
    if (h < 16 || w < 28) continue;
    context.fillStyle = /flag|error/.test(kind) ? paper : ink;
    context.fillText(cc.toUpperCase(), left + 6, y + h / 2 + 1);
    const image = w > 72 && list.children[i].querySelector("img");
    if (image?.naturalWidth) {
      context.drawImage(image, right - 28, y + 4, 1.5 * (h - 8), h - 8);
    }
  }
}

const source = new EventSource("/page/events");
source.addEventListener("picture", ({ data }) => {
  const { now, site } = JSON.parse(data);
  ahead = performance.now() - now;
  $("#site").textContent = site;
  [isConnected, isOver] = [true, true];
  draw();
});
source.onmessage = ({ data }) => {
  if (isOver) {
    [events, isOver] = [[], false];
    list.replaceChildren();
  }
  events.push(JSON.parse(data));
  draw();
};
source.onerror = () => { // Requests in flight are not answered any more.
  isConnected = false;
  const at = performance.now() - ahead;
  for (const { id, kind } of layOut(events).requests) {
    if (kind === "waiting") events.push({ id, status: 0, at });
  }
  draw();
};
addEventListener("resize", draw);
for (
  const media of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]
) {
  matchMedia(media).addEventListener("change", draw);
}
