// Addresses that say what music was asked for.

/** The hash of an address that asks for the same music. */
export function toHash({ kind, controls, ...order }) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(order)) {
    if (value != null) parameters.set(name, value);
  }
  for (const [name, value] of Object.entries(controls ?? {})) {
    parameters.set(`c.${name}`, value);
  }
  return `#${parameters}`;
}
