"use strict";

const element = (id) => document.getElementById(id);

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function resolve(node, api) {
  if (!node?.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((place, name) => place[name], api);
}

function table(heads, rows) {
  const scroll = make("div", "scroll");
  scroll.tabIndex = 0;
  const grid = make("table");
  const head = make("tr");
  for (const text of heads) {
    const cell = make("th", "", text);
    cell.scope = "col";
    head.append(cell);
  }
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  for (const cells of rows) {
    const row = make("tr");
    row.append(...cells.map((text, index) => {
      const cell = make("td");
      cell.append(index === 0 ? make("code", "", String(text)) : String(text));
      return cell;
    }));
    body.append(row);
  }
  grid.append(top, body);
  scroll.append(grid);
  return scroll;
}

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.format === "binary") return "bytes";
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
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
  return table(["Member", "Type", "Meaning"], rows);
}

function section(title, ...content) {
  return [make("h3", "", title), ...content];
}

function operation(path, method, detail, api) {
  const box = make("details", "operation");
  const summary = make("summary");
  summary.append(make("span", "method", method.toUpperCase()), make("code", "path", path), make("span", "quiet", detail.summary));
  box.append(summary);
  if (detail["x-example"]) {
    const example = make("pre", "", detail["x-example"].replace("{origin}", location.origin));
    example.tabIndex = 0;
    box.append(...section("Example", example));
  }
  if (detail.parameters) {
    const rows = detail.parameters.map((item) => [item.name, `${kind(item.schema)}, in ${item.in}`, item.description ?? ""]);
    box.append(...section("Parameters", table(["Name", "Type", "Meaning"], rows)));
  }
  if (detail.requestBody) {
    const contents = Object.entries(detail.requestBody.content);
    box.append(...section("Body", table(["Content-Type", "Type"], contents.map(([type, item]) => [type, kind(item.schema)]))));
    for (const [, item] of contents) {
      const members = item.schema.$ref && fields(item.schema, api);
      if (members) box.append(members);
    }
  }
  if (detail.security) {
    const ways = Object.values(api.components.securitySchemes).map((way) => [
      way.scheme === "bearer" ? "Authorization: Bearer pp_…" : `${way.name}: pp_…`, way.description,
    ]);
    box.append(...section("API key", table(["Header", "Meaning"], ways)));
  }
  const answers = Object.entries(detail.responses).map(([status, item]) => [status, resolve(item, api).description]);
  box.append(...section("Answers", table(["Status", "Meaning"], answers)));
  const members = fields(Object.values(resolve(detail.responses["200"], api).content ?? {})[0]?.schema, api);
  if (members) box.append(members);
  return box;
}

async function main() {
  const response = await fetch("/openapi.json");
  const api = await response.json();
  element("description").textContent = api.info.description;
  element("example").textContent = api.paths["/v1/classify"].post["x-example"].replace("{origin}", location.origin);
  for (const tag of api.tags) {
    const card = make("section", "card");
    card.append(make("h2", "", tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const [method, detail] of Object.entries(item)) {
        if (detail.tags.includes(tag.name)) card.append(operation(path, method, detail, api));
      }
    }
    element("operations").append(card);
  }
  element("operations").querySelector("details").open = true;
  element("operations").removeAttribute("aria-busy");
  element("limits").replaceWith(table(["Limit", "Value"], Object.entries(api.info["x-limits"])));
  for (const [name, problem] of Object.entries(api.components.responses)) {
    const row = make("tr");
    row.id = name;
    row.append(make("td", "", String(problem["x-status"])));
    const cell = make("td");
    cell.append(make("code", "", name));
    row.append(cell, make("td", "", problem.description));
    element("problems").append(row);
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

main();
