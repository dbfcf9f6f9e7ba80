import { cloneElement, html, useId, useRef } from "./field-id.js";
import { Icon } from "./icon.js";

/** A label, one control, what to know of it, and what is wrong with it. */
export function Field({ label, hint, error, children }) {
  const id = useId();
  const control = cloneElement(children, { id, describedBy: hint || error ? `${id}-more` : undefined, invalid: Boolean(error) });
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${control}
    ${(hint || error) && html`<div id=${`${id}-more`}>${hint && html`<div class="hint">${hint}</div>`}${error && html`<div class="error" role="alert">${error}</div>`}</div>`}
  </div>`;
}

const common = ({ id, describedBy, invalid }) => ({ id, "aria-describedby": describedBy, "aria-invalid": invalid ? "true" : undefined });

/** A line of text (`rows`: several); `onInput` gets the text. */
export function Input({ value, onInput, rows, label, describedBy, invalid, id, ...rest }) {
  const told = { class: "input", value, "aria-label": label, onInput: (event) => onInput(event.target.value), ...common({ id, describedBy, invalid }), ...rest };
  return rows ? html`<textarea rows=${rows} ...${told}></textarea>` : html`<input ...${told} />`;
}

/** One of several: options are [value, words] pairs or values; `onChange` gets the value as text. */
export function Select({ value, options, onChange, label, describedBy, invalid, id, ...rest }) {
  return html`<select class="input" value=${value} aria-label=${label} onChange=${(event) => onChange(event.target.value)} ...${common({ id, describedBy, invalid })} ...${rest}>
    ${options.map((option) => {
      const [key, words] = Array.isArray(option) ? option : [option, option];
      return html`<option key=${key} value=${key} selected=${String(key) === String(value)}>${words}</option>`;
    })}
  </select>`;
}

/** Yes or no. */
export function Toggle({ checked, onChange, disabled, children }) {
  return html`<label class="toggle"><input type="checkbox" role="switch" checked=${checked} disabled=${disabled} onChange=${(event) => onChange(event.target.checked)} />${children}</label>`;
}

/** A line to search with. */
export function Search({ value, onInput, label, placeholder, ...rest }) {
  return html`<div class="search"><${Icon} name="search" /><${Input} type="search" value=${value} onInput=${onInput} label=${label} placeholder=${placeholder} autocomplete="off" ...${rest} /></div>`;
}

/** Views of one thing: tabs are {id, label}; the view itself is a `role="tabpanel"` of the caller's. */
export function Tabs({ tabs, value, onChange, label }) {
  const list = useRef(null);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const to = (tabs.findIndex(({ id }) => id === value) + step + tabs.length) % tabs.length;
    onChange(tabs[to].id);
    list.current.querySelectorAll("button")[to].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${move}>
    ${tabs.map(
      ({ id, label: words }) =>
        html`<button key=${id} type="button" role="tab" id=${`tab-${id}`} aria-selected=${String(id === value)} tabindex=${id === value ? 0 : -1} onClick=${() => onChange(id)}>
          ${words}
        </button>`,
    )}
  </div>`;
}
