// The colours of style.css for a canvas, which does not know CSS variables.

const known = new Map();
const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

/** A colour of the theme that is shown. */
export function ink(name) {
  if (!known.has(name)) {
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  return known.get(name);
}

/** The theme has changed. */
export function forgetColours() {
  known.clear();
}
