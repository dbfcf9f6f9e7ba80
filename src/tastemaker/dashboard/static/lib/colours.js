// Colours of the style sheet, resolved for canvas, which knows no variables.
const probe = document.createElement("span");

/** "var(--c1)" or "--c1" → "rgb(…)" in the present theme. */
export function resolved(colour) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = colour.startsWith("--") ? `var(${colour})` : colour;
  return getComputedStyle(probe).color;
}

/** The colour of the n-th category, from 0; grey from the ninth on. */
export const category = (place) => (place < 8 ? `var(--c${place + 1})` : "var(--c0)");

/** Calls `again` when light and dark change; returns what stops it. */
export function onTheme(again) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  addEventListener("themechange", again);
  system.addEventListener("change", again);
  return () => {
    removeEventListener("themechange", again);
    system.removeEventListener("change", again);
  };
}
