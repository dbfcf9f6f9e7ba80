// The last things a user did, the newest first.
import { ago, title, when } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { useItems } from "../../lib/items.js";
import { href } from "../../lib/route.js";
import { Badge, Card, Empty } from "../../ui/index.js";

const TONES = { purchase: "good", cart: "info", like: "good", dislike: "bad" };

/** `done`: events as GET /v1/events gives them. */
export function Timeline({ user, done }) {
  const item = useItems(done.map(({ item_id }) => item_id));
  return html`<aside aria-label="What this user did">
    <${Card} title="What this user did" actions=${html`<a class="small" href=${href("inspector", { user })}>Inspect</a>`}>
      <p class="small quiet wrap" style=${{ marginBottom: "var(--s3)" }}>${user}</p>
      ${done.length === 0
        ? html`<${Empty} title="Nothing yet"><p>What is viewed or bought on the left appears here at once.</p><//>`
        : html`<ol class="stack tight" data-part="timeline">
            ${done.slice(0, 15).map(
              (event, place) =>
                html`<li key=${event.event_id ?? place} class="row tight" data-item=${event.item_id}>
                  <${Badge} tone=${TONES[event.type] ?? ""}>${event.type}<//>
                  <a class="grow clip" href=${href("catalogue", { item: event.item_id })} title=${title(item(event.item_id))}>${title(item(event.item_id))}</a>
                  <span class="small quiet" title=${when(event.timestamp)}>${ago(event.timestamp)}</span>
                </li>`,
            )}
          </ol>`}
    <//>
  </aside>`;
}
