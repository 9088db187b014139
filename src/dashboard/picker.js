// A combobox: the reader types to choose some of thousands, and the chosen ones are listed beside it.

import { freshId, h } from "./dom.js";

/** The maximum number of options that are shown at once. */
const OFFERED = 40;

/** The name of a choice for people: its title, and its version if it has one. */
export function titleOf(choice) {
  return choice.version ? `${choice.title} ${choice.version}` : choice.title;
}

/** The unique name of each choice, by id: where titles are equal, the name is added, or else the id. */
export function titlesOf(choices) {
  const count = (texts) => texts.reduce((counts, text) => counts.set(text, (counts.get(text) ?? 0) + 1), new Map());
  const titles = choices.map(titleOf);
  const withNames = choices.map((choice, place) => `${titles[place]} (${choice.name})`);
  const [sameTitles, sameNames] = [count(titles), count(withNames)];
  return new Map(choices.map((choice, place) => {
    if (sameTitles.get(titles[place]) === 1) return [choice.id, titles[place]];
    const isTold = choice.name !== choice.title && sameNames.get(withNames[place]) === 1;
    return [choice.id, isTold ? withNames[place] : `${titles[place]} (id ${choice.id})`];
  }));
}

/** Whether a choice matches the typed text: every word must occur in its names. */
export function isMeant(choice, typed) {
  const text = `${choice.id} ${choice.title} ${choice.name} ${choice.version ?? ""} ${choice.category ?? ""}`.toLowerCase();
  return typed.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/**
 * Creates a picker. It calls `pick(ids)` with the chosen ids after each change. `update(choices, ids)` sets the options and the
 * chosen ids.
 */
export function picker({ label, pick }) {
  const list = h("ul", { role: "listbox", id: freshId("options"), "aria-label": label, hidden: true });
  const input = h("input", {
    type: "search", role: "combobox", "aria-label": label, "aria-expanded": "false", "aria-controls": list.id,
    "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: "All; type to choose some",
  });
  const chips = h("ul", { class: "chips", "aria-label": "Chosen" });
  const status = h("p", { class: "spoken", role: "status" });
  const element = h("div", { class: "picker" }, chips, h("div", { class: "combobox" }, input, list), status);
  let choices = [];
  let chosen = [];
  let active = -1;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const choose = (id) => {
    input.value = "";
    close();
    pick(chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]);
  };

  const mark = (next) => {
    const options = list.querySelectorAll("[role=option]");
    if (options.length === 0) return;
    active = (next + options.length) % options.length;
    for (const [place, option] of options.entries()) option.classList.toggle("active", place === active);
    options[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", options[active].id);
  };

  const open = () => {
    const found = choices.filter((choice) => !chosen.includes(choice.id) && isMeant(choice, input.value.trim()));
    const options = found.slice(0, OFFERED).map((choice) => h(
      "li",
      // Without this, the list would close before the click arrives.
      { role: "option", id: freshId("option"), "aria-selected": "false", onpointerdown: (event) => event.preventDefault(), onclick: () => choose(choice.id) },
      h("bdi", { class: "name" }, titleOf(choice)), h("span", { class: "note" }, ` ${choice.name} · ${choice.id}`),
    ));
    const more = found.length > OFFERED ? [h("li", { class: "note", role: "presentation" }, `… and ${found.length - OFFERED} more`)] : [];
    const none = found.length === 0 ? [h("li", { class: "note", role: "presentation" }, "Nothing is called so.")] : [];
    list.replaceChildren(...options, ...more, ...none);
    list.hidden = false;
    active = -1;
    input.setAttribute("aria-expanded", "true");
    status.textContent = `${found.length} found`;
  };

  input.addEventListener("input", open);
  input.addEventListener("click", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      if (list.hidden) open();
      mark(key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
    } else if (key === "Enter" && !list.hidden) {
      list.querySelectorAll("[role=option]")[Math.max(active, 0)]?.click();
    } else if (key === "Escape" && !list.hidden) {
      close();
    } else if (key === "Backspace" && input.value === "" && chosen.length > 0) {
      choose(chosen.at(-1));
    } else {
      return;
    }
    event.preventDefault();
  });

  return {
    element,
    update(all, ids) {
      [choices, chosen] = [all, ids];
      const titles = titlesOf(all);
      chips.replaceChildren(...ids.map((id) => {
        const title = titles.get(id) ?? `Unknown: ${id}`;
        return h("li", {}, h("bdi", { class: "name", title }, title),
          h("button", { type: "button", "aria-label": `Leave out ${title}`, onclick: () => choose(id) }, "×"));
      }));
      if (!list.hidden) open();
    },
  };
}
