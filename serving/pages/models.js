import {
  Refused, ask, certificate, day, dayAndTime, element, explain, facts, make, number, percent, start, table, text, time, who,
} from "./common.js";

const METRICS = ["accuracy", "balanced_accuracy", "calibration_error", "robustness_drop", "consistency"];
let registry = null;
let served = null;

start(() => {
  write();
  read();
});
element("refresh").addEventListener("click", read);

async function read() {
  element("models").setAttribute("aria-busy", "true");
  try {
    [registry, served] = await Promise.all(["/v1/registry", "/v1/model"].map(async (path) => (await ask(path)).json()));
    element("message").hidden = true;
  } catch (error) {
    element("message").replaceChildren(...explain(error));
    element("message").hidden = false;
  }
  element("models").setAttribute("aria-busy", "false");
  write();
}

function write() {
  if (!registry) return;
  element("read-at").textContent = text("models.read-at", { time: time(registry.read_at) });
  const followedFirst = registry.channels.toSorted((one, other) => followed(other) - followed(one));
  element("models").replaceChildren(
    ...(registry.error ? [foreign("card alarm", registry.error)] : []),
    serving(),
    ...followedFirst.map(channel),
    ...(registry.experiment || served.experiment ? [experiment()] : []),
    versions(),
  );
}

const followed = (channel) => Number(channel.name === registry.follows);

function card(title, ...content) {
  return make("section", "card", make("h2", "", title), ...content);
}

function foreign(className, words) {
  const line = make("p", className, words);
  line.lang = "en";
  return line;
}

/* --- what this process serves, and each channel ------------------------------------------------------------------- */

function serving() {
  const rows = [[text("try.version"), String(served.version ?? text("try.no-version"))]];
  rows.push([text("models.instance"), served.instance]);
  if (served.version) rows.push([text("try.certificate"), certificate(served.certificate)]);
  const refused = served.refused ? make("p", "alarm", text("try.refused", served.refused)) : "";
  return card(text("models.serves"), facts(rows), refused);
}

function channel(told) {
  const [head] = told.moves;
  const title = text("models.channel", { name: told.name });
  if (told.error) return card(title, foreign("alarm", told.error));
  if (!head) return card(title, make("p", "quiet", text("models.empty")));
  const since = text("models.in-force", { version: head.version, date: dayAndTime(head.at) });
  const heads = ["entry", "version", "move", "by", "when", "why"].map((name) => text(`models.${name}`));
  const rows = told.moves.map((move) => [
    String(move.number), String(move.version), kind(move), who(move.by), dayAndTime(move.at), move.why ?? "",
  ]);
  const history = make("details", "", make("summary", "", text("models.history", { count: rows.length })));
  history.append(table(heads, rows, text("models.history-of", { name: told.name })));
  history.open = Boolean(followed(told));
  const back = followed(told) ? rollBack(told) : [];
  return card(title, make("p", "in-force", since), make("p", "quiet", ...spoken(head)), ...back, history);
}

/* Who did something, and why, as far as this caller may know it. */
function spoken(entry) {
  return entry.why ? [who(entry.by), ": ", entry.why] : [who(entry.by)];
}

function kind(move) {
  return move.restores ? text("models.rolled-back", { entry: move.restores }) : text("models.promoted");
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

function versions() {
  const heads = ["version", "certificate", "gates", "metrics", "made"].map((name) => text(`models.${name}`));
  const rows = registry.versions.map((version) => {
    if (version.error) return [String(version.number), foreign("alarm", version.error), "", "", ""];
    return [numbered(version), decided(version.certificate), gates(version.gates), metrics(version.metrics), made(version)];
  });
  return card(text("models.versions"), table(heads, rows, text("models.versions")));
}

function numbered({ number: version, report }) {
  const told = make(version === served.version ? "strong" : "span", "", String(version));
  if (!report) return told;
  const link = make("a", "", text("models.report"));
  link.href = `/v1/versions/${version}/report.html`;
  link.target = "_blank";
  link.rel = "noopener";
  link.setAttribute("aria-label", text("models.report-of", { version }));
  link.addEventListener("click", (event) => {
    if (sessionStorage.getItem("petpark-key")) download(event, link, `petpark-${version}-report.html`);
  });
  return make("div", "", told, make("div", "small", link));
}

/* A link carries no key, so the file is fetched with it and saved: a page from here would forbid the report's styles. */
async function download(event, link, name) {
  event.preventDefault();
  try {
    const file = make("a");
    file.href = URL.createObjectURL(await (await ask(link.getAttribute("href"))).blob());
    file.download = name;
    file.click();
    URL.revokeObjectURL(file.href);
  } catch (error) {
    element("message").replaceChildren(...explain(error));
    element("message").hidden = false;
  }
}

function decided(held) {
  const name = held.state.replace(" ", "-");
  const values = { by: held.by?.split(/[/:]/).at(-1) ?? text("app.somebody"), date: held.expires_at ? day(held.expires_at) : "" };
  const line = make("span", held.state === "in force" ? "good" : "alarm", text(`cert.${name}`, values));
  if (held.by) line.title = held.by;
  return held.note ? make("div", "", line, make("p", "quiet small", held.note)) : line;
}

function gates(judged) {
  const names = Object.keys(judged);
  const failed = names.filter((name) => judged[name] === "failed");
  const unmeasured = names.filter((name) => judged[name] === "not measured");
  if (!names.length) return make("span", "quiet", text("models.no-gates"));
  if (!failed.length && !unmeasured.length) return make("span", "good", text("models.gates-passed", { count: names.length }));
  const values = (those) => ({ count: names.length, those: those.length, names: those.join(", ") });
  return make("ul", "plain",
    failed.length ? make("li", "alarm", text("models.gates-failed", values(failed))) : "",
    unmeasured.length ? make("li", "alarm", text("models.gates-unmeasured", values(unmeasured))) : "");
}

function metrics(measured) {
  const shown = METRICS.filter((name) => name in measured);
  if (!shown.length) return make("span", "quiet", text("models.no-metrics"));
  return make("ul", "plain", ...shown.map((name) => {
    const bounds = [measured[`${name}_low`], measured[`${name}_high`]];
    const range = bounds.includes(undefined) ? "" : ` (${bounds.map(percent).join(" – ")})`;
    return make("li", "", `${text(`metric.${name}`)} ${percent(measured[name])}${range}`);
  }));
}

function made({ created_at: at, lineage }) {
  const by = lineage.requested_by ?? lineage.trained_by;
  return make("span", "", dayAndTime(at), ...(by ? [", ", who(by)] : []));
}

const PAIRS_SHOWN = 10;

/* --- experiment --------------------------------------------------------------------------------------------------- */

function experiment() {
  const entry = registry.experiment;
  const running = served.experiment;
  const parts = [];
  if (entry?.kind === "start") {
    const values = { ...entry, share: percent(entry.share), until: dayAndTime(entry.until) };
    parts.push(make("p", "", text("experiment.start", values)), make("p", "quiet", ...spoken(entry)));
  }
  if (entry?.kind === "end") {
    const outcome = text(`experiment.${entry.outcome}`);
    parts.push(make("p", "", text("experiment.end", { experiment: entry.experiment, outcome, date: dayAndTime(entry.at) })));
    parts.push(foreign("quiet", entry.reasons?.join(" ") ?? ""));
  }
  if (running) parts.push(make("p", running.state === "answers" ? "good" : "alarm", text(`experiment.${running.state}`)));
  const evidence = running?.evidence ?? entry?.evidence;
  if (evidence) parts.push(make("p", "quiet", text(running ? "experiment.here" : "experiment.everywhere")), seen(evidence));
  return card(text("experiment.title"), ...parts);
}

function seen(evidence) {
  const heads = ["arm", "answers-head", "failures", "milliseconds", "confidence"].map((name) => text(`experiment.${name}`));
  const rows = ["champion", "challenger"].map((name) => {
    const arm = evidence[name];
    const mean = (sum) => (arm.answers ? sum / arm.answers : null);
    const seconds = mean(arm.seconds);
    const sure = mean(arm.confidence);
    const answers = arm.answers ? number(arm.answers) : text("experiment.no-answers");
    return [text(`experiment.${name}`), answers, number(arm.failures),
      seconds === null ? "–" : number(seconds * 1000, 1), sure === null ? "–" : percent(sure)];
  });
  const compared = text("experiment.compared", { compared: number(evidence.compared), disagreed: number(evidence.disagreed) });
  return make("div", "", table(heads, rows, text("experiment.title")), make("p", "quiet", compared), ...contradictions(evidence));
}

/** The most frequent pairs of different labels, with ids of predictions; nothing where both arms agree. */
function contradictions(evidence) {
  const pairs = (evidence.pairs ?? []).filter((pair) => pair.champion !== pair.challenger);
  if (!pairs.length) return [];
  pairs.sort((one, other) => other.photos - one.photos);
  const heads = ["experiment.by-champion", "experiment.by-challenger", "experiment.photos", "experiment.examples"].map((name) => text(name));
  const rows = pairs.slice(0, PAIRS_SHOWN).map((pair) => [pair.champion, pair.challenger, number(pair.photos), pair.examples.join(" ")]);
  return [table(heads, rows, text("experiment.by-challenger"))];
}

/* --- roll back ---------------------------------------------------------------------------------------------------- */

function rollBack({ name, moves: [head, ...older] }) {
  const earlier = [...new Set(older.map((move) => move.version))].filter((version) => version !== head.version);
  if (!earlier.length) return [];
  const { possible, confidential } = registry.roll_back;
  const command = make("code", "", `petpark rollback --channel ${name} --why "…"`);
  const copy = make("button", "", text("roll.copy"));
  copy.type = "button";
  copy.addEventListener("click", () => copyText(copy, command));
  const line = make("p", "command", command, copy);
  if (!possible || !confidential) {
    return [make("p", "quiet", text(possible ? "roll.not-confidential" : "roll.not-possible")), line];
  }
  const button = make("button", "", text("roll.open"));
  button.type = "button";
  button.addEventListener("click", () => open(head, earlier));
  return [make("p", "", button), make("p", "quiet", text("roll.or")), line];
}

async function copyText(button, source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = text("roll.copied");
  } catch {
    /* The clipboard is there over TLS and on loopback alone. */
    getSelection().selectAllChildren(source);
    button.textContent = text("roll.selected");
  }
}

let head = null;

function open(current, earlier) {
  head = current;
  element("to").replaceChildren(...earlier.map((version) => new Option(version, version)));
  if (earlier.includes(registry.before)) element("to").value = registry.before;
  element("dialog-message").hidden = true;
  title();
  element("dialog").showModal();
  element("why").focus();
}

function title() {
  const values = { channel: registry.follows, from: head.version, to: element("to").value };
  element("dialog-title").textContent = text("roll.title", values);
  element("confirm").textContent = text("roll.confirm", values);
}

element("to").addEventListener("change", title);
element("cancel").addEventListener("click", () => element("dialog").close());
element("dialog").addEventListener("close", forgetSecrets);
element("roll-back").addEventListener("submit", async (event) => {
  event.preventDefault();
  const credentials = parsed(element("credentials").value);
  if (!credentials) return complain(text("roll.unreadable"));
  const to = Number(element("to").value);
  element("confirm").disabled = true;
  try {
    const response = await ask("/v1/roll-back", {
      method: "POST",
      key: element("admin-key").value.trim(),
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        expected: head.number, to: to === registry.before ? null : to, why: element("why").value.trim(), credentials,
      }),
    });
    const move = await response.json();
    element("dialog").close();
    element("done").textContent = text("roll.done", { channel: move.channel, version: move.version, entry: move.number });
    element("done").hidden = false;
    await read();
  } catch (error) {
    complain(...refusal(error));
  } finally {
    element("confirm").disabled = false;
  }
});

function refusal(error) {
  if (!(error instanceof Refused) || error.name !== "unauthorized") return explain(error);
  return [text("roll.key-refused")];
}

function complain(...words) {
  element("dialog-message").replaceChildren(...words);
  element("dialog-message").hidden = false;
}

/* As `aws configure export-credentials` prints them. */
function parsed(output) {
  try {
    const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(output);
    if (!AccessKeyId || !SecretAccessKey) return null;
    return { access_key_id: AccessKeyId, secret_access_key: SecretAccessKey, session_token: SessionToken ?? null };
  } catch {
    return null;
  }
}

function forgetSecrets() {
  element("roll-back").reset();
}
