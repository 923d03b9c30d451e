// Axes: where a latent of W is on each of them, and where edits move it. The arrays come from axes.bin.

const BEYOND = 0.25; // of a slider on each side of its usable range, relative to the range
const UNMEASURED = [-3, 3];
const SATURATED = 0.6; // slope beyond an end of an axis, from which up the end is none

export class Axes {
  constructor(about, buffer, numWs) {
    this.about = about;
    this.numWs = numWs;
    this.attributes = about.attributes;
    this.names = about.attributes.map((attribute) => attribute.name);
    this.arrays = {};
    for (const [name, { offset, shape }] of Object.entries(about.arrays)) {
      const length = shape.reduce((product, side) => product * side, 1);
      this.arrays[name] = { values: new Float32Array(buffer, offset, length), shape };
    }
    this.width = this.arrays.mean.values.length;
  }

  // A face: its latents of all layers, its code, and its place on the attribute axes in standard deviations and in
  // their units. `latents` are one of W, or those of W+ of a photograph, whose layers' differences are its own.
  face(latents) {
    const count = latents.length / this.width;
    const w = Float32Array.from({ length: this.width }, (_, i) => {
      let sum = 0;
      for (let layer = 0; layer < count; layer++) sum += latents[layer * this.width + i];
      return sum / count;
    });
    const layers = Float32Array.from({ length: this.numWs * this.width }, (_, i) => latents[i % latents.length]);
    const code = this.code(w);
    const positions = code.slice(0, this.names.length);
    return { layers, code, positions, values: positions.map((position, i) => this.toValue(i, position)) };
  }

  code(w) {
    const { mean, directions } = this.arrays;
    const x = product(w.map((value, i) => value - mean.values[i]), directions);
    const corrected = this.network("encoder", x);
    if (!this.arrays.linear_encoder) return corrected;
    const linear = product(x, this.arrays.linear_encoder);
    return corrected.map((value, i) => value + linear[i]);
  }

  // The latents of an edit by amounts in standard deviations: [numWs, width].
  edit(face, deviations) {
    const target = face.code.slice();
    for (const [name, amount] of Object.entries(deviations)) target[this.names.indexOf(name)] += amount;
    const isMoved = target.some((value, i) => value !== face.code[i]);
    const layers = new Float32Array(this.numWs * this.width);
    const changes = !isMoved ? null : this.about.path === "curves" ? this.alongCurves(face, target) : this.byDecoder(face, target);
    for (let layer = 0; layer < this.numWs; layer++) {
      const group = this.about.path === "curves" ? this.about.group_of_layer[layer] : 0;
      for (let i = 0; i < this.width; i++) {
        const change = changes ? changes[group * this.width + i] : 0;
        layers[layer * this.width + i] = face.layers[layer * this.width + i] + change;
      }
    }
    return layers;
  }

  // The latents of an edit that are drawn one over the other, the unedited ones first: { layers, place, key }. The place
  // is where they show; null is everywhere.
  stages(face, deviations) {
    const stages = [{ layers: this.edit(face, {}), place: null, key: "" }];
    let whole = {}; // what changes all that the other edits are drawn on
    for (const [number, part] of this.about.parts.entries()) {
      let soFar = whole;
      for (const place of part) {
        const own = Object.entries(deviations).filter(([name]) => this.attributes[this.names.indexOf(name)].place === place);
        if (!own.length) continue;
        soFar = { ...soFar, ...Object.fromEntries(own) };
        stages.push({ layers: this.edit(face, soFar), place, key: JSON.stringify(Object.entries(soFar).sort()) });
      }
      if (number === 0) whole = soFar;
    }
    return stages;
  }

  alongCurves(face, target) {
    const moves = face.positions.map((start, i) => this.saturated(i, target[i]) - this.saturated(i, start));
    const bends = moves.map((move) => (move * move) / (Math.sqrt(1 + move * move) + 1));
    const { values, shape } = this.arrays.curves; // [2 · attributes, groups, width]
    return product(Float64Array.from([...moves, ...bends]), { values, shape: [shape[0], shape[1] * shape[2]] });
  }

  byDecoder(face, target) {
    const [before, after] = [face.code, target].map((code) => this.decoded(code));
    return product(after.map((value, i) => value - before[i]), this.arrays.back);
  }

  decoded(code) {
    const corrected = this.network("decoder", code);
    if (!this.arrays.linear_decoder) return corrected;
    const linear = product(code, this.arrays.linear_decoder);
    return corrected.map((value, i) => value + linear[i]);
  }

  network(name, x) {
    for (let i = 0; `${name}_kernel_${i}` in this.arrays; i++) {
      const bias = this.arrays[`${name}_bias_${i}`].values;
      const isLast = !(`${name}_kernel_${i + 1}` in this.arrays);
      x = product(x, this.arrays[`${name}_kernel_${i}`]).map((value, j) => {
        const sum = value + bias[j];
        return isLast || sum > 0 ? sum : this.about.leaky_slope * sum;
      });
    }
    return x;
  }

  saturated(i, position) {
    const [low, high] = this.arrays.ends.values.subarray(2 * i, 2 * i + 2);
    const inside = Math.min(Math.max(position, low), high);
    return inside + (position - inside) * this.arrays.slopes.values[i];
  }

  // The amounts of sliders as standard deviations.
  deviations(face, amounts) {
    const result = {};
    for (const [name, amount] of Object.entries(amounts)) {
      const i = this.names.indexOf(name);
      if (amount === 0) continue;
      result[name] = this.attributes[i].shown_unit
        ? this.toPosition(i, face.values[i] + amount) - this.toPosition(i, face.values[i])
        : amount;
    }
    return result;
  }

  // What the page shows of each slider for a face, in the order of the page.
  sliders(face) {
    return this.about.order.map((i) => {
      const attribute = this.attributes[i];
      const unit = attribute.shown_unit;
      const rounded = (amount) => (unit ? Math.round(amount) : Math.round(10 * amount) / 10);
      const [low, high] = (attribute.range ?? UNMEASURED).map((amount) =>
        rounded(unit ? this.toValue(i, face.positions[i] + amount) - face.values[i] : amount),
      );
      const more = attribute.range ? BEYOND * (high - low) : 0;
      const end = this.endOf(i, face.positions[i]);
      return {
        ...attribute,
        low, high, end,
        least: rounded(low - more),
        most: rounded(high + more),
        step: unit ? 1 : 0.1,
        now: unit ? face.values[i] : face.positions[i],
      };
    });
  }

  // "lower" or "upper" where the face is at that end of the axis, beyond which little changes.
  endOf(i, position) {
    if (this.about.path !== "curves" || this.arrays.slopes.values[i] >= SATURATED) return null;
    const [low, high] = this.arrays.ends.values.subarray(2 * i, 2 * i + 2);
    return position <= low ? "lower" : position >= high ? "upper" : null;
  }

  // The quantile transform of an attribute, by its table: rational quadratic splines, and lines beyond.
  toPosition(i, value) {
    const { knots, positions, slopes, last } = this.table(i);
    if (value < knots[0]) return positions[0] + slopes[0] * (value - knots[0]);
    if (value >= knots[last]) return positions[last] + slopes[last] * (value - knots[last]);
    const bin = shapeOfBin(knots, positions, slopes, binOf(knots, value));
    const x = clamp((value - knots[bin.j]) / bin.width, 0, 1);
    const both = x * (1 - x);
    return positions[bin.j] + (bin.height * (x * x + bin.first * both)) / (1 + (bin.first + bin.second - 2) * both);
  }

  toValue(i, position) {
    const { knots, positions, slopes, last } = this.table(i);
    if (position < positions[0]) return knots[0] + (position - positions[0]) / slopes[0];
    if (position >= positions[last]) return knots[last] + (position - positions[last]) / slopes[last];
    const bin = shapeOfBin(knots, positions, slopes, binOf(positions, position));
    const y = clamp((position - positions[bin.j]) / bin.height, 0, 1);
    const excess = y * (bin.first + bin.second - 2);
    const [a, b, c] = [1 - bin.first + excess, bin.first - excess, -y];
    const root = Math.sqrt(Math.max(b * b - 4 * a * c, 0));
    return knots[bin.j] + bin.width * clamp((-2 * c) / Math.max(b + root, 1e-30), 0, 1);
  }

  table(i) {
    const { values, shape } = this.arrays.transform_values;
    const [start, end] = [i * shape[1], (i + 1) * shape[1]];
    return {
      knots: values.subarray(start, end),
      positions: this.arrays.transform_positions.values.subarray(start, end),
      slopes: this.arrays.transform_slopes.values.subarray(start, end),
      last: shape[1] - 1,
    };
  }
}

function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

// Index of the bin that holds x. Bins of no width are passed over.
function binOf(knots, x) {
  let j = 0;
  while (j < knots.length - 2 && knots[j + 1] <= x) j++;
  return j;
}

function shapeOfBin(knots, positions, slopes, j) {
  const isEmpty = knots[j + 1] - knots[j] <= 0;
  const width = isEmpty ? 1 : knots[j + 1] - knots[j];
  const height = isEmpty ? 1 : positions[j + 1] - positions[j];
  return { j, width, height, first: slopes[j] * (width / height), second: slopes[j + 1] * (width / height) };
}

// The row vector x times a matrix [inner, outer], in double precision.
function product(x, { values, shape: [inner, outer] }) {
  const result = new Float64Array(outer);
  for (let i = 0; i < inner; i++) {
    const factor = x[i];
    if (factor === 0) continue;
    const start = i * outer;
    for (let j = 0; j < outer; j++) result[j] += factor * values[start + j];
  }
  return result;
}
