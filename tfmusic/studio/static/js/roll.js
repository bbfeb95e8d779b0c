// A piano roll on a canvas: notes, bar lines, a play head, a marked region, editing.

import { ink } from "./colours.js";

const RULER = 20;
const KEYS = 34;
const BLACK_KEYS = 14;
const BLACK = new Set([1, 3, 6, 8, 10]);
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const STEPS_PER_BEAT = 4;

export const pitchName = (pitch) =>
  `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

export class Roll extends EventTarget {
  /** Draws `piece` into `host`; tells of `seek`, `region` and `edit` by events. */
  constructor(host, piece) {
    super();
    this.piece = piece;
    this.head = 0;
    this.region = null;
    this.editing = false;
    this.heat = null;
    this.scale = 0; // pixels a second
    this.host = host;
    host.classList.add("roll");
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-label", `Piano roll of ${piece.title}, ${piece.summary}`);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.spacer = document.createElement("div");
    host.append(this.canvas, this.spacer);
    host.addEventListener("scroll", () => this.invalidate(), { passive: true });
    host.addEventListener("pointerdown", (event) => this.down(event));
    host.addEventListener("pointermove", (event) => this.move(event));
    host.addEventListener("pointerup", (event) => this.up(event));
    host.addEventListener("pointercancel", () => this.letGo());
    host.addEventListener("keydown", (event) => this.key(event));
    host.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(host);
    this.layout();
  }

  close() {
    this.observer.disconnect();
  }

  setPiece(piece) {
    this.piece = piece;
    this.layout();
  }

  invalidate() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  // Layout: seconds and pitches to pixels.

  layout() {
    const { host, piece } = this;
    this.width = host.clientWidth;
    this.height = host.clientHeight;
    if (!this.width) return;
    const room = this.width - KEYS - 8;
    const fit = room / Math.max(piece.seconds, 1);
    if (!this.zoomed) {
      const bar = piece.bars[1] ?? piece.bars[0];
      const seconds = bar ? bar.end - bar.start : 2;
      this.scale = Math.max(fit, 44 / seconds);
    }
    this.scale = Math.min(Math.max(this.scale, fit), 800);
    const pitches = piece.notes.map((note) => note[0]);
    const margin = this.editing ? 6 : 2;
    let low = pitches.reduce((a, b) => Math.min(a, b), 127) - margin;
    let high = pitches.reduce((a, b) => Math.max(a, b), 0) + margin;
    if (!pitches.length) [low, high] = [55, 80];
    const missing = Math.max(0, 22 - (high - low + 1));
    this.low = Math.max(0, low - Math.floor(missing / 2));
    this.high = Math.min(127, high + Math.ceil(missing / 2));
    this.row = (this.height - RULER) / (this.high - this.low + 1);
    this.spacer.style.width = `${KEYS + piece.seconds * this.scale + 8}px`;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.invalidate();
  }

  x(seconds) {
    return KEYS + seconds * this.scale - this.host.scrollLeft;
  }

  y(pitch) {
    return RULER + (this.high - pitch) * this.row;
  }

  place(event) {
    const box = this.host.getBoundingClientRect();
    const x = event.clientX - box.left - this.host.clientLeft;
    const y = event.clientY - box.top - this.host.clientTop;
    return {
      x,
      y,
      seconds: Math.min(
        Math.max((x - KEYS + this.host.scrollLeft) / this.scale, 0),
        this.piece.seconds,
      ),
    };
  }

  pitchAt(y) {
    return this.high - Math.floor((y - RULER) / this.row);
  }

  zoom(factor, around = this.head) {
    this.zoomed = true;
    const x = this.x(around);
    this.scale *= factor;
    this.layout();
    this.host.scrollLeft = KEYS + around * this.scale - x;
  }

  // Drawing.

  draw() {
    if (!this.width) return;
    const pen = this.canvas.getContext("2d");
    const ratio = this.canvas.width / this.width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = ink("roll");
    pen.fillRect(0, 0, this.width, this.height);
    this.drawRows(pen);
    this.drawLines(pen);
    this.drawRegion(pen);
    this.drawNotes(pen);
    this.drawHead(pen);
    this.drawKeys(pen);
  }

  drawRows(pen) {
    pen.fillStyle = ink("row");
    for (let pitch = this.low; pitch <= this.high; pitch++) {
      if (BLACK.has(pitch % 12)) pen.fillRect(0, this.y(pitch), this.width, this.row);
    }
  }

  drawLines(pen) {
    pen.font = `10px ${getComputedStyle(this.host).fontFamily}`;
    pen.textBaseline = "middle";
    const line = (seconds, colour, top) => {
      const x = Math.round(this.x(seconds)) + 0.5;
      if (x < KEYS || x > this.width) return false;
      pen.strokeStyle = ink(colour);
      pen.beginPath();
      pen.moveTo(x, top);
      pen.lineTo(x, this.height);
      pen.stroke();
      return true;
    };
    pen.lineWidth = 1;
    let free = 0;
    const label = (text, seconds) => {
      const x = this.x(seconds) + 4;
      if (x < Math.max(free, KEYS)) return;
      pen.fillStyle = ink("faint");
      pen.fillText(text, x, RULER / 2);
      free = x + pen.measureText(text).width + 8;
    };
    if (!this.piece.bars.length) {
      const every = [1, 2, 5, 10, 30, 60, 300].find((n) => n * this.scale > 50) ?? 600;
      for (let at = 0; at <= this.piece.seconds; at += every) {
        if (line(at, "bar", 4)) label(`${at} s`, at);
      }
      return;
    }
    if (this.piece.new_from) line(this.piece.new_from, "accent", 4);
    for (const bar of this.piece.bars) {
      if (this.x(bar.end) < KEYS || this.x(bar.start) > this.width) continue;
      const wide = (bar.end - bar.start) * this.scale > 40;
      if (wide) bar.beats.slice(1).forEach((beat) => line(beat, "beat", RULER));
      if (this.editing) {
        this.steps(bar).forEach((at) => line(at, "beat", RULER));
      }
      line(bar.start, "bar", 4);
      label(String(bar.number), bar.start);
    }
  }

  drawRegion(pen) {
    if (!this.region) return;
    const [start, end] = this.region;
    pen.fillStyle = ink("mark");
    pen.fillRect(this.x(start), 0, (end - start) * this.scale, this.height);
    pen.fillStyle = ink("accent");
    pen.fillRect(this.x(start), 0, (end - start) * this.scale, 3);
  }

  drawNotes(pen) {
    const colours = [0, 1, 2, 3].map((i) => ink(`voice-${i}`));
    const [likely, unlikely] = [ink("likely"), ink("unlikely")];
    const height = Math.max(this.row - 1, 2.5);
    this.piece.notes.forEach((note, i) => {
      const [pitch, start, end, velocity, track] = note;
      const x = this.x(start);
      const width = Math.max((end - start) * this.scale - 1, 2);
      if (x > this.width || x + width < 0) return;
      const sounds = this.head > 0 && start <= this.head && this.head < end;
      pen.globalAlpha = 0.55 + (0.45 * velocity) / 127;
      pen.fillStyle = colours[track % colours.length];
      if (this.heat) {
        // One nat is little, eight are much.
        const surprise = this.heat[i] == null ? 0 : Math.min(-this.heat[i] / 8, 1);
        pen.globalAlpha = 1;
        pen.fillStyle = `color-mix(in oklab, ${unlikely} ${surprise * 100}%, ${likely})`;
      }
      if (sounds) {
        pen.globalAlpha = 1;
        pen.fillStyle = ink("sounding");
      }
      pen.beginPath();
      pen.roundRect(x, this.y(pitch) + 0.5, width, height, Math.min(3, height / 2));
      pen.fill();
    });
    pen.globalAlpha = 1;
  }

  drawHead(pen) {
    const x = this.x(this.head);
    if (x < KEYS - 1 || (!this.head && !this.active)) return;
    pen.fillStyle = ink("accent");
    pen.fillRect(Math.round(x) - 1, 0, 2, this.height);
    pen.beginPath();
    pen.moveTo(x - 5, 0);
    pen.lineTo(x + 5, 0);
    pen.lineTo(x, 7);
    pen.fill();
  }

  drawKeys(pen) {
    pen.fillStyle = ink("roll");
    pen.fillRect(0, 0, KEYS, this.height);
    for (let pitch = this.low; pitch <= this.high; pitch++) {
      const black = BLACK.has(pitch % 12);
      pen.fillStyle = ink(black ? "key-black" : "key-white");
      const width = black ? BLACK_KEYS : KEYS - 4;
      pen.fillRect(0, this.y(pitch), width, Math.max(this.row - 0.5, 1));
    }
    pen.fillStyle = ink("key-text");
    pen.font = "9px system-ui, sans-serif";
    for (let pitch = Math.ceil(this.low / 12) * 12; pitch <= this.high; pitch += 12) {
      pen.fillText(pitchName(pitch), BLACK_KEYS + 3, this.y(pitch) + this.row / 2);
    }
  }

  // Playing.

  setHead(seconds, follow) {
    if (seconds === this.head) return;
    this.head = seconds;
    if (follow && !this.grip) {
      const x = this.x(seconds);
      const middle = KEYS + (this.width - KEYS) * 0.4;
      if (x > middle && x < this.width) this.host.scrollLeft += x - middle;
      else if (x < KEYS || x >= this.width) {
        this.host.scrollLeft = seconds * this.scale - (this.width - KEYS) * 0.1;
      }
    }
    this.invalidate();
  }

  setRegion(region) {
    this.region = region;
    this.invalidate();
    this.dispatchEvent(new CustomEvent("region", { detail: region }));
  }

  /** The bars that a region covers, or null. */
  get markedBars() {
    if (!this.region || !this.piece.bars.length) return null;
    const [start, end] = this.region;
    const inside = this.piece.bars.filter(
      (bar) => bar.start < end - 1e-3 && bar.end > start + 1e-3,
    );
    return inside.length ? [inside[0].number, inside.at(-1).number] : null;
  }

  markBars(first, last) {
    const find = (number) => this.piece.bars.find((bar) => bar.number === number);
    const [from, to] = [find(first), find(last)];
    if (from && to && first <= last) this.setRegion([from.start, to.end]);
  }

  barAt(seconds) {
    const bars = this.piece.bars;
    return bars.find((bar) => seconds < bar.end - 1e-6) ?? bars.at(-1);
  }

  snapRegion(a, b) {
    const [start, end] = a < b ? [a, b] : [b, a];
    if (!this.piece.bars.length) return [start, end];
    return [this.barAt(start).start, this.barAt(end).end];
  }

  // Pointer.

  down(event) {
    if (event.button !== 0) return;
    const place = this.place(event);
    if (place.y > this.host.clientHeight) return; // the scroll bar
    if (this.editing && place.y > RULER && place.x > KEYS) {
      this.downEditing(event, place);
      return;
    }
    this.grip = { kind: "mark", from: place, moved: false };
    if (event.pointerType !== "touch") this.host.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { grip } = this;
    if (!grip) return;
    const place = this.place(event);
    if (Math.abs(place.x - grip.from.x) > 5) grip.moved = true;
    if (!grip.moved) return;
    if (grip.kind === "mark" && event.pointerType !== "touch") {
      this.setRegion(this.snapRegion(grip.from.seconds, place.seconds));
    } else if (grip.kind === "draw") {
      grip.note[2] = Math.max(this.stepAt(place.seconds)[1], grip.least);
      this.invalidate();
    }
  }

  up(event) {
    const { grip } = this;
    this.grip = null;
    if (!grip) return;
    if (grip.kind === "draw") this.dispatchEvent(new Event("edit"));
    if (grip.kind !== "mark" || grip.moved) return;
    const place = this.place(event);
    if (this.region && (place.seconds < this.region[0] || place.seconds > this.region[1])) {
      this.setRegion(null);
    }
    this.dispatchEvent(new CustomEvent("seek", { detail: place.seconds }));
  }

  letGo() {
    this.grip = null;
  }

  wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, this.place(event).seconds);
  }

  key(event) {
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      const bars = this.piece.bars;
      const here = bars.indexOf(this.barAt(this.head));
      const next = bars[Math.min(Math.max(here + step, 0), bars.length - 1)];
      if (event.shiftKey && next) {
        this.mark ??= this.head;
        this.setRegion(this.snapRegion(this.mark, next.start + 1e-3));
      } else {
        this.mark = null;
        if (this.region) this.setRegion(null);
      }
      const seconds = next ? next.start : Math.max(this.head + step * 2, 0);
      this.dispatchEvent(new CustomEvent("seek", { detail: seconds }));
    } else if (event.key === "+" || event.key === "=") {
      this.zoom(1.3);
    } else if (event.key === "-") {
      this.zoom(1 / 1.3);
    } else if (event.key === "Escape") {
      this.setRegion(null);
    }
  }

  // Editing.

  setEditing(editing) {
    this.editing = editing;
    this.host.classList.toggle("editing", editing);
    this.layout();
  }

  /** Where notes may begin within a bar, in seconds. */
  steps(bar) {
    const ends = [...bar.beats.slice(1), bar.end];
    return bar.beats.flatMap((beat, i) =>
      Array.from(
        { length: STEPS_PER_BEAT },
        (_, k) => beat + ((ends[i] - beat) * k) / STEPS_PER_BEAT,
      ),
    );
  }

  /** Start and end of the step that a moment is in. */
  stepAt(seconds) {
    const bar = this.barAt(seconds);
    if (!bar) {
      const start = Math.floor(seconds * 8) / 8;
      return [start, start + 0.125];
    }
    const places = [...this.steps(bar), bar.end];
    const next = places.findIndex((place) => place > seconds + 1e-6);
    return next < 1 ? places.slice(-2) : [places[next - 1], places[next]];
  }

  downEditing(event, place) {
    event.preventDefault();
    const pitch = this.pitchAt(place.y);
    const { notes } = this.piece;
    const hit = notes.findLastIndex(
      (n) => n[0] === pitch && n[1] <= place.seconds && place.seconds < n[2],
    );
    this.dispatchEvent(new Event("before-edit"));
    if (hit >= 0) {
      this.piece.notes = notes.filter((_, i) => i !== hit);
      this.grip = { kind: "delete", from: place };
      this.dispatchEvent(new Event("edit"));
      return;
    }
    const [start, end] = this.stepAt(place.seconds);
    const near = nearestNote(notes, pitch, start);
    const note = [pitch, start, end, near?.[3] ?? 80, near?.[4] ?? 0];
    this.piece.notes = [...notes, note].sort((a, b) => a[1] - b[1]);
    this.grip = { kind: "draw", from: place, note, least: end };
    if (event.pointerType !== "touch") this.host.setPointerCapture(event.pointerId);
    this.dispatchEvent(new CustomEvent("drawn", { detail: note }));
    this.invalidate();
  }
}

/** A new note is played by who plays the notes near to it. */
function nearestNote(notes, pitch, start) {
  let best = null;
  let least = Infinity;
  for (const note of notes) {
    const distance = Math.abs(note[0] - pitch) + 4 * Math.abs(note[1] - start);
    if (distance < least) [best, least] = [note, distance];
  }
  return best;
}
