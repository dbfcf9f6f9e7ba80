import { html } from "../lib/html.js";
import { Button } from "./button.js";
import { Empty, Loading } from "./states.js";
import { Tip } from "./tip.js";

/**
 * Rows of a list. Columns: {key, label, align: "number", render(row), tip: a term, width}. `more` and `onMore` bring the next page,
 * `loading` shows that rows are on their way. With `onRow` a row is opened by a click, or by the button that its first cell becomes.
 */
export function Table({ columns, rows, caption, empty, more, onMore, loading, onRow, selected, rowKey }) {
  if (!rows.length && loading) return html`<${Loading} rows=${4} />`;
  if (!rows.length) return typeof empty === "string" || !empty ? html`<${Empty} title=${empty ?? "Nothing yet"} />` : empty;
  const cell = (row, column) => (column.render ? column.render(row) : row[column.key]);
  return html`<div class="stack tight">
    <div class="table" tabindex="0" role="region" aria-label=${caption}>
      <table>
        <caption class=${caption ? "visually-hidden" : undefined}>${caption}</caption>
        <thead>
          <tr>${columns.map((column) => html`<th key=${column.key} scope="col" class=${column.align} style=${column.width ? { width: column.width } : undefined}>${column.label}${column.tip && html` <${Tip} term=${column.tip} />`}</th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map(
            (row, place) =>
              html`<tr key=${rowKey ? rowKey(row) : place} class=${onRow ? "active" : undefined} aria-selected=${selected ? String(selected(row)) : undefined} onClick=${onRow ? (event) => event.target.closest("a, button, input") || onRow(row) : undefined}>
                ${columns.map(
                  (column, at) =>
                    html`<td key=${column.key} class=${column.align}>
                      ${onRow && at === 0 ? html`<button type="button" class="button quiet small" onClick=${() => onRow(row)}>${cell(row, column)}</button>` : cell(row, column)}
                    </td>`,
                )}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${more && html`<div><${Button} small onClick=${onMore}>${loading ? "Loading…" : "More"}<//></div>`}
  </div>`;
}
