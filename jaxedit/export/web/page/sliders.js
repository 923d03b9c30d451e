// The sliders of a page: made once, and set anew for each face.

import { signed } from "./edit_text.js";

export class Sliders {
  // `changed` gets a name, an amount, and whether the slider is still held.
  constructor(place, sliders, changed) {
    this.rows = new Map();
    this.changed = changed;
    const groups = new Map();
    for (const slider of sliders) {
      if (!groups.has(slider.group)) {
        const group = make("fieldset", {}, make("legend", { textContent: slider.group }));
        groups.set(slider.group, group);
        place.append(group);
      }
      const row = this.row(slider);
      groups.get(slider.group).append(row.element);
      this.rows.set(slider.name, row);
    }
  }

  row(slider) {
    const id = `slider-${slider.name}`;
    const range = make("input", { type: "range", id });
    range.setAttribute("aria-describedby", `${id}-range`);
    const number = make("input", { type: "number", id: `${id}-number`, step: "any" });
    number.setAttribute("aria-label", `${slider.title}, amount`);
    const reset = make("button", { type: "button", textContent: "Reset" });
    reset.setAttribute("aria-label", `Reset ${slider.title}`);
    const now = make("span", { className: "now" });
    const usable = make("small", { id: `${id}-range` });
    const label = make("label", { htmlFor: id, textContent: slider.title });
    const element = make("div", { className: "slider" }, label, now, range, number, reset, usable);
    const row = { element, range, number, reset, now, usable, slider, amount: 0, isTyped: false };
    const take = (amount, isHeld) => this.changed(slider.name, this.limited(row, amount), isHeld);
    range.addEventListener("input", () => take(Number(range.value), true));
    range.addEventListener("change", () => take(Number(range.value), false));
    // What is being typed stays, whatever comes meanwhile.
    number.addEventListener("input", () => (row.isTyped = true));
    number.addEventListener("change", () => {
      row.isTyped = false;
      take(Number(number.value) || 0, false);
    });
    number.addEventListener("blur", () => {
      row.isTyped = false;
      number.value = row.amount;
    });
    reset.addEventListener("click", () => take(0, false));
    range.addEventListener("dblclick", () => take(0, false));
    range.addEventListener("keydown", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      take(0, false);
    });
    return row;
  }

  limited({ slider }, amount) {
    return Math.min(Math.max(amount, slider.least), slider.most);
  }

  // Another face: other values, limits and marks.
  settle(sliders) {
    for (const slider of sliders) {
      const row = this.rows.get(slider.name);
      row.slider = slider;
      Object.assign(row.range, { min: slider.least, max: slider.most, step: slider.step });
      Object.assign(row.number, { min: slider.least, max: slider.most });
      row.element.classList.toggle("is-unmeasured", !slider.range);
      const part = (amount) => `${(100 * (amount - slider.least)) / (slider.most - slider.least)}%`;
      row.range.style.setProperty("--start", part(slider.end === "lower" ? 0 : slider.low));
      row.range.style.setProperty("--end", part(slider.end === "upper" ? 0 : slider.high));
      row.range.style.setProperty("--zero", part(0));
      row.usable.textContent = usableInWords(slider);
    }
  }

  show(amounts) {
    for (const [name, row] of this.rows) {
      const amount = amounts[name] ?? 0;
      if (Number(row.range.value) !== amount) row.range.value = amount;
      row.amount = amount;
      if (!row.isTyped) row.number.value = amount;
      row.now.textContent = valueInWords(row.slider, amount);
      row.range.setAttribute("aria-valuetext", `${amountInWords(row.slider, amount)}, now ${row.now.textContent}`);
      row.reset.disabled = amount === 0;
      row.element.classList.toggle("is-edited", amount !== 0);
    }
  }
}

export function amountInWords(slider, amount) {
  return amount === 0 ? "not edited" : `${signed(amount)}${slider.shown_unit ? ` ${slider.shown_unit}` : ""}`;
}

// "34 → 46 years", or "+0.3 → +1.3" in standard deviations.
export function valueInWords(slider, amount) {
  const unit = slider.shown_unit;
  const said = (value) => (unit ? `${Math.round(value)}`.replace("-", "−") : signed(Math.round(10 * value) / 10));
  const both = amount === 0 ? said(slider.now) : `${said(slider.now)} → ${said(slider.now + amount)}`;
  return unit ? `${both} ${unit}` : both;
}

function usableInWords(slider) {
  const unit = slider.shown_unit ? ` ${slider.shown_unit}` : "";
  let text = slider.range ? `usable ${signed(slider.low)} … ${signed(slider.high)}${unit}` : "usable range not measured";
  if (slider.sides) text = `${slider.sides}; ${text}`;
  if (slider.end) text += `; at the ${slider.end} end: ${slider.end === "lower" ? "less" : "more"} shows little on this face`;
  return text;
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
