import { ask, element, explain, facts, make, number, start, text, time } from "./common.js";

const EVERY = 2000;
/* A thumbnail's address to { taken, url }. */
const pictures = new Map();
let paused = false;
let timer = null;
let told = null;

start(() => {
  write();
  look();
});

element("pause").addEventListener("click", () => {
  paused = !paused;
  element("pause").setAttribute("aria-pressed", String(paused));
  write();
  look();
});
document.addEventListener("visibilitychange", look);

/* Asks now and goes on asking, unless nobody looks. */
async function look() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  timer = setTimeout(look, EVERY);
  try {
    const found = await (await ask("/v1/cameras")).json();
    await Promise.all(found.agents.flatMap((agent) => agent.cameras).map(fetchPicture));
    told = { agents: found.agents, at: Date.now() };
    element("message").hidden = true;
  } catch (error) {
    element("message").replaceChildren(...explain(error));
    element("message").hidden = false;
    if (error.name === "unauthorized") clearTimeout(timer);
  }
  write();
}

/* A picture needs the key too, so it is fetched here; and only where there is a newer one. */
async function fetchPicture({ last_frame: frame }) {
  if (!frame || pictures.get(frame.thumbnail)?.taken === frame.taken_at) return;
  try {
    const url = URL.createObjectURL(await (await ask(frame.thumbnail)).blob());
    const before = pictures.get(frame.thumbnail);
    pictures.set(frame.thumbnail, { taken: frame.taken_at, url });
    if (before) setTimeout(() => URL.revokeObjectURL(before.url), EVERY);
  } catch {
    /* The state is told all the same; the next look tries again. */
  }
}

function write() {
  element("pause").textContent = text(paused ? "live.resume" : "live.pause");
  element("pause").dataset.text = paused ? "live.resume" : "live.pause";
  if (!told) return;
  element("updated").textContent = text(paused ? "live.paused" : "live.updated", { time: time(told.at) });
  element("none").hidden = told.agents.length > 0;
  element("cameras").replaceChildren(...told.agents.flatMap(agentTiles));
}

function agentTiles(agent) {
  if (agent.error) {
    const reason = make("span", "detail", agent.error);
    reason.lang = "en";
    return [make("p", "card alarm", text("live.away"), " ", reason)];
  }
  return [...agent.cameras.map(tile), link(agent)];
}

function tile(camera) {
  const { last_frame: frame, latency_milliseconds: latency } = camera;
  const card = make("section", "card camera-tile");
  const title = make("h2", "", camera.name);
  const state = make("span", `state ${camera.state}`, text(`live.state.${camera.state}`));
  card.append(make("div", "title", title, state), picture(camera));
  const rows = [
    [text("live.visiting"), camera.visiting.join(", ") || text("live.nobody")],
    [text("live.visits"), number(camera.visits_today ?? camera.visits)],
  ];
  if (frame) rows.push([text("live.last"), time(frame.taken_at)]);
  if (latency.answers) {
    const values = { p50: number(latency.p50), p99: number(latency.p99) };
    rows.push([text("live.latency"), text("live.latency-value", values)]);
  }
  card.append(facts(rows));
  if (camera.reason) {
    const reason = make("p", "alarm detail", camera.reason);
    reason.lang = "en";
    card.append(reason);
  }
  return card;
}

function picture({ name, last_frame: frame }) {
  const kept = frame && pictures.get(frame.thumbnail);
  if (!kept) return make("p", "no-picture quiet", text("live.no-frame"));
  const image = make("img", "thumbnail");
  image.src = kept.url;
  image.alt = text("live.frame-alt", { name });
  return image;
}

function link({ spool, forwarding }) {
  const lost = forwarding.last_error;
  const line = make("p", lost ? "alarm" : "quiet", text("live.waiting", { count: number(spool.waiting) }));
  if (lost) line.append(" ", text("live.link-lost", { error: lost }));
  line.classList.add("link");
  return line;
}
