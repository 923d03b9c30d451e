// Edits as text, such as "age=+12 years smile=+1", and back.

export function signed(amount) {
  const rounded = Math.round(amount * 100) / 100;
  return `${rounded < 0 ? "−" : "+"}${Math.abs(rounded)}`;
}

export function toText(amounts, sliders) {
  return sliders
    .filter(({ name }) => amounts[name])
    .map(({ name, shown_unit }) => `${name}=${signed(amounts[name])}${shown_unit ? ` ${shown_unit}` : ""}`)
    .join(" ");
}

// Amounts in standard deviations as the command line takes them.
export function toArguments(deviations) {
  return Object.entries(deviations)
    .map(([name, amount]) => `${name}=${amount < 0 ? "-" : "+"}${Number(Math.abs(amount).toFixed(3))}`)
    .join(" ");
}

// The amounts of a text. What cannot be read is an Error in words.
export function fromText(text, sliders) {
  const amounts = {};
  const known = new Map(sliders.map((slider) => [slider.name, slider]));
  let last = null;
  for (const word of text.trim().split(/[\s,]+/).filter(Boolean)) {
    const [, name, number] = /^([^=]+)=([+−-]?\d+(?:\.\d+)?)$/.exec(word) ?? [];
    if (name === undefined) {
      if (last?.shown_unit === word) continue; // the unit of the amount before
      throw new Error(`expected words such as age=+12, got “${word}”`);
    }
    last = known.get(name);
    if (!last) throw new Error(`no slider is called “${name}”`);
    if (name in amounts) throw new Error(`expected each slider once, got “${name}” twice`);
    const amount = Number(number.replace("−", "-"));
    amounts[name] = Math.min(Math.max(amount, last.least), last.most);
  }
  return amounts;
}
