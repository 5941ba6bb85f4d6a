// Everything on the pages works without this script; with it, they are live.
"use strict";
(() => {
  const { base, address } = document.documentElement.dataset;
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const one = (selector) => document.querySelector(selector);

  // Times in the reader's time zone, and ages that grow.
  const style = (timeStyle) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle });
  const exact = style("medium"), zoned = style("long"), day = style();
  function age(seconds, then) {
    if (seconds < 10) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    if (seconds < 172800) return "1 day ago";
    if (seconds < 604800) return `${Math.floor(seconds / 86400)} days ago`;
    return day.format(then);
  }
  function showTimes(root = document) {
    for (const time of all("time[datetime]", root)) {
      const then = new Date(time.dateTime);
      if (Number.isNaN(then.getTime())) continue;
      const text = "relative" in time.dataset ? age((Date.now() - then) / 1000, then) : exact.format(then);
      if (time.textContent !== text) time.textContent = text;
      time.title = zoned.format(then);
    }
    for (const hour of all("title[data-hour]", root)) {
      const text = `${hour.textContent.split(" ", 1)} from ${exact.format(new Date(hour.dataset.hour))}`;
      if (hour.textContent !== text) hour.textContent = text;
    }
  }

  // In SkyCMS's frame, the clipboard may be forbidden: then the text is selected and copied the old way.
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    const label = button.querySelector("span");
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

  // Turns one element into another in place, to keep focus, selection, scroll position and open details.
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
    // What is gone goes first, and text makes room: moving an element takes the focus from it.
    for (const child of [...old.children]) {
      if (child.id && !fresh.children.namedItem(child.id)) child.remove();
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      while (child.nodeType === Node.ELEMENT_NODE && next?.nodeType === Node.TEXT_NODE) {
        const text = next;
        next = next.nextSibling;
        text.remove();
      }
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
      if (old) showTimes(old);
    }
    return fresh;
  }

  function showTab(fresh) {
    document.title = fresh.title;
    const icon = one("link[rel=icon]"), { href } = fresh.querySelector("link[rel=icon]") ?? icon;
    if (icon.href !== href) icon.href = href;
  }

  // Why a test of settings has no result.
  const troubled = () => one("#test>[role=alert]");
  async function refresh(ids) {
    const answer = await fetch(address ?? location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    // Signed out meanwhile. What is being typed is not thrown away.
    if (answer.redirected || answer.status === 401) {
      if (!typing) location.reload();
    }
    // While a test has no result, the reason stays, and so does the heading of the form, which keeps what was typed.
    else if (answer.ok && !(testing && ids === regions)) showTab(
      take(await answer.text(), ids.filter((id) => !troubled() || !/test|form/.test(id))),
    );
  }

  // Reloading the answer to a form that was sent to another address must not send the form again.
  if (address && location.pathname !== address) history.replaceState(null, "", address + location.hash);

  // An event from the server means “look again”: at most once a second, and only while the page is visible.
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
    const banner = one("#banner"), told = banner.textContent;
    try {
      await refresh(regions);
      // Who does not see it come hears what keeps the site from purging.
      if (banner.textContent !== told) announce(banner.textContent);
    } catch { /* offline: the next event or tick tries again */ } finally {
      busy = false;
    }
    if (stale) changed();
  }
  // One stream for all windows, and only while the page is visible: over HTTP/1.1, a browser has six connections
  // per server, and pages kept for “Back” would hold on to theirs.
  let stop = null;
  function listen() {
    if (stop || document.hidden) return;
    const name = `events of ${base}`, channel = new BroadcastChannel(name), ended = new AbortController();
    const hear = (news) => {
      connected = news !== "lost";
      // Whatever happened before the connection was open was missed.
      if (news === "lost") stale = true;
      else if (news === "changed" || stale || one("[data-pending]")) changed();
    };
    const tell = (news) => { hear(news); channel.postMessage(news); };
    channel.onmessage = ({ data }) => hear(data);
    const stream = () => new Promise((done) => {
      let events, again;
      const open = () => {
        events = new EventSource(`${base}/events`);
        events.onopen = () => tell("open");
        events.onerror = () => {
          tell("lost");
          // After an answer that is no stream, such as a proxy's during a restart, a browser does
          // not try again. The page itself finds out whether somebody has to sign in.
          if (events.readyState !== EventSource.CLOSED) return;
          again = setTimeout(() => { open(); changed(); }, 10000);
        };
        events.onmessage = () => tell("changed");
      };
      open();
      ended.signal.addEventListener("abort", () => {
        clearTimeout(again);
        events.close();
        done();
      });
    });
    if (navigator.locks) navigator.locks.request(name, { signal: ended.signal }, stream).catch(() => {});
    else stream();
    stop = () => {
      ended.abort();
      channel.close();
      stop = null;
      connected = false;
      stale = true;
    };
  }
  if (regions.length > 1 || all("[data-pending]").length) {
    addEventListener("pageshow", listen);
    addEventListener("pagehide", () => stop?.());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return stop?.();
      listen();
      if (stale) changed();
    });
    setInterval(() => { if (!connected && one("[data-pending]")) changed(); }, 4000);
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

  // The days of the filter are in the reader's time zone, where clocks may change in between.
  const days = one("[name=ahead]")?.form;
  days?.addEventListener("submit", () => {
    const { from, to, ahead } = days.elements;
    ahead.value = [`${from.value}T00:00`, `${to.value}T24:00`].map((at) => (Date.parse(`${at}Z`) - Date.parse(at)) / 6e4 || 0);
  });

  // Each step of a test is shown as it passes. If it has no result, the reason stays beside what was typed until the form
  // is sent again. If the answer is not a stream of steps (a mistake in a field, the sign-in), the form is sent the
  // ordinary way.
  const test = one("form[data-test]");
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
      if (troubled()) test.removeAttribute("aria-busy");
      else {
        // What was said of the form before is no part of the page any more.
        for (const told of all("#main>[role=status],form[data-test]>[role=alert]")) told.remove();
        await refresh(["main"]);
        // To what is stored now.
        test.reset();
      }
    } catch { return location.reload(); }
    testing = false;
    if (stale) changed();
  });
  async function steps(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        take(JSON.parse(event.slice(event.indexOf(":") + 1)), ["test"]);
        document.getElementById("test").scrollIntoView({ block: "nearest" });
      }
    }
  }

  // The preview of a purge as it is typed. An answer that has been overtaken is dropped.
  const form = one("form[data-preview]");
  if (form) {
    let timer, running;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        running?.abort();
        running = new AbortController();
        const body = new URLSearchParams(new FormData(form));
        body.set("action", "preview");
        try {
          // Not `form.action`: that is the button of this name.
          const fresh = take(await (await fetch(form.getAttribute("action"), {
            method: "POST", body, headers: { accept: "text/html" }, signal: running.signal,
          })).text(), ["preview"]);
          const typed = fresh.getElementById("items");
          if (typed) {
            const invalid = typed.getAttribute("aria-invalid");
            const items = form.elements.items;
            items.toggleAttribute("aria-invalid", Boolean(invalid));
            if (invalid) items.setAttribute("aria-invalid", invalid);
            items.setAttribute("aria-describedby", typed.getAttribute("aria-describedby"));
          } else {
            // Another page, such as an error or the sign-in: what is shown belongs to an earlier text.
            one("#preview table")?.remove();
            one("#items-error").textContent = fresh.querySelector(".card :is(h1,h2)")?.textContent;
          }
        } catch { /* overtaken, or offline: the button still works */ }
      }, 300);
    });
  }

  // When a page is restored by “Back”, its forms count as new ones, and none is on its way.
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    for (const once of all("[name=once]")) once.value += "+";
    testing = false;
    test?.removeAttribute("aria-busy");
  });
  let typing = false;
  document.addEventListener("input", () => { typing = true; });

  // Ctrl+/ searches, Ctrl+Enter submits the form, Escape closes the menu or cancels a question. No single character is a
  // shortcut, since speech input would trigger it.
  document.addEventListener("keydown", (event) => {
    // AltGr is sent as Ctrl+Alt, and types signs.
    const { key, target } = event, chord = (event.ctrlKey || event.metaKey) && !event.altKey;
    if (key === "/" && chord) {
      const search = one("[type=search]");
      if (search) event.preventDefault();
      search?.focus();
    } else if (key === "Enter" && chord) {
      // In a field, Chromium would press it once more.
      event.preventDefault();
      target.form?.querySelector("button.btn:not(.danger,[data-cancel])")?.click();
    } else if (key === "Escape") {
      const menu = one("details.site[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else one("[data-cancel]")?.click();
    }
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
  showTimes();
  setInterval(showTimes, 10000);
})();
