// Everything on the pages works without this script; with it, they are live. No inline code, no eval, no framework.
"use strict";
(() => {
  const { base, address } = document.documentElement.dataset;
  const all = (selector, root = document) => root.querySelectorAll(selector);

  // Times: in the reader's zone, and ages that grow. The words are those of src/web/words.rs.
  const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  const zoned = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
  const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
  function age(seconds, then) {
    if (seconds < 10) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    if (seconds < 172800) return "1 day ago";
    if (seconds < 604800) return `${Math.floor(seconds / 86400)} days ago`;
    return day.format(then);
  }
  function tellTimes(root = document) {
    for (const time of all("time[datetime]", root)) {
      const then = new Date(time.dateTime);
      if (Number.isNaN(then.getTime())) continue;
      const text = "relative" in time.dataset ? age((Date.now() - then) / 1000, then) : exact.format(then);
      if (time.textContent !== text) time.textContent = text;
      time.title = zoned.format(then);
    }
  }

  // Copying. Inside SkyCMS's frame the clipboard may be forbidden: then the text is selected and copied the old way.
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    const label = button.querySelector("[data-copy-label]");
    label.textContent = done ? "Copied" : "Press Ctrl+C";
    announce(done ? "Copied" : "Selected. Press Ctrl+C to copy.");
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  }
  const voice = document.createElement("div");
  voice.className = "hidden";
  voice.setAttribute("role", "status");
  document.body.append(voice);
  function announce(text) {
    voice.textContent = "";
    setTimeout(() => { voice.textContent = text; }, 50);
  }

  // Turns one element into another in place: what stays the same keeps focus, selection, scrolling and open details.
  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = child.id ? [...old.children].find((element) => element.id === child.id)
        : next && !next.id && next.nodeName === child.nodeName ? next : null;
      if (!same) {
        old.insertBefore(child, next);
        continue;
      }
      if (same !== next) old.insertBefore(same, next);
      else next = next.nextSibling;
      morph(same, child);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  }
  function take(html, ids) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const id of ids) {
      const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
      if (old && next) morph(old, next);
      if (old) tellTimes(old);
    }
    return fresh;
  }

  async function refresh(ids) {
    const answer = await fetch(address ?? location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected || answer.status === 401) location.reload(); // signed out meanwhile
    else if (answer.ok && !(testing && ids === regions)) take(await answer.text(), ids);
  }

  // The answer to a form that is sent elsewhere is still this page: reloading it must not send the form again.
  if (address && location.pathname !== address) history.replaceState(null, "", address + location.hash);

  // Live regions: an event from the server means “look again”, at most once a second and only while somebody looks.
  const regions = [...all("[data-live]")].map((region) => region.id);
  let connected = false, waiting = false, busy = false, stale = false, testing = false;
  function changed() {
    stale = true;
    if (waiting || busy || testing || document.hidden) return;
    waiting = true;
    setTimeout(look, 1000);
  }
  async function look() {
    waiting = false;
    stale = false;
    busy = true;
    try {
      await refresh(regions);
    } catch { /* offline: the next event or tick tries again */ } finally {
      busy = false;
    }
    if (stale) changed();
  }
  if (regions.length > 1 || all("[data-pending]").length) {
    const events = new EventSource(`${base}/events`);
    events.onopen = () => {
      // What happened before the connection stood was not heard.
      if (stale || document.querySelector("[data-pending]")) changed();
      connected = true;
    };
    events.onerror = () => { connected = false; stale = true; };
    events.onmessage = changed;
    document.addEventListener("visibilitychange", () => { if (stale) changed(); });
    setInterval(() => { if (!connected && document.querySelector("[data-pending]")) changed(); }, 4000);
  }

  // The policy follows what is typed.
  const id = document.getElementById("distribution_id");
  const region = document.getElementById("region");
  if (id && region) {
    const policy = document.getElementById("policy-json");
    const follow = () => {
      const typed = id.value.trim().split("/").pop();
      const isTenant = /^dt_[A-Za-z0-9]+$/.test(typed);
      const isKnown = isTenant || /^[A-Za-z0-9]{8,32}$/.test(typed);
      const partition = region.selectedOptions[0]?.parentElement.dataset.partition ?? "aws";
      let text = policy.dataset[isTenant ? "tenant" : "distribution"].replace(/arn:aws[a-z-]*:/, `arn:${partition}:`);
      if (isKnown) text = text.replace("YOUR_DISTRIBUTION_ID", isTenant ? typed : typed.toUpperCase());
      policy.textContent = text;
    };
    id.addEventListener("input", follow);
    region.addEventListener("change", follow);
  }

  // “Save and test settings”: each step is shown as it passes. What is no stream of steps (a mistake in a field, a
  // sign-in) is for the browser to show: the form is sent the plain way.
  const test = document.querySelector("form[data-test]");
  test?.addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "save_and_test") return;
    event.preventDefault();
    if (testing) return;
    testing = true;
    test.setAttribute("aria-busy", "true");
    const sent = { method: "POST", body: new URLSearchParams(new FormData(test)), headers: { accept: "text/event-stream" } };
    const answer = await fetch(test.getAttribute("action"), sent).catch(() => null);
    if (!answer?.headers.get("content-type")?.startsWith("text/event-stream")) return test.submit();
    try {
      await steps(answer.body);
      await refresh(["main"]);
      test.reset(); // to what is stored now
    } catch { return location.reload(); }
    testing = false;
    if (stale) changed();
  });
  async function steps(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let told = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (told + value).split("\n\n");
      told = events.pop();
      for (const event of events) {
        take(JSON.parse(event.slice(event.indexOf(":") + 1)), ["test"]);
        document.getElementById("test").scrollIntoView({ block: "nearest" });
      }
    }
  }

  // The preview of a purge, as it is typed; an answer that was overtaken is dropped.
  const form = document.querySelector("form[data-preview]");
  if (form) {
    let timer, running;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        running?.abort();
        running = new AbortController();
        const body = new URLSearchParams(new FormData(form));
        body.set("action", "preview"); // Hence not `form.action`, which is the button of that name.
        try {
          const answer = await fetch(form.getAttribute("action"), { method: "POST", body, signal: running.signal });
          if (answer.redirected) return location.reload();
          const fresh = take(await answer.text(), ["preview"]);
          const typed = fresh.getElementById("items");
          if (typed) {
            const invalid = typed.getAttribute("aria-invalid");
            const items = form.elements.items;
            items.toggleAttribute("aria-invalid", Boolean(invalid));
            if (invalid) items.setAttribute("aria-invalid", invalid);
            items.setAttribute("aria-describedby", typed.getAttribute("aria-describedby"));
          }
        } catch { /* overtaken, or offline: the button still works */ }
      }, 300);
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
  tellTimes();
  setInterval(tellTimes, 10000);
})();
