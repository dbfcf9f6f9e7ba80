// A new visitor is asked about the items that say most, and sees what the answers are worth.
import { may, post } from "../../lib/api.js";
import { useLoad } from "../../lib/data.js";
import { share, title } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { Button, Card, ItemCard, Problem, Progress } from "../../ui/index.js";

const ANSWERS = [
  ["like", "Like"],
  ["dislike", "No"],
  ["unknown", "Don't know"],
];

/** Asks `user`; `onAnswer` is called after each answer. */
export function Onboarding({ user, onAnswer }) {
  const path = `/v1/users/${encodeURIComponent(user)}/onboarding`;
  const first = useLoad(path, { limit: 4, include: "properties" });
  const [reply, setReply] = useState(null);
  const now = reply ?? first.data;
  if (first.error) return html`<${Problem} error=${first.error} />`;
  if (!now?.items.length) return null;
  const why = may("events:write") ? null : "This key may not send events: it lacks the scope events:write";
  const answer = async (item, said) => {
    setReply(await post(path, { answers: [{ item_id: item.item_id, answer: said }], limit: 4, include: ["properties"] }));
    onAnswer();
  };
  const buttons = (item) => ANSWERS.map(([said, label]) => html`<${Button} key=${said} small why=${why} label=${`${label}: ${title(item).slice(0, 80)}`} onClick=${() => answer(item, said)}>${label}<//>`);
  return html`<${Card} title="New here: what do you think of these?" note="The items whose answers are expected to say most about a taste.">
    <div class="stack">
      <div class="grid" style=${{ "--least": "168px" }} data-part="onboarding">
        ${now.items.map((item) => html`<${ItemCard} key=${item.item_id} item=${item} actions=${buttons(item)} />`)}
      </div>
      <div class="row"><span class="small quiet">How much of the doubt is gone: ${share(now.certainty)}</span><div class="grow"><${Progress} value=${now.certainty} label="Doubt about the taste that is gone" /></div></div>
    </div>
  <//>`;
}
