"use strict";

// Shows the OpenAPI document: operations with parameters, bodies and answers, then schemas. Text becomes text, never HTML.

const METHODS = ["get", "post", "put", "delete"];
let whole;

/** Creates an element with a class, from texts and elements. */
function element(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** Creates a sentence. Text between backquotes becomes `code`. */
function prose(text, kind) {
  const parts = (text ?? "").split("`").map((part, place) => (place % 2 ? element("code", "", part) : part));
  return element("p", kind, ...parts);
}

function paragraphs(text) {
  return (text ?? "").split("\n\n").map((part) => prose(part));
}

function resolved(thing) {
  if (!thing?.$ref) return thing;
  return thing.$ref.slice(2).split("/").reduce((place, step) => place[step], whole);
}

/** Describes in a line what a schema allows. Other schemas become links. */
function brief(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = element("a", "", name);
    link.href = `#schema-${name}`;
    return [link];
  }
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return several.flatMap((one, place) => (place ? [" or ", ...brief(one)] : brief(one)));
  if (schema.items) return ["list of ", ...brief(schema.items), ...limits(schema)];
  if (schema.enum) {
    return schema.enum.flatMap((value, place) => [place ? ", " : "", element("code", "", value === "" ? '""' : `${value}`)]);
  }
  return [[schema.type ?? "anything"].flat().join(" or "), ...limits(schema)];
}

function limits({ minimum, maximum, minItems, maxItems, format }) {
  const from = minimum ?? minItems;
  const to = maximum ?? maxItems;
  const range = from === undefined ? "" : to === undefined ? `, at least ${from}` : `, ${from} to ${to}`;
  return [format && format !== "int64" ? ` (${format})${range}` : range];
}

/** One name of a list, with its possible values and its meaning. */
function entry(name, schema, required, description) {
  const by = schema.default === undefined ? "" : `, by default ${JSON.stringify(schema.default)}`;
  const type = element("span", "type", " ", ...brief(schema), by, required ? ", required" : "");
  const said = description ?? schema.description ?? schema.oneOf?.map((one) => one.description).find(Boolean);
  const term = element("dt", "", element("code", "", name), type);
  return said ? [term, element("dd", "", prose(said))] : [term];
}

function fields(schema) {
  return (schema.allOf ?? [schema]).flatMap((part) => {
    if (part.anyOf) return [element("dt", "", "and ", ...conditions(part.anyOf))];
    const required = new Set(part.required);
    return Object.entries(part.properties ?? {}).flatMap(([name, field]) => entry(name, field, required.has(name)));
  });
}

/** Alternatives, one of which must hold: each requires fields, some with certain values. */
function conditions(alternatives) {
  return alternatives.flatMap((one, place) => {
    const names = one.required.flatMap((name) => {
      const values = one.properties[name].enum;
      return [element("code", "", name), values ? ` one of ${values.join(", ")}` : " given"];
    });
    return place ? [", or ", ...names] : names;
  });
}

function example(value) {
  return element("pre", "", typeof value === "string" ? value : JSON.stringify(value, null, 2));
}

/** Every media type of a body, with its schema. */
function bodies(content) {
  return Object.entries(content ?? {}).map(([media, { schema }]) => {
    return element("p", "", element("code", "", media), " ", element("span", "type", ...brief(schema)));
  });
}

/** A value that a parameter may have. */
function sample(schema) {
  const known = resolved(schema);
  return known.items ? sample(known.items) : known.enum?.[0] ?? known.minimum ?? "";
}

/** The path with a value in each place, and with the parameters that a request needs. */
function filled(path, operation) {
  const required = (operation.parameters ?? []).filter((parameter) => parameter.required);
  const query = required.filter((parameter) => parameter.in === "query");
  const pairs = query.map(({ name, schema }) => `${name}=${sample(schema)}`);
  const places = required.filter((parameter) => parameter.in === "path");
  const named = places.reduce((made, { name, schema }) => made.replace(`{${name}}`, sample(schema)), path);
  return pairs.length ? `${named}?${pairs.join("&")}` : named;
}

function curl(method, path, operation) {
  const root = new URL("../..", location.href).href.slice(0, -1);
  const url = `${root}${filled(path, operation)}`;
  const json = operation.requestBody?.content["application/json"].example;
  if (!json) return `curl -s ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${url}'`;
  return `curl -s -H 'Content-Type: application/json' --data '${JSON.stringify(json)}' '${url}'`;
}

function responses(operation) {
  return Object.entries(operation.responses).flatMap(([status, reference]) => {
    const response = resolved(reference);
    const headers = Object.entries(response.headers ?? {}).map(([name, { description }]) => {
      return element("p", "note", element("code", "", name), ` ${description}`);
    });
    const said = element("dd", "", prose(response.description), ...bodies(response.content), ...headers);
    return [element("dt", "", element("code", "", status)), said];
  });
}

function operation(method, path, described) {
  const scopes = (described.security ?? []).flatMap((way) => Object.values(way).flat());
  const parameters = (described.parameters ?? []).flatMap((parameter) => {
    const { name, schema, required, description } = parameter;
    return entry(parameter.in === "query" ? name : `${name} (${parameter.in})`, schema, required, description);
  });
  const title = element("summary", "", element("span", `method ${method}`, method.toUpperCase()), " ",
    element("code", "", path), ` ${described.summary}`);
  const parts = [
    ...paragraphs(described.description),
    scopes.length ? prose(`Needs the scope \`${scopes[0]}\` where the server has tokens.`, "note") : null,
    example(curl(method, path, described)),
    ...(parameters.length ? [element("h3", "", "Parameters"), element("dl", "", ...parameters)] : []),
    ...(described.requestBody ? [element("h3", "", "Body"), ...bodies(described.requestBody.content)] : []),
    element("h3", "", "Answers"),
    element("dl", "", ...responses(described)),
  ];
  const made = element("details", "", title, element("div", "body", ...parts));
  made.id = described.operationId;
  return made;
}

function schema(name, described) {
  const listed = fields(described);
  const parts = [prose(described.description ?? described.allOf?.[0].description)];
  if (listed.length) parts.push(element("dl", "", ...listed));
  else parts.push(element("p", "type", ...brief(described)));
  if (described.examples) parts.push(example(described.examples[0]));
  const made = element("details", "", element("summary", "", element("code", "", name)), element("div", "body", ...parts));
  made.id = `schema-${name}`;
  return made;
}

/** Opens the part that the address names, even if it is a closed schema. */
function open() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named) return;
  named.open = true;
  named.scrollIntoView();
}

async function show() {
  const place = document.getElementById("document");
  try {
    whole = await (await fetch("../openapi.json")).json();
    const all = Object.entries(whole.paths).flatMap(([path, item]) => {
      return METHODS.filter((method) => item[method]).map((method) => [method, path, item[method]]);
    });
    const tags = whole.tags.map(({ name, description }) => {
      const tagged = all.filter(([, , described]) => described.tags.includes(name));
      return element("section", "", element("h2", "", name), prose(description), ...tagged.map((one) => operation(...one)));
    });
    const tokens = Object.values(whole.components.securitySchemes).map(({ description }) => prose(description));
    const schemas = Object.entries(whole.components.schemas).map((one) => schema(...one));
    place.replaceChildren(
      ...paragraphs(whole.info.description),
      ...tags,
      element("section", "", element("h2", "", "tokens"), ...tokens),
      element("section", "", element("h2", "", "schemas"), ...schemas),
    );
    open();
  } catch (error) {
    place.replaceChildren(prose(`The document could not be read: ${error.message}`));
  }
}

addEventListener("hashchange", open);
show();
