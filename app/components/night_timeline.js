// Lanes of bars over 24 hours. Nothing moves: the server draws it anew when something has changed.

const made = (tag, className, text = "") => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};
const percent = (share) => `${100 * share}%`;
// A shape beside each state, so that no colour is needed.
const SHAPES = { running: "●", starting: "◔", stopping: "◌", queued: "○" };

function barOf(bar) {
  const link = made("a", `bar ${bar.state}${bar.late ? " late" : ""}`);
  link.href = `/runs?run=${encodeURIComponent(bar.run)}`;
  link.target = "_self";
  link.title = bar.says;
  link.setAttribute("aria-label", bar.says);
  link.style.left = percent(bar.from);
  link.style.width = percent(Math.max(bar.to - bar.from, 0.004));
  link.append(made("span", "label", `${SHAPES[bar.state] ?? "○"} ${bar.run}${bar.restarts ? ` ↻${bar.restarts}` : ""}`));
  return link;
}

function spreadOf(bar) {
  const spread = made("span", "spread");
  spread.setAttribute("aria-hidden", "true");
  spread.style.left = percent(bar.to);
  spread.style.width = percent(Math.max(0, bar.longest - bar.to));
  return spread;
}

function laneOf(lane) {
  const row = made("div", "lane");
  const name = made("span", "name", lane.name);
  if (!lane.works && lane.bars.length) name.append(made("span", "idle", " not working"));
  const track = made("div", "track");
  track.setAttribute("role", "list");
  track.setAttribute("aria-label", `${lane.name}, the coming 24 hours`);
  for (const bar of lane.bars) {
    const item = made("div", "item");
    item.setAttribute("role", "listitem");
    item.append(barOf(bar), spreadOf(bar));
    track.append(item);
  }
  if (!lane.bars.length) track.append(made("span", "free", "free"));
  row.append(name, track);
  return row;
}

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".night");
  const scale = made("div", "scale");
  scale.setAttribute("aria-hidden", "true");
  for (const [share, text] of data.ticks) {
    const tick = made("span", "tick", text);
    tick.style.left = percent(share);
    scale.append(tick);
  }
  const head = made("div", "lane");
  head.append(made("span", "name"), scale);
  box.replaceChildren(head, ...data.lanes.map(laneOf));
  if (data.hour !== null) {
    for (const track of box.querySelectorAll(".track")) {
      const hour = made("span", "hour");
      hour.style.left = percent(data.hour);
      hour.title = "your next hour";
      track.append(hour);
    }
    const said = made("span", "tick hour-tick", "your hour");
    said.style.left = percent(data.hour);
    if (data.hour > 0.9) said.classList.add("at-end");
    scale.append(said);
  }
}
