// The form: the models and their controls, and what it asks for.

import { byId, make, short } from "./dom.js";

const KEYS = "C Db D Eb E F F# G Ab A Bb B".split(" ");
const LENGTHS = {
  bars: ["Bars", 16, 256],
  seconds: ["Seconds", 20, 600],
  num_steps: ["Steps", 256, 8192],
};

export class Panel extends EventTarget {
  constructor(models) {
    super();
    this.models = models;
    this.inputs = new Map();
    byId("models").replaceChildren(...models.map((model) => this.choice(model)));
    byId("key").append(
      make("option", { value: "" }, "any"),
      ...["", "m"].flatMap((mode) =>
        KEYS.map((key) => make("option", { value: key + mode }, key + mode)),
      ),
    );
    byId("dice").addEventListener("click", () => {
      byId("seed").value = Math.floor(Math.random() * 1_000_000);
    });
    if (models.length) this.choose(models[0].name);
  }

  choice(model) {
    return make(
      "label",
      { className: "model" },
      make("input", {
        type: "radio",
        name: "model",
        value: model.name,
        onchange: () => this.choose(model.name),
      }),
      make(
        "span",
        {},
        make("strong", {}, model.name),
        make("small", {}, `${model.family} · ${model.source}`),
      ),
    );
  }

  choose(name) {
    const model = this.models.find((candidate) => candidate.name === name);
    if (!model) return;
    this.model = model;
    for (const radio of document.querySelectorAll("input[name=model]")) {
      radio.checked = radio.value === name;
    }
    this.showAbout(model);
    const [label, value, most] = LENGTHS[model.length];
    byId("length-label").textContent = label;
    Object.assign(byId("length"), { value, max: most });
    byId("qpm-field").hidden = !model.has_beat;
    Object.assign(byId("qpm"), { value: "", placeholder: model.qpm ?? "" });
    byId("key-field").hidden = !model.takes_key;
    byId("key").value = "";
    this.inputs.clear();
    const rows = (first) =>
      model.controls.filter((c) => c.first === first).map((c) => this.control(c));
    byId("controls").replaceChildren(...rows(true));
    byId("more-controls").replaceChildren(...rows(false));
    byId("more").hidden = !byId("more-controls").children.length;
    byId("generate").disabled = !model.can.generate;
    byId("search").hidden = !model.can.search;
    this.dispatchEvent(new Event("model"));
  }

  showAbout(model) {
    const rows = [
      ["Music", model.music.replaceAll("_", " ")],
      ["Learned from", model.source],
      ["Licence", model.licence],
      ["Size", model.num_parameters && `${(model.num_parameters / 1e6).toFixed(1)} M parameters`],
      ["Scores", model.scores.join("; ")],
      ...Object.entries(model.knows).map(([name, text]) => [
        name[0].toUpperCase() + name.slice(1),
        text.replaceAll(/(or at )?--(\w+)/g, (_, at, flag) => `${at ?? ""}your ${flag}`),
      ]),
    ].filter(([, text]) => text);
    const list = rows.flatMap(([name, text]) => [
      make("dt", {}, name),
      make("dd", {}, text),
    ]);
    byId("about").replaceChildren(
      make(
        "details",
        {},
        make("summary", {}, "About this model"),
        make("dl", {}, ...list),
        this.comparison(model),
      ),
    );
  }

  comparison(model) {
    if (!model.comparison.length) return null;
    const row = (tag, cells) => make("tr", {}, ...cells.map((c) => make(tag, {}, c)));
    return make(
      "table",
      {},
      make("caption", {}, "Its music beside music that it has not seen (means)"),
      make("thead", {}, row("th", ["Measure", "Its own", "Real"])),
      make("tbody", {}, ...model.comparison.map((cells) => row("td", cells))),
    );
  }

  control(control) {
    const id = `control-${control.name}`;
    const help = make("p", { id: `${id}-help`, className: "help" }, control.doc);
    if (control.choices.length) {
      const options = control.choices.map(([value, word]) => make("option", { value }, word));
      const select = make("select", { id }, ...options);
      select.value = control.default;
      this.inputs.set(control.name, select);
      return make(
        "div",
        { className: "control" },
        make("label", { htmlFor: id }, control.label),
        select,
      );
    }
    const bounds = { step: control.step, min: control.minimum };
    const slider = make("input", { id, type: "range", ...bounds, max: control.top });
    const number = make("input", {
      type: "number",
      ...bounds,
      max: control.maximum,
      ariaLabel: `${control.label}, as a number`,
    });
    slider.setAttribute("aria-describedby", help.id);
    slider.value = control.default;
    number.value = short(control.default);
    slider.addEventListener("input", () => (number.value = short(slider.valueAsNumber)));
    number.addEventListener("input", () => (slider.value = number.value));
    this.inputs.set(control.name, number);
    return make(
      "div",
      { className: "control" },
      make("label", { htmlFor: id }, control.label),
      number,
      slider,
      help,
    );
  }

  set(name, value) {
    const input = this.inputs.get(name);
    if (!input) return;
    input.value = short(Number(value));
    input.dispatchEvent(new Event("input"));
  }

  /** Values that are not the defaults. */
  controls() {
    const changed = {};
    for (const { name, default: usual } of this.model.controls) {
      const text = this.inputs.get(name).value;
      if (text === "") continue;
      if (Number(text) !== Number(short(usual))) changed[name] = Number(text);
    }
    return changed;
  }

  /** What the form asks for, as a body for the server. */
  order(kind) {
    const { model } = this;
    const number = (id) => (byId(id).value === "" ? undefined : Number(byId(id).value));
    const order = { kind, model: model.name, controls: this.controls() };
    order.num_outputs = number("num_outputs");
    if (kind === "search") {
      const known = ([name]) => model.search_controls.includes(name);
      order.controls = Object.fromEntries(Object.entries(order.controls).filter(known));
    } else {
      order.seed = number("seed");
    }
    if (kind !== "infill") order[model.length] = number("length");
    const isNew = kind === "generate" || kind === "search";
    if (isNew && model.has_beat) order.qpm = number("qpm");
    if (model.takes_key) order.key = byId("key").value || undefined;
    return order;
  }

  /** Fills the form from a link; false where it says nothing. */
  fromHash(hash) {
    const parameters = new URLSearchParams(hash.replace(/^#/, ""));
    const name = parameters.get("model");
    if (!this.models.some((model) => model.name === name)) return false;
    this.choose(name);
    for (const id of ["num_outputs", "seed", "qpm", "key"]) {
      if (parameters.has(id)) byId(id).value = parameters.get(id);
    }
    const length = parameters.get(this.model.length);
    if (length) byId("length").value = length;
    for (const [key, value] of parameters) {
      if (key.startsWith("c.")) this.set(key.slice(2), value);
    }
    return true;
  }
}
