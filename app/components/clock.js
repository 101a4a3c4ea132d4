// The clock shows deadline − now and never counts by itself, so that a sleeping or frozen tab is right again at its next tick.
// `now` is the server's: this browser's clock plus `skew`, corrected whenever the server is asked.

const WARN_MS = 5 * 60_000;
const SYNC_MS = 15_000;

// Streamlit opens each link of Markdown in a new tab; those to our own pages open where they stand.
if (!window.onehourClock) {
  new MutationObserver(writeOn).observe(document.body, { childList: true });
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest("[data-testid=stDialog]")) page.focused = event.composedPath()[0];
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[target=_blank]");
    if (link && link.origin === location.origin) link.target = "_self";
  }, true);
}

// One state a page, kept over reruns of the script: each rerun mounts the component anew.
const page = (window.onehourClock ??= { skew: null, announced: null, ticker: startTicker(), audio: null, before: null, token: null, silent: false, focused: null, interrupted: null });

// Browsers let a page sound only after a gesture of the person.
const wake = () => { page.audio ??= new AudioContext(); };
if (navigator.userActivation?.hasBeenActive) wake(); // the hour was started before this script was there
for (const gesture of ["pointerdown", "keydown"]) {
  window.addEventListener(gesture, wake, { once: true });
}

// Without a server Streamlit lays a box over the page and takes the focus away from whoever is writing. It is closed at once and
// the focus given back; the clock says that no server answers.
function writeOn() {
  const title = [...document.querySelectorAll("[data-testid=stDialog] h2")].find(({ textContent }) => textContent === "Connection error");
  if (title) {
    page.interrupted ??= page.focused;
    page.silent = true;
    title.parentElement.querySelector("button[aria-label=Close]")?.click();
    document.getElementById("root").inert = false;
  }
  page.interrupted?.focus();
  if (!title) page.interrupted = null;
}

// Of all open tabs only one acts: the lock is held until the others have come to the same moment.
function once(name, act) {
  if (!navigator.locks) return act(); // not on an address without encryption
  navigator.locks.request(name, { ifAvailable: true }, (lock) => {
    if (!lock) return;
    act();
    return new Promise((release) => setTimeout(release, 60_000));
  });
}

function signal(sentence, moment) {
  const name = `onehour ${moment} ${sentence}`;
  if (window.Notification?.permission === "granted") once(`${name} shown`, () => new Notification(sentence, { tag: name }));
  if (page.audio?.state === "running") once(`${name} heard`, () => sound(page.audio));
}

function sound(audio) {
  const [tone, volume, now] = [audio.createOscillator(), audio.createGain(), audio.currentTime];
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.15, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.6);
  tone.connect(volume).connect(audio.destination);
  tone.start(now);
  tone.stop(now + 0.6);
}

// A hidden tab's timers may be slowed down to one tick a minute; a worker's are not, and the title must stay right.
function startTicker() {
  return new Worker(URL.createObjectURL(new Blob(["setInterval(() => postMessage(0), 250)"])));
}

function digits(ms) {
  const seconds = Math.ceil(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".clock");
  const channel = new BroadcastChannel("onehour-clock");
  page.skew ??= data.now - Date.now();
  let asking = false;
  let outOfDate = false;
  page.silent = false; // what mounts this comes from the server
  page.token = data.token; // the mount before this one may still be asking: it must not take its own page for out of date

  const left = () => (data.ends_at === null ? data.left : Math.max(0, data.ends_at - (Date.now() + page.skew)));
  const write = (selector, text) => {
    const element = box.querySelector(selector);
    if (element.textContent !== text) element.textContent = text;
  };

  const tick = () => {
    const rest = left();
    const warn = data.state === "focus" && rest <= WARN_MS;
    box.className = `clock ${data.state}${warn ? " warn" : ""}`;
    write(".left", digits(rest));
    const words = warn ? "left: the last five minutes" : data.words;
    write(".words", page.silent ? `${words} · the server does not answer` : words);
    const title = { focus: `${digits(rest)} · Onehour`, paused: `Paused ${digits(rest)} · Onehour`, reflection: `Reflection ${digits(rest)} · Onehour` };
    const wanted = title[data.state] ?? "Onehour";
    if (document.title !== wanted) document.title = wanted;
    // Only what happens while this page watches: one that is opened later stays silent.
    const before = page.before?.ends_at === data.ends_at ? page.before.rest : rest;
    page.before = { ends_at: data.ends_at, rest };
    if (data.state === "focus" && before > WARN_MS && rest <= WARN_MS) signal("Five minutes of your hour are left", data.ends_at);
    if (data.state === "focus" && before > 0 && rest === 0) signal("Your hour is over", data.ends_at);
    const turned = data.turns_at !== null && Date.now() + page.skew >= data.turns_at;
    if (turned || (data.ends_at !== null && rest === 0)) sync();
  };

  const alerts = box.querySelector(".alerts");
  const offerAlerts = () => { alerts.hidden = data.state === "closed" || window.Notification?.permission !== "default"; };
  alerts.onclick = () => Notification.requestPermission().then(offerAlerts);
  offerAlerts();

  // Ask the server for the time, and for one rerun of the page when the hour is not what this page shows.
  const sync = async () => {
    if (asking || outOfDate) return;
    asking = true;
    try {
      const asked = Date.now();
      const response = await fetch("api/clock", { cache: "no-store" });
      page.silent = false;
      if (!response.ok) return;
      const reading = await response.json();
      page.skew = reading.now - (asked + Date.now()) / 2;
      outOfDate = reading.token !== page.token;
      if (outOfDate) setTriggerValue("changed", reading.token);
    } catch {
      page.silent = true; // the deadline is known, so the clock goes on
    } finally {
      asking = false;
    }
  };

  const seen = () => document.hidden || sync();
  channel.onmessage = sync;
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("focus", seen);
  const syncing = setInterval(sync, SYNC_MS);
  page.ticker.onmessage = tick;
  if (page.announced !== data.token) {
    page.announced = data.token;
    channel.postMessage(data.token);
  }
  tick();

  return () => {
    clearInterval(syncing);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("focus", seen);
    channel.close();
  };
}
