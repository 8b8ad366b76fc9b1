import { ask, element, make, start, table as plainTable, text } from "./common.js";

let drawn = null;

start(async () => {
  drawn ??= (await ask("/openapi.json", { key: null })).json();
  write(await drawn);
});

function resolve(node, api) {
  if (!node?.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((place, name) => place[name], api);
}

function table(heads, rows, label) {
  return plainTable(heads.map((name) => text(`docs.${name}`)), rows.map(([first, ...rest]) => [
    make("code", "", String(first)), ...rest.map(prose),
  ]), label);
}

/* Words of the document, in which `names` stand between backticks. */
function prose(words) {
  return make("span", "", ...String(words).split("`").map((part, place) => (place % 2 ? make("code", "", part) : part)));
}

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.format === "binary") return "bytes";
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.enum) return "string";
  if (schema.type === "array") return `list of ${kind(schema.items) || "anything"}`;
  if (schema.additionalProperties) return `object of ${kind(schema.additionalProperties)}`;
  return schema.type ?? "anything";
}

function fields(schema, api) {
  const shape = resolve(schema, api);
  if (!shape?.properties) return null;
  const rows = Object.entries(shape.properties).map(([name, field]) => {
    const optional = shape.required?.includes(name) ? "" : " (optional)";
    return [name, kind(field) + optional, field.description ?? ""];
  });
  return table(["member", "type", "meaning"], rows, name(schema));
}

const name = (schema) => schema.$ref?.split("/").at(-1) ?? text("docs.member");

function section(title, ...content) {
  const heading = make("h3", "", title);
  heading.lang = document.documentElement.lang;
  return [heading, ...content];
}

function operation(path, method, detail, api) {
  const box = make("details", "operation");
  const summary = make("summary");
  summary.append(make("span", "method", method.toUpperCase()), make("code", "path", path), make("span", "quiet", detail.summary));
  box.append(summary);
  if (detail["x-example"]) {
    const example = make("pre", "", detail["x-example"].replace("{origin}", location.origin));
    example.tabIndex = 0;
    box.append(...section(text("docs.example"), example));
  }
  if (detail.parameters) {
    const rows = detail.parameters.map((item) => [item.name, `${kind(item.schema)}, in ${item.in}`, item.description ?? ""]);
    box.append(...section(text("docs.parameters"), table(["name", "type", "meaning"], rows, text("docs.parameters"))));
  }
  if (detail.requestBody) {
    const contents = Object.entries(detail.requestBody.content);
    box.append(...section(text("docs.body"), table(["content-type", "type"], contents.map(([type, item]) => [type, kind(item.schema)]), text("docs.body"))));
    for (const [, item] of contents) {
      const members = item.schema.$ref && fields(item.schema, api);
      if (members) box.append(members);
    }
  }
  if (detail.security) {
    const ways = Object.values(api.components.securitySchemes).map((way) => [
      way.scheme === "bearer" ? "Authorization: Bearer pp_…" : `${way.name}: pp_…`, way.description,
    ]);
    box.append(...section(text("app.key"), table(["header", "meaning"], ways, text("app.key"))));
  }
  const answers = Object.entries(detail.responses).map(([status, item]) => [status, resolve(item, api).description]);
  box.append(...section(text("docs.answers"), table(["status", "meaning"], answers, text("docs.answers"))));
  const members = fields(Object.values(resolve(detail.responses["200"], api).content ?? {})[0]?.schema, api);
  if (members) box.append(members);
  return box;
}

function write(api) {
  element("description").textContent = api.info.description;
  element("example").textContent = api.paths["/v1/classify"].post["x-example"].replace("{origin}", location.origin);
  element("operations").replaceChildren(...api.tags.map((tag) => {
    const card = make("section", "card", make("h2", "", tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const [method, detail] of Object.entries(item)) {
        if (detail.tags.includes(tag.name)) card.append(operation(path, method, detail, api));
      }
    }
    return card;
  }));
  element("operations").querySelector("details").open = true;
  element("operations").removeAttribute("aria-busy");
  element("limits").replaceChildren(table(["limit", "value", "beyond"], api.info["x-limits"].map((row) => [row.limit, row.value, row.beyond]), text("docs.limits")));
  element("problems").replaceChildren(...Object.entries(api.components.responses).map(([kind, problem]) => {
    const row = make("tr", "", make("td", "", String(problem["x-status"])), make("td", "", make("code", "", kind)));
    row.append(make("td", "", problem.description));
    row.id = kind;
    return row;
  }));
  if (location.hash) element(location.hash.slice(1))?.scrollIntoView();
}
