// Square images as arrays of numbers, planar where nothing else is said.

// Means over squares of pixels, planar.
export function shrink(image, side, factor) {
  const small = side / factor;
  const result = new Float32Array(3 * small * small);
  for (let row = 0; row < 3 * side; row++) {
    for (let column = 0; column < side; column++) {
      const at = Math.floor(row / factor) * small + Math.floor(column / factor);
      result[at] += image[row * side + column] / (factor * factor);
    }
  }
  return result;
}

// Means over squares, twice, of each color; beyond an edge its color goes on. `step` is 1 for planes, 3 where the three
// numbers of a pixel stand together.
export function blurred(image, side, radius, step = 1) {
  const area = side * side;
  const width = 2 * radius + 1;
  const line = new Float32Array(side + width);
  let result = image;
  for (let pass = 0; pass < 4; pass++) {
    const [along, across] = pass % 2 ? [step * side, step] : [step, step * side];
    const next = new Float32Array(image.length);
    for (let number = 0; number < image.length / side; number++) {
      const color = Math.floor(number / side);
      const start = (step === 1 ? color * area : color) + (number % side) * across;
      for (let i = 0; i < line.length; i++) line[i] = result[start + Math.min(Math.max(i - radius, 0), side - 1) * along];
      let sum = 0;
      for (let i = 0; i < width; i++) sum += line[i];
      for (let i = 0; i < side; i++) {
        next[start + i * along] = sum / width;
        sum += line[i + width] - line[i];
      }
    }
    result = next;
  }
  return result;
}

// The value of a plane at a place, between its pixels; x and y in pixels from the middle of the first one.
export function sampled(plane, start, size, x, y) {
  const cx = Math.min(Math.max(x, 0), size - 1);
  const cy = Math.min(Math.max(y, 0), size - 1);
  const left = Math.min(Math.floor(cx), size - 2); // one by one: this is done for each pixel
  const top = Math.min(Math.floor(cy), size - 2);
  const at = start + top * size + left;
  const upper = plane[at] + (cx - left) * (plane[at + 1] - plane[at]);
  const lower = plane[at + size] + (cx - left) * (plane[at + size + 1] - plane[at + size]);
  return upper + (cy - top) * (lower - upper);
}
