// Numbers, times and names as people read them. What is not known is a dash.
const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** 1234567 → "1,234,567"; 0.123456 → "0.1235". */
export function number(value, digits) {
  if (!known(value)) return NONE;
  const most = digits ?? (Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 2 : 4);
  return value.toLocaleString("en", { maximumFractionDigits: most });
}

/** 1234567 → "1.2M". */
export const short = (value) => (known(value) && Math.abs(value) < 10 ? number(value, 3) : known(value) ? value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 }) : NONE);

/** 0.0321 → "3.2 %". */
export function share(value, digits) {
  if (!known(value)) return NONE;
  const percent = value * 100;
  const most = digits ?? (percent !== 0 && Math.abs(percent) < 1 ? 2 : 1);
  return `${percent.toLocaleString("en", { maximumFractionDigits: most })} %`;
}

/** The two ends of an interval in the words of `one`, such as "2.1 – 4.5 %". */
export function interval(low, high, one = number) {
  if (!known(low) || !known(high)) return NONE;
  const [from, to] = [one(low), one(high)];
  const unit = to.match(/ [^\d ]+$/)?.[0] ?? "";
  return unit && from.endsWith(unit) ? `${from.slice(0, -unit.length)} – ${to}` : `${from} – ${to}`;
}

/** Milliseconds → "6.1 ms", "1.2 s". */
export function ms(value) {
  if (!known(value)) return NONE;
  if (value >= 1000) return `${number(value / 1000, 1)} s`;
  return `${number(value, value < 10 ? 1 : 0)} ms`;
}

/** Seconds → "12 s", "3 min", "4 h", "5 days". */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const units = [
    [86400, "day"],
    [3600, "h"],
    [60, "min"],
  ];
  for (const [size, unit] of units) {
    if (seconds >= size) {
      const count = number(seconds / size, seconds / size < 10 ? 1 : 0);
      return `${count} ${unit === "day" && count !== "1" ? "days" : unit}`;
    }
  }
  return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
}

/** Bytes → "3.4 MB". */
export function bytes(value) {
  if (!known(value)) return NONE;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000 || unit === "GB") return `${number(value, value < 10 && unit !== "B" ? 1 : 0)} ${unit}`;
    value /= 1000;
  }
  return NONE;
}

const date = (time) => (typeof time === "number" ? new Date(time * 1000) : new Date(time));

/** A time (RFC 3339 or epoch seconds) → "3 min ago". */
export function ago(time) {
  if (time === null || time === undefined) return NONE;
  const seconds = (Date.now() - date(time)) / 1000;
  if (!Number.isFinite(seconds)) return NONE;
  if (Math.abs(seconds) < 5) return "just now";
  if (Math.abs(seconds) > 60 * 86400) return when(time).slice(0, 10);
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

/** A time → "2026-11-30 14:05:09", in the reader's own time zone. */
export function when(time, { seconds = true } = {}) {
  if (time === null || time === undefined) return NONE;
  const at = date(time);
  if (Number.isNaN(at.getTime())) return NONE;
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
}

const TITLES = ["title", "name", "product_name", "description", "headline"];

/** What an item is called: the first property that reads like a title, else its id. Always text. */
export function title(item) {
  const properties = item?.properties ?? {};
  for (const name of TITLES) {
    const value = properties[name];
    if (typeof value === "string" && value.trim()) return value;
  }
  return String(item?.item_id ?? "");
}

/** One or many: plural(3, "item") → "3 items". */
export const plural = (count, word, words = `${word}s`) => `${number(count)} ${count === 1 ? word : words}`;
