// A note is never lost: each keystroke goes to localStorage, a moment later to the journal, and what a tab could not send
// when it was closed is found in localStorage at the next visit. A save names the revision it was written on; when another
// one stands in the journal, both texts are shown and a person decides.

const SAVE_AFTER_MS = 700;
const RETRY_AFTER_MS = 5_000;

// Kept over reruns of the script, which mount the component anew: one draft a note.
const drafts = (window.onehourDrafts ??= new Map());

class Draft {
  constructor(key, data) {
    this.key = key;
    this.note = data.note == null ? { day: data.day } : { note: data.note };
    Object.assign(this, { text: data.body, revision: data.revision, dirty: false, sent: null, unkept: "" });
    Object.assign(this, { busy: false, timer: null, composing: false, conflict: null, said: "", wrong: false });
    Object.assign(this, { writer: crypto.randomUUID(), show: () => {}, announce: () => {} });
    this.pictureBytes = data.picture_bytes;
    this.channel = new BroadcastChannel(key);
    this.channel.onmessage = (event) => {
      this.adopt(event.data.revision, event.data.text);
      this.show();
    };
    const kept = this.kept();
    if (kept && kept.text !== data.body) {
      Object.assign(this, kept, { dirty: true, said: "Found unsaved words in this browser" });
    } else if (kept) localStorage.removeItem(key); // they arrived as the page was left
  }

  // What the page knows of the journal may be older or newer than this draft.
  adopt(revision, body) {
    if (this.dirty || revision <= this.revision) return;
    Object.assign(this, { revision, text: body, said: "Updated from another tab" });
  }

  type(text) {
    Object.assign(this, { text, dirty: true, said: "…", wrong: false });
    this.keep();
    this.saveLater(SAVE_AFTER_MS);
  }

  kept() {
    return JSON.parse(localStorage.getItem(this.key) ?? "null");
  }

  keep() {
    const { text, revision, sent, writer } = this;
    if (this.dirty) this.store(JSON.stringify({ text, revision, sent, writer }));
    else if (this.kept()?.writer === writer) localStorage.removeItem(this.key); // another tab's words are not ours to remove
  }

  // A full storage must not keep the words from the journal.
  store(words) {
    try {
      localStorage.setItem(this.key, words);
      this.unkept = "";
    } catch {
      this.unkept = "This browser has no room to keep unsaved words: leave the page open until they are saved";
    }
  }

  // Not pushed back by further keystrokes: long typing is saved on the way.
  saveLater(ms) {
    this.timer ??= setTimeout(() => { this.timer = null; this.save(); }, ms);
  }

  body() {
    return JSON.stringify({ ...this.note, body: this.text, revision: this.revision, writer: this.writer });
  }

  async save() {
    if (!this.dirty || this.busy || this.composing || this.conflict) return;
    const text = this.text;
    const unanswered = this.sent;
    Object.assign(this, { busy: true, sent: text });
    this.keep();
    try {
      const headers = { "content-type": "application/json" };
      const response = await fetch("api/draft", { method: "POST", headers, body: this.body(), keepalive: text.length < 15_000 });
      const answer = await response.json();
      if (response.ok) this.saved(answer, text);
      else if (response.status === 409 && answer.body === text) {
        // These words arrived already, as the page was left or from another tab.
        Object.assign(this, { revision: answer.revision, sent: null, dirty: this.text !== text, said: "Saved", wrong: false });
        if (this.dirty) this.saveLater(SAVE_AFTER_MS);
      }
      else if (response.status === 409 && answer.body === unanswered) {
        // Ours: it arrived earlier, only the answer was lost.
        this.revision = answer.revision;
        this.saveLater(0);
      } else if (response.status === 409) Object.assign(this, { conflict: answer, said: "Changed elsewhere: choose below", wrong: true });
      else {
        Object.assign(this, { said: `${answer.error} Your text is kept in this browser.`, wrong: true });
        if (response.status >= 500) this.saveLater(RETRY_AFTER_MS);
      }
    } catch {
      Object.assign(this, { said: "The server does not answer: your text is kept in this browser", wrong: true });
      this.saveLater(RETRY_AFTER_MS);
    } finally {
      this.busy = false;
      this.keep();
      this.show();
    }
  }

  saved(answer, text) {
    Object.assign(this, { revision: answer.revision, sent: null, dirty: this.text !== text, wrong: false });
    this.said = `Saved ${new Date(answer.saved_at).toLocaleTimeString([], { hour12: false })}${answer.late ? ", flagged late" : ""}`;
    this.channel.postMessage({ revision: answer.revision, text });
    if (this.dirty) this.saveLater(SAVE_AFTER_MS);
    else this.announce(answer.revision);
  }

  decide(mine) {
    const { revision, body } = this.conflict;
    Object.assign(this, { conflict: null, revision, wrong: false });
    if (mine) this.saveLater(0);
    else Object.assign(this, { text: body, dirty: false, sent: null, said: "The other text was taken" });
    this.keep();
    this.show();
  }

  // The Markdown link of a kept picture; nothing, and the reason in `said`, when it was refused.
  async picture(file) {
    if (file.size > this.pictureBytes) {
      Object.assign(this, { said: `A picture holds at most ${this.pictureBytes / 1e6} MB`, wrong: true });
      return;
    }
    try {
      const where = this.note.day ? `api/image?day=${this.note.day}` : "api/image";
      const headers = { "content-type": file.type || "application/octet-stream" };
      const response = await fetch(where, { method: "POST", headers, body: file });
      const answer = await response.json();
      if (response.ok) return `![${file.name.replace(/[\[\]\\]/g, " ")}](/api/image/${answer.name})\n`;
      Object.assign(this, { said: answer.error, wrong: true });
    } catch {
      Object.assign(this, { said: "The server does not answer: the picture was not kept", wrong: true });
    }
  }

  leave() {
    this.composing = false;
    if (this.dirty && !this.conflict) navigator.sendBeacon("api/draft", new Blob([this.body()], { type: "application/json" }));
  }
}

// Save what other notes of this challenge could not save before the day turned or their page was left.
function rescue(data, shown) {
  const prefix = `onehour note ${data.challenge} `;
  for (const key of Object.keys(localStorage)) {
    if (!key.startsWith(prefix) || drafts.has(key)) continue;
    const name = key.slice(prefix.length);
    const note = name.startsWith("#") ? { note: Number(name.slice(1)) } : { day: name };
    drafts.set(key, new Draft(key, { ...note, body: null, revision: 0, picture_bytes: data.picture_bytes }));
  }
  for (const draft of drafts.values()) {
    if (draft === shown || !draft.key.startsWith(prefix)) continue;
    Object.assign(draft, { show: () => shown.show(), announce: () => {} });
    draft.save();
  }
}

// Words of other notes that the journal did not take: a person must look at them.
function stranded(shown) {
  const names = [...drafts.values()].filter((draft) => draft !== shown && draft.dirty && draft.wrong).map(({ note }) => note.day ?? `note ${note.note}`);
  return names.length ? `Unsaved words of ${names.join(", ")} are kept in this browser: open it on the Journal page` : "";
}

export default function ({ data, parentElement, setTriggerValue }) {
  const [area, other] = parentElement.querySelectorAll("textarea");
  const [status, conflict] = [parentElement.querySelector(".status"), parentElement.querySelector(".conflict")];
  const key = `onehour note ${data.challenge} ${data.day ?? `#${data.note}`}`;
  if (!drafts.has(key)) drafts.set(key, new Draft(key, data));
  const draft = drafts.get(key);
  // On a slow machine an earlier drawing may be mounted after a later one: the newest says what may be written.
  if (!(data.drawn_at < draft.drawing?.drawn_at)) draft.drawing = data;
  draft.announce = (revision) => setTriggerValue("saved", revision);
  draft.show = () => {
    if (area.value !== draft.text && !draft.composing) area.value = draft.text;
    area.readOnly = !draft.drawing.open;
    const unkept = draft.dirty ? draft.unkept : "";
    status.textContent = [draft.said, unkept, draft.drawing.says, stranded(draft)].filter(Boolean).join(" · ");
    status.classList.toggle("wrong", draft.wrong || Boolean(unkept));
    conflict.hidden = !draft.conflict;
    if (!draft.conflict) return;
    conflict.querySelector("p").textContent = `${draft.conflict.error} The other text:`;
    other.value = draft.conflict.body;
  };
  area.oninput = () => {
    draft.type(area.value);
    draft.show();
  };
  area.oncompositionstart = () => { draft.composing = true; };
  area.oncompositionend = () => {
    draft.composing = false;
    draft.type(area.value);
  };
  area.onblur = () => draft.save();
  area.onpaste = (event) => take(event, event.clipboardData);
  area.ondrop = (event) => take(event, event.dataTransfer);
  area.ondragover = (event) => { if (event.dataTransfer.types.includes("Files")) event.preventDefault(); };
  // Pictures go to the journal's folder; a link to each stands where the cursor was.
  const take = async (event, carried) => {
    const files = [...carried.files];
    if (!files.length) return;
    event.preventDefault();
    if (area.readOnly) return;
    for (const file of files) {
      Object.assign(draft, { said: `Keeping ${file.name} …`, wrong: false });
      draft.show();
      const link = await draft.picture(file);
      if (link) area.setRangeText(link, area.selectionStart, area.selectionEnd, "end");
      if (link) draft.type(area.value);
      draft.show();
    }
  };
  conflict.querySelector(".mine").onclick = () => draft.decide(true);
  conflict.querySelector(".theirs").onclick = () => draft.decide(false);
  const leave = () => draft.leave();
  window.addEventListener("pagehide", leave);

  draft.adopt(data.revision, data.body);
  if (draft.dirty && draft.drawing.open) draft.saveLater(0);
  draft.show();
  rescue(data, draft);

  return () => {
    window.removeEventListener("pagehide", leave);
    draft.save();
  };
}
