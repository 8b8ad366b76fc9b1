import { ask, askForKey, certificate, element, explain, facts, make, number, percent, start, text } from "./common.js";

const SHOWN_CLASSES = 8;
const TYPES = ["image/jpeg", "image/png", "image/webp"];
let turn = 0;
let last = null;
let state = { kind: "none" };

start(() => {
  if (last && state.kind === "failed") classify(last);
  else writeAnswer();
  readModel();
});

for (const id of ["file", "camera"]) {
  const chosen = () => {
    take(element(id).files);
    element(id).value = "";
  };
  element(id).addEventListener("change", chosen);
  chosen(); /* Whoever was faster than this script has chosen already. */
}

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files));
document.addEventListener("paste", (event) => take(event.clipboardData.files));

function take([photo]) {
  if (photo) classify(photo);
}

element("toggle").addEventListener("click", () => {
  const shown = element("toggle").getAttribute("aria-pressed") !== "true";
  element("toggle").setAttribute("aria-pressed", String(shown));
  element("heat").hidden = element("legend").hidden = !shown;
});
element("class").addEventListener("change", () => drawHeat(state.answer.activation_map[element("class").value]));

async function classify(photo) {
  const mine = ++turn;
  last = photo;
  hideHeat();
  if (photo.type && !TYPES.includes(photo.type)) {
    element("photo").hidden = true;
    last = null;
    return say({ kind: "no-photo" });
  }
  say({ kind: "working" });
  show(photo);
  const began = performance.now();
  let found;
  try {
    const response = await ask("/v1/classify?explain=true&abstain=true", {
      method: "POST",
      headers: { "Content-Type": photo.type || "image/jpeg" },
      body: photo,
    });
    const answer = await response.json();
    const arm = response.headers.get("X-Petpark-Arm");
    found = { kind: "answered", answer, arm, milliseconds: performance.now() - began };
  } catch (error) {
    found = { kind: "failed", error };
  }
  if (mine !== turn) return;
  say(found);
  if (found.kind === "answered") showHeat(found.answer);
  readModel();
}

function say(what) {
  state = what;
  writeAnswer();
}

function writeAnswer() {
  const place = element("answer");
  if (state.kind === "answered") return place.replaceChildren(...answered(state));
  if (state.kind === "failed") return place.replaceChildren(make("p", "alarm", ...explain(state.error)));
  const alarm = state.kind === "no-photo";
  place.replaceChildren(make("p", alarm ? "alarm" : "quiet", text(`try.${state.kind}`)));
}

function answered({ answer, arm, milliseconds }) {
  const ranked = ranking(answer);
  const told = abstained(answer) ?? text("try.label", { label: answer.label, percent: percent(answer.probabilities[answer.label]) });
  const details = [text("try.answered-by", { version: answer.model.version, time: number(milliseconds) })];
  if (answer.decision) details.push(rule(answer.decision));
  if (arm) details.push(text(`try.arm-${arm}`));
  const list = make("ul", "scores", ...ranked.map(([label, value]) => score(label, value)));
  list.setAttribute("aria-label", text("try.scores"));
  const request = make("p", "quiet small", text("try.request", { id: answer.request_id }));
  return [make("p", "answer", told), list, ...details.map((detail) => make("p", "quiet", detail)), request];
}

/* Words for an answer that is not one class; null where it is, and for versions that cannot abstain. */
function abstained({ abstention }) {
  if (!abstention || abstention.classes.length === 1) return null;
  if (abstention.classes.length === 0) return text("try.neither");
  return text("try.perhaps", { classes: abstention.classes.join(text("try.or")) });
}

function ranking({ probabilities }) {
  return Object.entries(probabilities).sort((one, other) => other[1] - one[1]).slice(0, SHOWN_CLASSES);
}

function rule({ positive, threshold }) {
  if (threshold > 1) return text("try.rule-never", { label: positive });
  return text("try.rule-from", { label: positive, percent: percent(threshold) });
}

function score(label, value) {
  const filled = make("div");
  filled.style.width = `${value * 100}%`;
  const bar = make("div", "bar", filled);
  bar.setAttribute("aria-hidden", "true");
  return make("li", "", make("div", "words", make("span", "", label), make("span", "", percent(value))), bar);
}

function show(photo) {
  const image = element("image");
  const address = URL.createObjectURL(photo);
  image.onload = () => URL.revokeObjectURL(address);
  image.onerror = () => { element("photo").hidden = true; URL.revokeObjectURL(address); };
  image.src = address;
  element("photo").hidden = false;
}

/* --- heat map ----------------------------------------------------------------------------------------------------- */

function hideHeat() {
  for (const id of ["heat", "choices", "legend"]) element(id).hidden = true;
}

function showHeat(answer) {
  const labels = ranking(answer).map(([label]) => label);
  element("class").replaceChildren(...labels.map((label) => new Option(label, label)));
  element("class").value = answer.label;
  element("choices").hidden = false;
  element("heat").hidden = element("legend").hidden = element("toggle").getAttribute("aria-pressed") !== "true";
  drawHeat(answer.activation_map[answer.label] ?? Object.values(answer.activation_map)[0]);
}

/* One square a cell, then scaled up smoothly by the browser. Opacity says how strongly a place speaks for the class. */
function drawHeat(rows) {
  const flat = rows.flat();
  const low = Math.min(...flat);
  const span = Math.max(...flat) - low || 1;
  const small = document.createElement("canvas");
  small.width = rows[0].length;
  small.height = rows.length;
  const context = small.getContext("2d");
  const pixels = context.createImageData(small.width, small.height);
  flat.forEach((value, index) => {
    const strength = (value - low) / span;
    pixels.data.set([255, Math.round(210 * (1 - strength)), 0, Math.round(185 * strength)], index * 4);
  });
  context.putImageData(pixels, 0, 0);
  const heat = element("heat");
  heat.width = heat.height = 448;
  const large = heat.getContext("2d");
  large.imageSmoothingQuality = "high";
  large.drawImage(small, 0, 0, heat.width, heat.height);
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

async function readModel() {
  let model;
  try {
    model = await (await ask("/v1/model", { key: null })).json();
  } catch {
    element("model").replaceChildren(make("dt", "", text("try.state")), make("dd", "alarm", text("try.unknown")));
    return;
  }
  const rows = [[text("try.name"), model.name], [text("try.version"), String(model.version ?? text("try.no-version"))]];
  if (model.digest) rows.push([text("try.digest"), model.digest.replace(/^(sha256:.{12}).*/, "$1…")]);
  const { channel, entry } = model;
  rows.push([text("try.channel"), entry ? text("try.entry", { channel, entry }) : channel]);
  if (model.version) rows.push([text("try.certificate"), certificate(model.certificate)]);
  if (model.decision) rows.push([text("try.decision"), rule(model.decision)]);
  if (model.experiment) rows.push([text("try.experiment"), text("try.beside", model.experiment)]);
  element("model").replaceChildren(...facts(rows).children);
  element("refused").hidden = !model.refused;
  if (model.refused) element("refused").textContent = text("try.refused", model.refused);
  if (model.api_keys.required && !sessionStorage.getItem("petpark-key")) askForKey();
}
