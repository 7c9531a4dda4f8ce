// A first look: asks the API with the key that was given and shows what it says.
//
//     /#key=nc_…&product=crm ─▶ products ─▶ overview, hotspots, flows, incidents ─▶ tables
//
// The fragment is never sent to a server; once read it is taken out of the address.

"use strict";

const at = (id) => document.getElementById(id);
const fragment = new URLSearchParams(location.hash.slice(1));

class Problem extends Error {}

async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined);
  const answer = await fetch(`${path}?${new URLSearchParams(given)}`, {
    headers: { authorization: `Bearer ${at("key").value.trim()}` },
  });
  const body = await answer.json();
  if (!answer.ok) throw new Problem(`${body.detail} – ${body.mend}`);
  return body;
}

// Every action says what it does, and what went wrong.
async function attempt(doing, action) {
  const status = at("status");
  status.className = "";
  status.textContent = doing;
  try {
    status.textContent = (await action()) ?? "";
  } catch (error) {
    status.className = "wrong";
    status.textContent = error instanceof Problem ? error.message : "The server did not answer. Is it still running?";
  }
}

async function listProducts() {
  const { items } = await ask("/v1/insights/products", { limit: 1000 });
  const wanted = at("product").value;
  const options = items.map(({ productId }) => new Option(productId, productId));
  at("product").replaceChildren(...options);
  at("product").disabled = items.length === 0;
  const chosen = [wanted, fragment.get("product")].find((id) => items.some((item) => item.productId === id));
  if (chosen) at("product").value = chosen;
  return items.length > 0;
}

async function look() {
  if (!(await listProducts())) {
    at("answers").hidden = true;
    return "This key has no sessions yet. Make some with `netcrab run`.";
  }
  const question = { productId: at("product").value, from: at("from").value, to: at("to").value };
  const [overview, hotspots, flows, incidents] = await Promise.all([
    ask("/v1/insights/overview", question),
    ask("/v1/insights/hotspots", { ...question, limit: 10 }),
    ask("/v1/flows/top", { ...question, limit: 10 }),
    ask("/v1/insights/incidents", { ...question, limit: 10 }),
  ]);
  at("from").value = overview.from;
  at("to").value = overview.to;
  showOverview(overview);
  fill("hotspots", hotspots.items.map(hotspotCells));
  fill("flows", flows.items.map(flowCells));
  fill("incidents", incidents.items.map(incidentCells));
  at("story").hidden = true;
  at("answers").hidden = false;
  return `${overview.productId}, ${overview.from} to ${overview.to}, compared with ${overview.previous.from} to ${overview.previous.to}.`;
}

const score = (value) => (value === null ? "–" : value.toFixed(3));
const whole = (value) => value.toLocaleString("en");
const time = (instant) => instant.slice(0, 19).replace("T", " ");

function change(value) {
  if (value === null) return "nothing to compare with";
  const percent = Math.abs(value * 100).toFixed(1);
  return value === 0 ? "as before" : `${value > 0 ? "▲" : "▼"} ${percent} % against the days before`;
}

function showOverview({ frictionIndex, efficiencyScore, sessions, change: changes, daily }) {
  at("friction").textContent = score(frictionIndex);
  at("efficiency").textContent = score(efficiencyScore);
  at("sessions").textContent = whole(sessions);
  at("friction-change").textContent = change(changes.frictionIndex);
  at("efficiency-change").textContent = change(changes.efficiencyScore);
  at("sessions-change").textContent = change(changes.sessions);
  line("friction-line", "Friction by day", daily.map((day) => day.frictionIndex));
  line("efficiency-line", "Efficiency by day", daily.map((day) => day.efficiencyScore));
  line("sessions-line", "Sessions by day", daily.map((day) => day.sessions));
}

// A day without a value is a gap, not a zero.
function line(id, label, values) {
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (index) => (values.length > 1 ? (index * 100) / (values.length - 1) : 50);
  const y = (value) => (high > low ? 28 - ((value - low) * 26) / (high - low) : 15);
  const svg = at(id);
  svg.setAttribute("viewBox", "-2 0 104 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-label", known.length ? `${label}, from ${low} to ${high}` : `${label}: none`);
  const pieces = [[]];
  values.forEach((value, index) => {
    if (value === null) pieces.push([]);
    else pieces.at(-1).push(`${x(index)},${y(value)}`);
  });
  svg.replaceChildren(...pieces.filter((piece) => piece.length).map((piece) => drawn(piece, svg)));
}

function drawn(points, svg) {
  // A single day is drawn as a short stroke.
  const [x, y] = points[0].split(",").map(Number);
  const stroke = document.createElementNS(svg.namespaceURI, "polyline");
  stroke.setAttribute("points", points.length > 1 ? points.join(" ") : `${x - 1},${y} ${x + 1},${y}`);
  return stroke;
}

function fill(id, rows) {
  const none = [cell("nothing in these days")];
  at(id).replaceChildren(...(rows.length ? rows : [none]).map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  }));
}

function cell(content, className = "") {
  const td = document.createElement("td");
  td.className = className;
  td.append(...[content].flat());
  return td;
}

const number = (value) => cell(whole(value), "number");

function friction(value) {
  if (value === null) return cell("–");
  const meter = document.createElement("meter");
  meter.className = "bar";
  meter.value = value;
  meter.setAttribute("aria-hidden", "true");
  return cell([meter, score(value)], "number");
}

function hotspotCells(hotspot) {
  const trend = { up: "▲ worse", down: "▼ better", flat: "– steady" }[hotspot.trend];
  const counts = ["rageClicks", "deadClicks", "errorClicks", "backtracks", "dropoffs"].map((name) => number(hotspot[name]));
  const screen = cell(hotspot.screenId);
  screen.title = hotspot.route;
  return [screen, friction(hotspot.friction), cell(trend), number(hotspot.impactSessions), ...counts];
}

function flowCells(flow) {
  return [
    cell(flow.fromScreen ?? "(comes in)"),
    cell(flow.toScreen ?? "(leaves)"),
    number(flow.moves),
    number(flow.sessions),
    friction(flow.friction),
  ];
}

const kinds = {
  rage_click: "clicked again and again",
  dead_click: "clicked and nothing happened",
  error_click: "clicked and met an error",
  backtrack: "went straight back",
  abandoned_task: "gave up a task",
};

function incidentCells(incident) {
  const open = document.createElement("button");
  open.type = "button";
  open.className = "link";
  open.textContent = incident.sessionKey.slice(0, 8);
  open.setAttribute("aria-label", `Show session ${incident.sessionKey}`);
  open.addEventListener("click", () => attempt("Opening the session …", () => tell(incident)));
  return [cell(time(incident.startedAt)), cell(kinds[incident.kind] ?? incident.kind), cell(incident.screenId), cell(open)];
}

async function tell({ sessionKey, date }) {
  const path = `/v1/insights/sessions/${encodeURIComponent(sessionKey)}`;
  const story = await ask(path, { from: date, to: date, limit: 200 });
  const beginsAt = new Map();
  for (const { kind, evidence } of story.incidents) {
    beginsAt.set(evidence[0], [...(beginsAt.get(evidence[0]) ?? []), kinds[kind] ?? kind]);
  }
  fill("timeline", story.events.map((event) => [
    cell(time(event.ts)),
    cell(event.eventName ?? event.eventType.replace("_", " ")),
    cell(event.screenId),
    cell((beginsAt.get(event.eventId) ?? []).join(", ")),
  ]));
  story.events.forEach((event, index) => {
    if (beginsAt.has(event.eventId)) at("timeline").rows[index].className = "incident";
  });
  at("more").textContent = story.nextCursor ? "The first 200 events; the API has the rest." : "";
  at("story").hidden = false;
  at("story").querySelector("h2").focus();
}

at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt("Looking …", look);
});
at("key").addEventListener("change", () => attempt("Looking …", look));
at("product").addEventListener("change", () => {
  at("from").value = at("to").value = "";
  attempt("Looking …", look);
});

if (fragment.has("key")) {
  at("key").value = fragment.get("key");
  history.replaceState(null, "", location.pathname);
  attempt("Looking …", look);
}
