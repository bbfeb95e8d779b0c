// Pieces in the output of a notebook: a roll that plays for each. All that it takes is in
// the document; see embedded.py.

import { byId, clock, make } from "./dom.js";
import { Player } from "./player.js";
import { Roll } from "./roll.js";

const { pieces, sounds } = JSON.parse(byId("data").textContent);
const player = new Player(sounds);
let active = null;

class Line {
  constructor(piece) {
    this.piece = piece;
    this.button = make("button", { type: "button", className: "small play" }, "Play");
    this.button.addEventListener("click", () => this.toggle());
    this.time = make("span", { className: "time" }, clock(piece.seconds));
    const title = make("h2", {}, piece.title);
    const note = make("span", { className: "note" }, piece.summary);
    const host = make("div");
    byId("pieces").append(make("article", {}, this.button, title, note, this.time, host));
    this.roll = new Roll(host, piece);
    this.roll.addEventListener("seek", (event) => {
      this.activate();
      player.seek(event.detail);
    });
    // Marked bars are repeated.
    this.roll.addEventListener("region", (event) => {
      this.activate();
      player.region = event.detail;
      player.loop = Boolean(event.detail);
    });
    host.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      this.toggle();
    });
  }

  activate() {
    if (active === this) return;
    player.open(this.piece);
    active?.show();
    active = this;
    player.region = this.roll.region;
    player.loop = Boolean(this.roll.region);
  }

  toggle() {
    this.activate();
    if (player.playing) player.pause();
    else player.play().catch((error) => (this.time.textContent = error.message));
  }

  show() {
    const isHere = active === this && player.piece === this.piece;
    const at = isHere ? Math.max(player.position, 0) : 0;
    this.button.textContent = isHere && player.playing ? "Pause" : "Play";
    this.time.textContent = `${clock(at)} / ${clock(this.piece.seconds)}`;
    this.roll.setHead(Math.min(at, this.piece.seconds), isHere && player.playing);
  }
}

let following = false;
function follow() {
  active?.show();
  following = player.playing;
  if (following) requestAnimationFrame(follow);
}
player.addEventListener("change", () => following || follow());

const lines = pieces.map((piece) => new Line(piece));

// The notebook's colours, and the room that the pieces take in a narrow one, where the
// browser lets a frame see its page.
try {
  frameElement.height = document.documentElement.scrollHeight;
  const { dataset, classList } = parent.document.body;
  const isDark = dataset.jpThemeLight === "false" || classList.contains("vscode-dark");
  const isLight = dataset.jpThemeLight === "true" || classList.contains("vscode-light");
  if (isDark || isLight) document.documentElement.dataset.theme = isDark ? "dark" : "light";
} catch {
  // The system's colours are good enough, and it scrolls.
}

globalThis.embedded = { player, lines }; // for the console
document.body.dataset.ready = "true";
