"use strict";

const element = (id) => document.getElementById(id);
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
let answer = null;
let turn = 0;
let last = null;

/* The key stays in this tab: the browser forgets it with the tab, and no other site can read it. */
element("key").value = sessionStorage.getItem("petpark-key") ?? "";
element("key").addEventListener("change", () => {
  sessionStorage.setItem("petpark-key", element("key").value.trim());
  if (last) classify(last);
});

function keyHeaders() {
  const key = element("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

element("file").addEventListener("change", () => {
  const [photo] = element("file").files;
  if (photo) classify(photo);
});

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
  });
}
document.addEventListener("drop", (event) => {
  const [photo] = event.dataTransfer.files;
  if (photo) classify(photo);
});

element("toggle").addEventListener("click", () => {
  const shown = element("toggle").getAttribute("aria-pressed") !== "true";
  element("toggle").setAttribute("aria-pressed", String(shown));
  element("heat").hidden = element("legend").hidden = !shown;
});
element("class").addEventListener("change", () => drawHeat(answer.activation_map[element("class").value]));

async function classify(photo) {
  const mine = ++turn;
  last = photo;
  clear("Classifying …");
  show(photo);
  const began = performance.now();
  try {
    const response = await fetch("/v1/classify?explain=true", {
      method: "POST",
      headers: { "Content-Type": photo.type || "image/jpeg", ...keyHeaders() },
      body: photo,
    });
    const document = await response.json();
    if (mine !== turn) return;
    if (response.status === 401) {
      element("key-row").hidden = false;
      element("key").focus();
    }
    if (!response.ok) return fail(`${document.title}. ${document.detail}`);
    write(document, performance.now() - began);
  } catch {
    if (mine === turn) fail("The endpoint did not answer. Is it still running?");
  }
  readModel();
}

function clear(message) {
  element("message").className = "quiet";
  element("message").textContent = message;
  element("message").hidden = false;
  for (const id of ["label", "timing", "choices", "legend"]) element(id).hidden = true;
  element("scores").replaceChildren();
  const heat = element("heat");
  heat.getContext("2d").clearRect(0, 0, heat.width, heat.height);
}

function fail(message) {
  clear(message);
  element("message").className = "alarm";
}

function show(photo) {
  const image = element("image");
  const address = URL.createObjectURL(photo);
  image.onload = () => URL.revokeObjectURL(address);
  image.onerror = () => { element("photo").hidden = true; URL.revokeObjectURL(address); };
  image.src = address;
  element("photo").hidden = false;
}

function write(document, milliseconds) {
  answer = document;
  element("message").hidden = true;
  element("label").textContent = `${document.label}, ${percent.format(document.probabilities[document.label])}`;
  element("label").hidden = false;
  element("timing").textContent = `${rule(document)}${milliseconds.toFixed(0)} ms, version ${document.model.version}, request ${document.request_id}`;
  element("timing").hidden = false;
  const ranked = Object.entries(document.probabilities).sort((a, b) => b[1] - a[1]);
  element("scores").replaceChildren(...ranked.slice(0, 8).map(([label, value]) => score(label, value)));
  element("class").replaceChildren(...ranked.slice(0, 8).map(([label]) => new Option(label, label)));
  element("choices").hidden = false;
  element("legend").hidden = element("heat").hidden;
  drawHeat(document.activation_map[document.label]);
  element("answer-title").scrollIntoView({ block: "nearest" });
}

function rule({ decision }) {
  if (!decision) return "";
  const { positive, threshold } = decision;
  const when = threshold > 1 ? "never" : `from ${percent.format(threshold)} on`;
  return `“${positive}” counts ${when}; `;
}

function score(label, value) {
  const item = make("li");
  const words = make("div", "words");
  words.append(make("span", "", label), make("span", "", percent.format(value)));
  const bar = make("div", "bar");
  const filled = make("div");
  filled.style.width = `${value * 100}%`;
  bar.append(filled);
  item.append(words, bar);
  return item;
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

async function readModel() {
  const list = element("model");
  try {
    const response = await fetch("/v1/model");
    const model = await response.json();
    const rows = [["Model", model.name], ["Version", model.version ?? "none in force yet"]];
    if (model.digest) rows.push(["Digest", model.digest.replace(/^(sha256:.{12}).*/, "$1…")]);
    rows.push(["Channel", model.entry ? `${model.channel}, entry ${model.entry}` : model.channel]);
    rows.push(["Certificate", certificate(model)]);
    list.replaceChildren(...rows.flatMap(([term, text]) => [make("dt", "", term), make("dd", "", String(text))]));
    element("key-row").hidden = element("key-row").hidden && !model.api_keys.required;
    element("refused").hidden = !model.refused;
    if (model.refused) element("refused").textContent = `Refused version ${model.refused.version} (${model.refused.reason}).`;
  } catch {
    list.replaceChildren(make("dt", "", "State"), make("dd", "alarm", "unknown: the endpoint did not answer"));
  }
}

function certificate(model) {
  if (!model.certificate) return "not asked for on this channel";
  const word = model.certificate.expired ? "expired" : "until";
  const until = model.certificate.expires_at ? `, ${word} ${model.certificate.expires_at.slice(0, 10)}` : "";
  return `signed by ${model.certificate.by}${until}`;
}

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

readModel();
