// Square images as planar arrays of numbers.

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
