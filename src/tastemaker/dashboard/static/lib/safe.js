// What comes from data must not lead anywhere by itself: addresses are checked before they are used.
const PICTURES = ["image", "image_url", "picture", "thumbnail", "img", "imgUrl"];

/** The address of a picture that the page may show, or null: of this host, data:image, or another http(s) one. */
export function safeImage(value) {
  if (typeof value !== "string" || !value.trim()) return null;
  try {
    const url = new URL(value, location.origin);
    if (url.protocol === "data:") return /^data:image\/(png|jpeg|gif|webp|avif);/i.test(value) ? value : null;
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** The picture of an item, or null. */
export function pictureOf(item) {
  for (const name of PICTURES) {
    const found = safeImage(item?.properties?.[name]);
    if (found && allowed(found)) return found;
  }
  return null;
}

/** Only what the page's policy lets load is asked for: another origin would be an error in the console for each picture. */
function allowed(url) {
  if (url.startsWith("data:")) return true;
  const { origin } = new URL(url);
  return origin === location.origin || document.querySelector('meta[name="image-origins"]').content.split(" ").includes(origin);
}
