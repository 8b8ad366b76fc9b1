/* What all pages share: language, API key, questions to the endpoint, elements. */

export const element = (id) => document.getElementById(id);
const LANGUAGES = ["en", "es", "ca"];
const listeners = [];
/* The page brings the texts of the language it was served in: whatever happens first, there are words for it. */
let texts = JSON.parse(element("texts").textContent);
let language = document.documentElement.lang;

export function make(tag, className = "", ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content.filter((part) => part !== null && part !== ""));
  return node;
}

/* --- language: what was chosen here once, else what the server chose by the browser's wishes ----------------------- */

export function text(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

export const has = (name) => name in texts;
export const percent = (share) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);
export const number = (value, digits = 0) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
export const day = (moment) => new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(moment));
export const time = (moment) => new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(new Date(moment));
export const dayAndTime = (moment) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(moment));

function write() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const attribute of ["aria-label", "placeholder", "alt"]) {
    for (const node of document.querySelectorAll(`[data-${attribute}]`)) {
      node.setAttribute(attribute, text(node.getAttribute(`data-${attribute}`)));
    }
  }
}

async function speak(chosen) {
  if (chosen === language) return;
  texts = await (await ask(`/pages/texts/${chosen}.json`, { key: null })).json();
  language = chosen;
  write();
}

/* `render` writes everything that the page's own script says; it is called again after a change of language or key. */
export async function start(render) {
  const kept = localStorage.getItem("petpark-language");
  /* Where the kept language cannot be had now, the page speaks the one it came in. */
  await speak(LANGUAGES.includes(kept) ? kept : language).catch(() => {});
  listeners.push(render);
  element("language").value = language;
  element("language").addEventListener("change", async () => {
    const chosen = element("language").value;
    try {
      await speak(chosen);
    } catch {
      element("language").value = language;
      return;
    }
    localStorage.setItem("petpark-language", chosen);
    announce();
  });
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
  }
  announce();
}

function announce() {
  for (const listener of listeners) listener();
}

/* --- the API key stays in this tab: the browser forgets it with the tab, and no other site can read it ------------ */

element("key-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("petpark-key", element("key").value.trim());
  element("key-form").hidden = true;
  announce();
});
if (element("key")) element("key").value = sessionStorage.getItem("petpark-key") ?? "";

export function askForKey() {
  if (!element("key-form")?.hidden) return;
  element("key-form").hidden = false;
  element("key").focus();
}

/* --- questions to the endpoint ------------------------------------------------------------------------------------ */

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail);
    this.name = problem.type?.split("#").at(-1) ?? "internal";
    this.detail = problem.detail ?? "";
  }
}

const ANSWER_WITHIN_MS = 30_000;

/* Gives the response, or throws `Refused` with the endpoint's problem, or another error where nothing answered in time. */
export async function ask(path, { key = sessionStorage.getItem("petpark-key"), headers = {}, ...options } = {}) {
  const shown = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(path, {
    ...options, headers: { ...headers, ...shown }, cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(problem);
}

/* What went wrong, in the reader's language; the endpoint's own words, which are English, come second. */
export function explain(error) {
  if (!(error instanceof Refused)) return [text("app.no-answer")];
  if (error.name === "unauthorized") askForKey();
  const detail = make("span", "detail", error.detail);
  detail.lang = "en";
  return [text(has(`problem.${error.name}`) ? `problem.${error.name}` : "problem.internal"), " ", detail];
}

/* --- pieces that several pages show ------------------------------------------------------------------------------- */

export function facts(rows) {
  const list = make("dl");
  for (const [term, value] of rows) list.append(make("dt", "", term), make("dd", "", value));
  return list;
}

export function table(heads, rows, label) {
  const scroll = make("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", label);
  const head = as("row", make("tr", "", ...heads.map((name) => {
    const cell = as("columnheader", make("th", "", name));
    cell.scope = "col";
    return cell;
  })));
  head.lang = language;
  const body = rows.map((cells) => as("row", make("tr", "", ...cells.map((cell, column) => {
    const made = as("cell", make("td", "", cell));
    made.dataset.head = heads[column] ?? "";
    return made;
  }))));
  const parts = [as("rowgroup", make("thead", "", head)), as("rowgroup", make("tbody", "", ...body))];
  scroll.append(as("table", make("table", "", ...parts)));
  return scroll;
}

/* A table stays one for screen readers where a narrow screen shows its rows as blocks. */
function as(role, made) {
  made.setAttribute("role", role);
  return made;
}

/* An ARN by the name at its end; the whole is there to be read. Callers without a key are told no names. */
export function who(arn) {
  if (!arn) {
    const hidden = make("span", "who", text("app.somebody"));
    hidden.title = text("app.names-with-a-key");
    return hidden;
  }
  const name = make("span", "who", arn.split(/[/:]/).at(-1));
  name.title = arn;
  return name;
}

export function certificate(held) {
  if (!held) return text("cert.not-asked");
  const by = { by: held.by?.split(/[/:]/).at(-1) ?? text("app.somebody"), date: held.expires_at ? day(held.expires_at) : "" };
  return text(held.expired ? "cert.expired" : "cert.in-force", by);
}
