// Reasons of the service in words.
import { number, plural, title } from "./format.js";

/** A reason as a sentence's part; `item(id)` finds items. */
export function words(reason, item) {
  const name = reason.item_id ? shortened(title(item(reason.item_id))) : "";
  switch (reason.kind) {
    case "because_of":
      return `because of ${name}`;
    case "popular":
      return "popular with everybody";
    case "latest":
      return "new";
    case "met_together":
      return `${number(reason.users)} of ${plural(reason.of, "user")} met both`;
    case "same_category":
      return `both in ${reason.category}`;
    case "like_contents":
      return "alike in what they are";
    default:
      return [reason.kind.replaceAll("_", " "), name].filter(Boolean).join(" ");
  }
}

const shortened = (text) => (text.length > 48 ? `${text.slice(0, 46)}…` : text);
