// The page: puts the form, the pieces and the player together.

import { get, run, upload } from "./api.js";
import { Card } from "./card.js";
import { forgetColours } from "./colours.js";
import { byId, clock } from "./dom.js";
import { toHash } from "./links.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";

const player = new Player();
const cards = [];
const rates = {}; // seconds that a unit of length took, by model
let panel = null;
let request = null; // the AbortController of what is being made

const studio = {
  player,
  cards,
  active: null,
  get models() {
    return panel?.models ?? [];
  },
  get model() {
    return panel?.model ?? null;
  },
  activate,
  togglePlay,
  order,
  fail,
};
globalThis.studio = studio; // for the console

// Errors: one line, which goes when something works.

function fail(error) {
  byId("error-text").textContent = error?.message ?? String(error);
  byId("error").hidden = false;
}

function forgive() {
  byId("error").hidden = true;
}

byId("error-close").addEventListener("click", forgive);

// Pieces.

function show(piece, first = false) {
  const card = new Card(piece, studio);
  card.addEventListener("remove", () => remove(card));
  card.addEventListener("kept", remember);
  byId("pieces")[first ? "prepend" : "append"](card.element);
  cards.push(card);
  remember();
  byId("empty").hidden = true;
  if (!studio.active) activate(card);
  return card;
}

/** What is on the page, for when it is loaded again. */
function remember() {
  const shown = [...byId("pieces").children];
  const ordered = cards.toSorted(
    (a, b) => shown.indexOf(a.element) - shown.indexOf(b.element),
  );
  const names = ordered.map((card) => card.piece.id);
  sessionStorage.setItem("pieces", JSON.stringify(names));
}

/** The pieces that were on the page, as far as the server still has them. */
async function remembered() {
  const names = JSON.parse(sessionStorage.getItem("pieces") ?? "[]");
  const found = await Promise.allSettled(names.map((name) => get(`/api/pieces/${name}`)));
  return found.filter(({ value }) => value).map(({ value }) => value);
}

/** The newest pieces come first, in their order. */
function showAll(pieces) {
  const shown = pieces.toReversed().map((piece) => show(piece, true));
  const card = shown.at(-1);
  if (!card) return;
  activate(card);
  if (matchMedia("(max-width: 56rem)").matches) {
    card.element.scrollIntoView({ behavior: "smooth", block: "start" });
  }
}

function remove(card) {
  if (studio.active === card) {
    player.open(null);
    studio.active = null;
  }
  cards.splice(cards.indexOf(card), 1);
  card.close();
  remember();
  byId("empty").hidden = cards.length > 0 || !panel;
  if (!studio.active && cards.length) activate(cards.at(-1));
  update();
}

function activate(card) {
  studio.active?.setActive(false);
  studio.active = card;
  player.open(card.piece);
  player.region = card.roll.region;
  card.setActive(true);
  update();
}

// Playing.

function togglePlay() {
  if (player.playing) player.pause();
  else player.play().catch(fail);
}

function update() {
  const { piece } = player;
  for (const id of ["play", "stop", "loop", "seek"]) byId(id).disabled = !piece;
  byId("now").textContent = piece ? piece.title : "Nothing to play yet";
  byId("seek").max = piece?.seconds ?? 1;
  byId("play").classList.toggle("playing", player.playing);
  byId("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  byId("loop").setAttribute("aria-pressed", String(player.loop));
  studio.active?.setPlaying(player.playing);
  showPosition();
  if (player.playing) requestAnimationFrame(follow);
}

let following = false;
function follow() {
  if (following) return;
  following = true;
  const step = () => {
    showPosition();
    if (player.playing) requestAnimationFrame(step);
    else following = false;
  };
  step();
}

function showPosition() {
  const at = Math.max(player.position, 0);
  const total = player.piece?.seconds ?? 0;
  byId("seek").value = at;
  byId("seek").setAttribute("aria-valuetext", `${clock(at)} of ${clock(total)}`);
  byId("time").textContent = `${clock(at)} / ${clock(total)}`;
  studio.active?.roll.setHead(Math.min(at, total), player.playing);
}

player.addEventListener("change", update);
byId("play").addEventListener("click", togglePlay);
byId("stop").addEventListener("click", () => player.stop());
byId("loop").addEventListener("click", toggleLoop);
byId("seek").addEventListener("input", (event) => player.seek(event.target.valueAsNumber));
byId("rate").addEventListener("input", (event) => {
  byId("rate-out").textContent = `${event.target.value}%`;
  player.setRate(event.target.valueAsNumber / 100);
});
byId("volume").addEventListener("input", (event) => {
  byId("volume-out").textContent = event.target.value;
  player.setVolume(event.target.valueAsNumber / 100);
});

function toggleLoop() {
  player.loop = !player.loop;
  update();
}

// Making.

async function order(changes) {
  if (request) {
    fail(new Error("wait for what is being made, or cancel it"));
    return;
  }
  forgive();
  const body = { ...panel.order(changes.kind), ...changes };
  request = new AbortController();
  const { signal } = request;
  byId("generate").disabled = byId("search").disabled = true;
  const size = (body.num_outputs ?? 1) * (body[panel.model.length] || 1);
  const unit = ["infill", "search"].includes(body.kind) ? `${body.model} ${body.kind}` : body.model;
  try {
    const job = await run("/api/jobs", body, {
      signal,
      onProgress: (state) => showProgress(state, rates[unit] && rates[unit] * size),
    });
    if (!job) return;
    rates[unit] = job.seconds / size;
    showAll(job.pieces);
    history.replaceState(null, "", body.kind === "generate" ? toHash(body) : "#");
    if (byId("next-seed").checked && "seed" in body) byId("seed").value = body.seed + 1;
  } catch (error) {
    fail(error);
  } finally {
    request = null;
    byId("generate").disabled = !panel.model.can.generate;
    byId("search").disabled = false;
    byId("progress").hidden = true;
  }
}

function showProgress(job, expected) {
  byId("progress").hidden = false;
  const bar = byId("bar");
  if (job.state === "waiting") {
    byId("progress-text").textContent = "Waiting: the model is being loaded";
    bar.removeAttribute("value");
    return;
  }
  const seconds = job.seconds.toFixed(job.seconds < 10 ? 1 : 0);
  byId("progress-text").textContent = expected
    ? `${seconds} s of about ${Math.max(expected, job.seconds).toFixed(0)} s`
    : `${seconds} s`;
  if (expected) bar.value = Math.min(job.seconds / expected, 0.97);
  else bar.removeAttribute("value");
}

byId("search").addEventListener("click", () => order({ kind: "search" }));
byId("make").addEventListener("submit", (event) => {
  event.preventDefault();
  order({ kind: "generate" });
});
byId("cancel").addEventListener("click", () => {
  request?.abort();
  byId("progress-text").textContent = "Cancelling";
});
// Files.

async function openFiles(files) {
  forgive();
  for (const file of files) {
    try {
      showAll([await upload(file)]);
    } catch (error) {
      fail(error);
    }
  }
}

byId("file").addEventListener("change", (event) => {
  openFiles([...event.target.files]);
  event.target.value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", () => byId("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  openFiles([...event.dataTransfer.files]);
});

// Keys.

const KEYS = {
  " ": togglePlay,
  s: () => player.stop(),
  l: toggleLoop,
  e: () => studio.active?.toggleEdit(),
  g: () => panel && order({ kind: "generate" }),
};
addEventListener("keydown", (event) => {
  if (byId("help").open) return;
  const { target } = event;
  const writes = target.matches("input:not([type=range]):not([type=checkbox]), select");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !writes) {
    event.preventDefault();
    if (event.shiftKey) studio.active?.redo();
    else studio.active?.undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || writes) return;
  // A space presses the button that has the focus.
  if (event.key === " " && target.matches("button, summary, a, input")) return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  if (event.key === " " && !player.piece) return;
  action();
});
byId("keys").addEventListener("click", () => byId("help").showModal());

// Light and dark.

const THEMES = ["auto", "light", "dark"];
let theme = document.documentElement.dataset.theme ?? "auto";

function showTheme() {
  byId("theme").textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme];
  byId("theme").title = "Colours: as the system has them, light, or dark";
  byId("theme").setAttribute("aria-label", `Colours: ${theme}`);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  forgetColours();
  cards.forEach((card) => card.roll.invalidate());
}

byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("theme", theme);
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);

// The beginning.

async function begin() {
  showTheme();
  const [models, pieces] = await Promise.all([get("/api/models"), get("/api/pieces")]);
  if (models.length) {
    panel = new Panel(models);
    panel.addEventListener("model", () => cards.forEach((card) => card.updateModel()));
    byId("make").hidden = false;
    if (panel.fromHash(location.hash)) byId("generate").focus();
    addEventListener("hashchange", () => panel.fromHash(location.hash));
  } else {
    document.body.classList.add("only-plays");
    byId("empty").hidden = true;
  }
  const earlier = await remembered();
  (earlier.length ? earlier : pieces).forEach((piece) => show(piece));
  update();
  document.body.dataset.ready = "true";
}

begin().catch(fail);
