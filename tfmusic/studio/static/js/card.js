// A piece on the page: its roll, and what can be done with it.

import { post, run } from "./api.js";
import { clock, make } from "./dom.js";
import { toHash } from "./links.js";
import { Roll } from "./roll.js";

const KEEP_DELAY = 700; // milliseconds after an edit
const FILES = [
  ["mid", "MIDI"],
  ["musicxml", "MusicXML (score)"],
  ["wav", "WAV (sound)"],
];

export class Card extends EventTarget {
  /** Shows a piece. `studio` has the player, the model that is chosen, and errors. */
  constructor(piece, studio) {
    super();
    this.piece = piece;
    this.studio = studio;
    this.undone = [];
    this.done = [];
    this.edited = false;
    this.build();
    this.roll = new Roll(this.rollHost, piece);
    this.roll.addEventListener("seek", (event) => {
      this.activate();
      studio.player.seek(event.detail);
    });
    this.roll.addEventListener("region", () => this.onRegion());
    this.roll.addEventListener("before-edit", () => this.remember());
    this.roll.addEventListener("drawn", (event) => {
      studio.player.preview(event.detail[0], event.detail[3]).catch(studio.fail);
    });
    this.roll.addEventListener("edit", () => this.onEdit());
    this.updateModel();
  }

  build() {
    const button = (label, title, onclick, more = {}) =>
      make("button", { type: "button", className: "small", title, onclick, ...more }, label);
    const task = (work) => () => this.guarded(work);
    this.playButton = button("Play", "Play this piece", () => this.togglePlay(), {
      className: "small play",
    });
    this.editButton = button("Edit", "Draw or delete notes (E)", () => this.toggleEdit(), {
      ariaPressed: "false",
    });
    this.undoButton = button("Undo", "Undo (ctrl+Z)", () => this.undo());
    this.redoButton = button("Redo", "Redo (ctrl+shift+Z)", () => this.redo());
    this.undoButton.hidden = this.redoButton.hidden = true;
    this.continueButton = button("Continue", "", task(() => this.continueMusic()));
    this.infillButton = button("Rewrite bars", "", () => this.toggleInfill());
    this.heatButton = button("Likelihood", "", task(() => this.toggleHeat()), {
      ariaPressed: "false",
    });
    this.scoreButton = button("Score", "Show it as sheet music", task(() => this.toggleScore()), {
      ariaPressed: "false",
    });
    this.scoreButton.hidden = !this.piece.bars.length;
    this.title = make("h2", {}, this.piece.title);
    this.note = make("p", { className: "note" });
    this.describe();
    this.rollHost = make("div", {});
    this.legend = make(
      "p",
      { className: "legend", hidden: true },
      make("span", { className: "swatch likely" }),
      "expected",
      make("span", { className: "swatch unlikely" }),
      "surprising to the model",
    );
    this.infillBox = this.buildInfill();
    this.sheet = make("div", { className: "sheet", hidden: true });
    this.element = make(
      "article",
      { className: "card", tabIndex: -1 },
      make(
        "header",
        {},
        make("div", {}, this.title, this.note),
        make(
          "div",
          { className: "corner" },
          button("−", "Zoom out", () => this.roll.zoom(1 / 1.4), { ariaLabel: "Zoom out" }),
          button("+", "Zoom in", () => this.roll.zoom(1.4), { ariaLabel: "Zoom in" }),
          button("⤢", "Larger", () => this.enlarge(), { ariaLabel: "Larger, or as before" }),
          button("×", "Remove from the page", () => this.dispatchEvent(new Event("remove")), {
            ariaLabel: `Remove ${this.piece.title}`,
          }),
        ),
      ),
      this.rollHost,
      this.legend,
      make(
        "div",
        { className: "tools" },
        this.playButton,
        this.continueButton,
        this.infillButton,
        this.editButton,
        this.undoButton,
        this.redoButton,
        this.heatButton,
        this.scoreButton,
        this.buildDownloads(),
      ),
      this.infillBox,
      this.sheet,
    );
    this.element.addEventListener("pointerdown", () => this.activate());
    this.element.addEventListener("focusin", () => this.activate());
  }

  describe() {
    const parts = [this.piece.summary, `${Math.round(this.piece.qpm)} bpm`];
    if (!this.piece.bars.length) parts.pop();
    parts.push(clock(this.piece.seconds));
    if (this.edited) parts.push("edited");
    if (this.piece.remark) parts.push(this.piece.remark);
    this.note.textContent = parts.join(" · ");
  }

  buildDownloads() {
    const links = FILES.map(([ending, label]) =>
      make(
        "button",
        {
          type: "button",
          className: "item",
          onclick: () => this.guarded(() => this.download(ending)),
        },
        label,
      ),
    );
    if (this.piece.order) {
      this.linkButton = make(
        "button",
        {
          type: "button",
          className: "item",
          title: "An address with this model, seed and controls",
          onclick: () => this.guarded(() => this.copyLink()),
        },
        "Copy link",
      );
      links.push(this.linkButton);
    }
    const menu = make(
      "details",
      { className: "menu" },
      make("summary", { className: "small" }, "Save"),
      make("div", {}, ...links),
    );
    menu.addEventListener("focusout", (event) => {
      if (!menu.contains(event.relatedTarget)) menu.open = false;
    });
    return menu;
  }

  buildInfill() {
    const number = (label) => make("input", { type: "number", min: 0, ariaLabel: label });
    this.firstBar = number("First bar to rewrite");
    this.lastBar = number("Last bar to rewrite");
    for (const field of [this.firstBar, this.lastBar]) {
      field.addEventListener("change", () => {
        this.roll.markBars(this.firstBar.valueAsNumber, this.lastBar.valueAsNumber);
      });
    }
    this.voices = make("span", { className: "voices" });
    return make(
      "form",
      {
        className: "infill",
        hidden: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.guarded(() => this.infill());
        },
      },
      make("span", {}, "Rewrite bars ", this.firstBar, " to ", this.lastBar),
      this.voices,
      make("button", { className: "small primary" }, "Rewrite"),
    );
  }

  // Being the piece that is played.

  activate() {
    if (this.studio.active === this) return;
    this.studio.activate(this);
  }

  setActive(active) {
    this.element.classList.toggle("active", active);
    this.roll.active = active;
    if (!active) this.roll.setHead(0);
    this.roll.invalidate();
    this.setPlaying(false);
  }

  setPlaying(playing) {
    this.playButton.textContent = playing ? "Pause" : "Play";
  }

  togglePlay() {
    this.activate();
    this.studio.togglePlay();
  }

  enlarge() {
    this.element.classList.toggle("large");
    this.roll.zoomed = false;
  }

  /** What the chosen model can do with this piece. */
  updateModel() {
    const { model, models } = this.studio;
    const able = (button, task, yes, no) => {
      const can = model?.can[task] && (task !== "infill" || this.piece.bars.length);
      button.hidden = !models.some((other) => other.can[task]);
      button.disabled = !can;
      button.title = can ? yes : no;
    };
    const name = model?.name;
    able(
      this.continueButton,
      "continue",
      `Let ${name} go on with this piece`,
      `${name} cannot continue music`,
    );
    able(
      this.infillButton,
      "infill",
      `Let ${name} write marked bars anew`,
      `${name} cannot rewrite bars; a model such as coconet can`,
    );
    able(
      this.heatButton,
      "likelihood",
      `Colour the notes by how likely ${name} holds them`,
      `${name} has no likelihood of each moment`,
    );
    if (!model?.can.infill) this.showInfill(false);
    const checks = (model?.voices ?? []).map((voice) =>
      make("label", {}, make("input", { type: "checkbox", value: voice }), ` ${voice}`),
    );
    this.voices.replaceChildren(...(checks.length ? ["keep ", ...checks] : []));
  }

  // What the model does with it.

  guarded(work) {
    return work().catch(this.studio.fail);
  }

  continueMusic() {
    return this.withId((piece) => this.studio.order({ kind: "continue", piece }));
  }

  toggleInfill() {
    this.showInfill(this.infillBox.hidden);
    if (!this.infillBox.hidden && !this.roll.markedBars) {
      const bars = this.piece.bars;
      const first = Math.min(4, bars.length - 1);
      this.roll.markBars(bars[first].number, bars[Math.min(first + 3, bars.length - 1)].number);
    }
  }

  showInfill(shown) {
    this.infillBox.hidden = !shown;
    this.infillButton.ariaExpanded = String(shown);
  }

  async infill() {
    const bars = this.roll.markedBars ?? undefined;
    const keep = [...this.voices.querySelectorAll(":checked")].map((box) => box.value);
    if (!bars && !keep.length) {
      throw new Error("mark the bars to rewrite in the roll, or choose voices to keep");
    }
    return this.withId((piece) => this.studio.order({ kind: "infill", piece, bars, keep }));
  }

  onRegion() {
    const bars = this.roll.markedBars;
    if (bars) {
      [this.firstBar.value, this.lastBar.value] = bars;
      if (this.studio.model?.can.infill) this.showInfill(true);
    }
    if (this.studio.active === this) this.studio.player.region = this.roll.region;
  }

  async toggleHeat() {
    const shown = this.roll.heat;
    this.roll.heat = null;
    if (!shown) {
      const model = this.studio.model.name;
      await this.withId(async (piece) => {
        const job = await run("/api/likelihood", { model, piece });
        this.roll.heat = job?.values ?? null;
      });
    }
    this.heatButton.ariaPressed = String(Boolean(this.roll.heat));
    this.legend.hidden = !this.roll.heat;
    this.roll.invalidate();
  }

  async toggleScore() {
    this.sheet.hidden = !this.sheet.hidden;
    this.scoreButton.ariaPressed = String(!this.sheet.hidden);
    if (!this.sheet.hidden) await this.drawScore();
  }

  async drawScore() {
    const { drawScore } = await import("./score.js");
    try {
      await this.withId((piece) => drawScore(this.sheet, piece));
    } catch (error) {
      this.sheet.hidden = true;
      this.scoreButton.ariaPressed = "false";
      throw error;
    }
  }

  async download(ending) {
    await this.withId(async (piece) => {
      // Asked for before it is saved, so that an error is shown and not saved.
      const response = await fetch(`/api/pieces/${piece}.${ending}`);
      if (!response.ok) throw new Error((await response.json()).error);
      const address = URL.createObjectURL(await response.blob());
      const name = this.piece.title.replace(/\.(mid|midi|kar|rmi|xml|musicxml|mxl|abc)$/i, "");
      make("a", { href: address, download: `${name}.${ending}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    });
  }

  /** Copies the address that makes this piece again. */
  async copyLink() {
    const link = new URL(toHash(this.piece.order), location.href).href;
    await navigator.clipboard.writeText(link);
    this.linkButton.textContent = "Copied";
    setTimeout(() => (this.linkButton.textContent = "Copy link"), 1500);
  }

  // Editing.

  toggleEdit() {
    const editing = !this.roll.editing;
    // Notes are to be large enough to be met.
    if (editing) this.small = !this.element.classList.contains("large");
    if (this.small) this.element.classList.toggle("large", editing);
    this.roll.setEditing(editing);
    this.editButton.ariaPressed = String(editing);
    this.updateHistory();
  }

  updateHistory() {
    const shown = this.roll.editing || this.done.length > 0;
    this.undoButton.hidden = this.redoButton.hidden = !shown;
    this.undoButton.disabled = !this.done.length;
    this.redoButton.disabled = !this.undone.length;
  }

  remember() {
    this.done.push(this.piece.notes.map((note) => [...note]));
    this.undone = [];
  }

  onEdit() {
    this.edited = true;
    this.stale = true;
    if (this.linkButton) this.linkButton.hidden = true; // it makes another piece
    this.roll.heat = null;
    this.legend.hidden = true;
    this.heatButton.ariaPressed = "false";
    this.updateHistory();
    this.describe();
    this.roll.setPiece(this.piece);
    if (this.studio.active === this) this.studio.player.refresh();
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.guarded(() => this.keep()), KEEP_DELAY);
  }

  /** Sends what was edited to the server, so that it is there after a reload. */
  async keep() {
    if (!this.piece.notes.length) return;
    if (this.sheet.hidden) await this.withId(() => {});
    else await this.drawScore();
  }

  undo() {
    this.exchange(this.done, this.undone);
  }

  redo() {
    this.exchange(this.undone, this.done);
  }

  exchange(from, to) {
    if (!from.length) return;
    to.push(this.piece.notes);
    this.piece.notes = from.pop();
    this.onEdit();
  }

  /** Does something with the piece's name on the server, which gets edits first. */
  async withId(work) {
    while (this.stale) {
      this.stale = false;
      const { notes } = this.piece;
      try {
        const kept = await post(`/api/pieces/${this.piece.id}`, { notes });
        this.piece.id = kept.id;
      } catch (error) {
        this.stale = true;
        throw error;
      }
      this.dispatchEvent(new Event("kept"));
    }
    return work(this.piece.id);
  }

  close() {
    this.roll.close();
    this.element.remove();
  }
}
