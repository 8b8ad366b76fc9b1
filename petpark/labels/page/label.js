import { ask, element, explain, facts, has, make, number, percent, start, text } from "./common.js";

const KEPT = "petpark-label-token";
const KEYS = "petpark-label-keys";
/* The token is behind the # of the address, and stays in this tab. */
if (location.hash.length > 1) {
  sessionStorage.setItem(KEPT, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

/* What the server said last; the photos in the order in which this tab shows them, and which of them is shown. */
let state = null;
let line = [];
let shown = null;
let busy = false;
let trouble = null;
const pictures = new Map();

const mine = (photo) => state.mine.find((each) => each.photo === photo);

async function call(path, body) {
  const headers = { "X-Petpark-Token": sessionStorage.getItem(KEPT) ?? "" };
  if (body === undefined) return ask(path, { key: null, headers });
  headers["Content-Type"] = "application/json";
  return ask(path, { key: null, headers, method: "POST", body: JSON.stringify(body) });
}

/* Takes what the server said: photos that others have settled leave the line, new ones join it at the end. */
function take(said) {
  state = said;
  const known = new Set([...said.mine.map((each) => each.photo), ...said.queue]);
  line = line.filter((photo) => known.has(photo));
  const there = new Set(line);
  const joining = [...said.mine.map((each) => each.photo), ...said.queue].filter((photo) => !there.has(photo));
  line.push(...joining);
  if (!known.has(shown)) shown = next();
}

function next() {
  const from = Math.max(0, line.indexOf(shown));
  const open = (photo) => !mine(photo);
  return line.slice(from).find(open) ?? line.find(open) ?? null;
}

/* One thing at a time: what is pressed meanwhile would be about a photo that nobody has seen yet. */
async function act(work) {
  if (busy) return;
  busy = true;
  trouble = null;
  write();
  try {
    await work();
  } catch (error) {
    trouble = error;
    if (error.name === "conflict") await call("/v1/state").then((found) => found.json()).then(take).catch(() => {});
  }
  busy = false;
  write();
}

function say(answer, label = null) {
  const photo = shown;
  if (photo === null || !pictures.get(photo)?.url) return;
  act(async () => {
    const body = { photo, answer, label, seen: mine(photo)?.record ?? null };
    const first = body.seen === null;
    take(await (await call("/v1/labels", body)).json());
    announce(text("label.saved", { answer: named(answer, label) }));
    if (first && shown === photo) shown = next();
  });
}

function undo() {
  const last = state.mine.at(-1);
  if (!last) return;
  act(async () => {
    take(await (await call("/v1/undo", { photo: last.photo, seen: last.record })).json());
    if (line.includes(last.photo)) shown = last.photo;
    announce(text("label.undone"));
  });
}

function step(by) {
  const to = shown === null ? line.length - 1 : line.indexOf(shown) + by;
  if (busy || to < 0 || to >= line.length) return;
  shown = line[to];
  trouble = null;
  write();
}

function announce(words) {
  element("said").textContent = words;
}

function named(answer, label) {
  return answer === "class" ? label : text(`label.answer.${answer}`);
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

async function load(photo) {
  if (photo === null || pictures.has(photo)) return;
  const picture = {};
  pictures.set(photo, picture);
  try {
    picture.url = URL.createObjectURL(await (await call(`/v1/photos/${photo}`)).blob());
  } catch (error) {
    picture.error = error;
    if (error.name !== "photo-gone") setTimeout(() => pictures.delete(photo), 2000);
  }
  write();
}

function write() {
  element("message").hidden = !trouble;
  if (trouble) element("message").replaceChildren(...words(trouble));
  element("work").hidden = !state;
  if (!state) return;
  element("about").textContent = text("label.about", { sample: state.sample, person: state.person });
  writePhoto();
  writeAnswers();
  writeProgress();
  writeAgreement();
}

function writePhoto() {
  const all = shown === null;
  document.querySelector(".labelling").hidden = all;
  element("done").hidden = !all;
  const { disputed, settled, unknown, photos } = state.progress;
  const left = settled + unknown < photos ? "label.done" : "label.done-all";
  element("done-text").textContent = text(disputed ? "label.done-disputed" : left, { count: number(disputed) });
  element("review").hidden = line.length === 0;
  if (all) return;
  element("photo-title").textContent = text("label.photo", { place: number(line.indexOf(shown) + 1), of: number(line.length) });
  const picture = pictures.get(shown);
  element("photo").hidden = !picture?.url;
  if (picture?.url && element("photo").src !== picture.url) element("photo").src = picture.url;
  element("no-photo").hidden = Boolean(picture?.url);
  element("no-photo").replaceChildren(...(picture?.error ? words(picture.error) : [text("label.loading")]));
  const before = mine(shown);
  element("mine").textContent = before ? text("label.you-said", { answer: named(before.answer, before.label) }) : "";
  const at = line.indexOf(shown);
  [shown, line[at + 1], line[at + 2], line[at + 3]].filter((photo) => photo !== undefined).forEach(load);
}

function writeAnswers() {
  const before = shown === null ? null : mine(shown);
  const choices = [
    ...state.classes.map((label, place) => ["class", label, place < 9 ? String(place + 1) : ""]),
    ["neither", null, "n"],
    ["unknown", null, "0"],
  ];
  const focused = document.activeElement?.dataset?.choice;
  element("answers").replaceChildren(...choices.map(([answer, label, key]) => {
    const button = make("button", answer === "neither" ? "other" : "", make("span", "", named(answer, label)));
    button.type = "button";
    button.dataset.choice = `${answer} ${label ?? ""}`;
    button.setAttribute("aria-pressed", String(before?.answer === answer && before?.label === label));
    button.disabled = !pictures.get(shown)?.url;
    if (key) {
      button.setAttribute("aria-keyshortcuts", key.toUpperCase());
      const hint = make("kbd", "", key);
      hint.setAttribute("aria-hidden", "true");
      button.append(hint);
    }
    button.addEventListener("click", () => say(answer, label));
    return button;
  }));
  /* The buttons are new ones; the focus stays where it was. */
  if (focused) [...element("answers").children].find((each) => each.dataset.choice === focused)?.focus();
  element("answers").classList.toggle("many", state.classes.length > 6);
  element("answers").setAttribute("aria-busy", String(busy));
  element("back").disabled = line.indexOf(shown) <= 0;
  element("forward").disabled = line.indexOf(shown) >= line.length - 1;
  element("undo").disabled = state.mine.length === 0;
}

function writeProgress() {
  const { photos, settled, unknown, disputed, mine: own, waiting } = state.progress;
  element("bar").max = photos;
  element("bar").value = settled + unknown;
  element("bar").textContent = percent((settled + unknown) / photos);
  element("figures").replaceChildren(facts([
    [text("label.settled"), text("label.count-of", { count: number(settled), of: number(photos) })],
    [text("label.unknown"), number(unknown)],
    [text("label.disputed"), number(disputed)],
    [text("label.own"), number(own)],
    [text("label.waiting"), number(waiting)],
  ]));
}

function writeAgreement() {
  const { agreement } = state;
  element("agreement").textContent = agreement
    ? text("label.agree", {
        photos: number(agreement.photos), share: percent(agreement.share), kappa: number(agreement.kappa, 2),
        low: number(agreement.low, 2), high: number(agreement.high, 2),
      })
    : text("label.no-agreement");
  const list = make("ul", "plain");
  for (const each of state.disputed) {
    load(each.photo);
    const said = each.said.map(({ person, answer, label }) =>
      text("label.by", { answer: named(answer, label), person: person === state.person ? text("label.you") : person }));
    const lines = [make("span", "", said.join(" · ")), make("br"),
      make("span", "quiet small", text(each.waiting ? "label.waits" : "label.decided"))];
    const item = make("li");
    const picture = pictures.get(each.photo);
    if (picture?.url) {
      const image = make("img");
      image.src = picture.url;
      image.alt = text("label.alt");
      item.append(image);
    }
    item.append(make("p", "", ...lines));
    list.append(item);
  }
  element("disputed").replaceChildren(...(state.disputed.length ? [list] : []));
}

function words(error) {
  return has(`problem.${error.name}`) || !error.detail ? explain(error) : [error.detail];
}

/* --- what is done ------------------------------------------------------------------------------------------------- */

const look = () => act(async () => take(await (await call("/v1/state")).json()));

element("back").addEventListener("click", () => step(-1));
element("forward").addEventListener("click", () => step(1));
element("undo").addEventListener("click", undo);
element("review").addEventListener("click", () => step(0));
element("again").addEventListener("click", look);
element("keys").checked = localStorage.getItem(KEYS) !== "off";
element("keys").addEventListener("change", () => localStorage.setItem(KEYS, element("keys").checked ? "on" : "off"));

document.addEventListener("keydown", (event) => {
  if (!state || !element("keys").checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input:not([type=checkbox])")) return;
  const key = event.key.toLowerCase();
  const place = Number(key) - 1;
  const actions = {
    0: () => say("unknown"), n: () => say("neither"), u: undo, backspace: undo,
    arrowleft: () => step(-1), arrowright: () => step(1),
  };
  if (actions[key]) actions[key]();
  else if (/^[1-9]$/.test(key) && place < state.classes.length) say("class", state.classes[place]);
  else return;
  event.preventDefault();
});

start(() => (state ? write() : look()));
