/** Elements and numbers. Names from outside become text, never markup. */

/** An element; properties are set, `data` and `aria` attributes by their names, `on` listens. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, does] of Object.entries(value)) node.addEventListener(event, does);
    else if (name === "style") Object.assign(node.style, value);
    else if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button that says what it does to those who cannot see it. */
function button(text, label, does, properties = {}) {
  const title = properties.title ?? label;
  return el("button", { type: "button", textContent: text, title, "aria-label": label, on: { click: does }, ...properties });
}

const byId = (id) => document.getElementById(id);

/** A number with a point and so many digits, whatever the language. */
function number(value, digits = 2) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** Seconds as `1:02.50`, or `1:00:02.50`. */
function clock(seconds, digits = 2) {
  const rounded = Number(Math.max(0, seconds).toFixed(digits));
  const hours = Math.floor(rounded / 3600), minutes = Math.floor((rounded % 3600) / 60);
  const rest = (rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** Gives the reader a file. */
function download(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Tells those who listen to the page. */
function say(text) {
  byId("status").textContent = text;
}
