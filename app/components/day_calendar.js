// A square a day in groups of seven. One square is in the tab order; arrow keys walk from there: left and right a day, up and
// down a row of what is drawn, Home and End to the first and last day. Enter, space or a click opens a day that has come.

const LONG_DAYS = 120; // smaller squares from here on: a year fits above the day's page
const RETURN_MS = 5_000;

// Kept over the rerun that an opened day causes, which mounts the component anew: whoever walks by keyboard stays there.
const page = (window.onehourCalendar ??= { opened: null });

const made = (tag, className, text = "") => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};

function square(day, data) {
  const button = made("button", `day ${day.mark}${day.late ? " late" : ""}`);
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.date = day.date;
  button.title = day.says;
  button.setAttribute("aria-label", day.says);
  if (day.ahead) button.setAttribute("aria-disabled", "true");
  if (day.date === data.today) button.setAttribute("aria-current", "date");
  if (day.date === data.chosen) button.setAttribute("aria-pressed", "true");
  return button;
}

function weeks(data) {
  const groups = [];
  for (const [place, day] of data.days.entries()) {
    if (place % 7 === 0) {
      const group = made("div", "week");
      const number = made("span", "number", day.number);
      number.setAttribute("aria-hidden", "true");
      group.append(number);
      groups.push(group);
    }
    groups.at(-1).append(square(day, data));
  }
  return groups;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".weeks");
  const said = parentElement.querySelector(".said");
  const leaving = new AbortController();
  const on = (kind, act, target = box) => target.addEventListener(kind, act, { signal: leaving.signal });

  box.replaceChildren(...weeks(data));
  box.classList.toggle("long", data.days.length > LONG_DAYS);
  const squares = [...box.querySelectorAll(".day")];
  const of = (date) => squares.find((each) => each.dataset.date === date);
  let stop = of(data.chosen) ?? of(data.today) ?? squares[0];
  stop.tabIndex = 0;

  const walk = (button) => {
    if (!button) return;
    stop.tabIndex = -1;
    stop = button;
    stop.tabIndex = 0;
    stop.focus();
  };

  // The nearest square in the row above (-1) or below (1), wherever the width of the page breaks the rows.
  const inNextRow = (from, direction) => {
    const here = from.getBoundingClientRect();
    const distance = (place) => Math.round((place.top - here.top) * direction);
    const beyond = squares.map((each) => [each, each.getBoundingClientRect()]).filter(([, place]) => distance(place) > 0);
    const row = Math.min(...beyond.map(([, place]) => distance(place)));
    const inRow = beyond.filter(([, place]) => distance(place) === row);
    inRow.sort(([, one], [, other]) => Math.abs(one.left - here.left) - Math.abs(other.left - here.left));
    return inRow[0]?.[0];
  };
  const targets = {
    ArrowLeft: (at) => squares[squares.indexOf(at) - 1],
    ArrowRight: (at) => squares[squares.indexOf(at) + 1],
    ArrowUp: (at) => inNextRow(at, -1),
    ArrowDown: (at) => inNextRow(at, 1),
    Home: () => squares[0],
    End: () => squares.at(-1),
  };

  // The line below says the day under pointer or focus; otherwise what the marks mean and how many there are.
  const tell = (event) => {
    const button = event.target.closest(".day");
    if (button) said.textContent = button.title;
  };
  const legend = () => said.replaceChildren(...data.legend.map(([mark, words]) => {
    const entry = made("span", "entry");
    entry.append(made("span", mark === "late" ? "dot" : `day ${mark}`), words);
    return entry;
  }));

  on("keydown", (event) => {
    const button = event.target.closest(".day");
    if (!button || !Object.hasOwn(targets, event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page turns its leaves by the same keys
    walk(targets[event.key](button));
  });
  on("click", (event) => {
    const button = event.target.closest(".day");
    if (!button) return;
    walk(button);
    if (button.getAttribute("aria-disabled") === "true") return;
    page.opened = { date: button.dataset.date, at: Date.now() };
    setTriggerValue("day", button.dataset.date);
  });
  on("focusin", tell);
  on("pointerover", tell);
  on("focusout", (event) => {
    if (event.relatedTarget) page.opened = null;
    legend();
  });
  on("pointerleave", legend);
  legend();

  box.scrollTop = Math.max(0, stop.offsetTop - box.clientHeight / 2);
  if (page.opened && Date.now() - page.opened.at < RETURN_MS) of(page.opened.date)?.focus();
  return () => leaving.abort();
}
