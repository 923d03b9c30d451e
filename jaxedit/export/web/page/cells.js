// Soft masks on a grid of GRID × GRID cells, 0 … 1.

import { filter } from "./resampling.js";

export const GRID = 128;

// Probabilities as exactly 0 up to `low` and exactly 1 from `high` on.
export function sure(cells, low, high) {
  return cells.map((value) => Math.min(Math.max((value - low) / (high - low), 0), 1));
}

// The maximum over a square of 2 · `reach` + 1 cells a side.
export function widest(cells, reach) {
  return alongBoth(cells, (line, i) => {
    let most = line(i);
    for (let k = Math.max(i - reach, 0); k <= Math.min(i + reach, GRID - 1); k++) most = Math.max(most, line(k));
    return most;
  });
}

export function narrowest(cells, reach) {
  return widest(cells.map((value) => -value), reach).map((value) => -value);
}

// Means over such a square; beyond the edge lies what the edge shows.
export function smoothed(cells, reach) {
  return alongBoth(cells, (line, i) => {
    let sum = 0;
    for (let k = i - reach; k <= i + reach; k++) sum += line(Math.min(Math.max(k, 0), GRID - 1));
    return sum / (2 * reach + 1);
  });
}

function alongBoth(cells, reduce) {
  let result = cells;
  for (const [step, across] of [[GRID, 1], [1, GRID]]) {
    const next = new Float32Array(GRID * GRID);
    for (let number = 0; number < GRID; number++) {
      const from = result;
      const line = (i) => from[number * across + i * step];
      for (let i = 0; i < GRID; i++) next[number * across + i * step] = reduce(line, i);
    }
    result = next;
  }
  return result;
}

export function larger(one, other) {
  return one.map((value, i) => Math.max(value, other[i]));
}

export function times(one, other) {
  return one.map((value, i) => value * other[i]);
}

// Square cells at another size, by a triangle filter that widens where it shrinks.
export function resizedCells(cells, from, to) {
  if (from === to) return cells;
  const parts = filter(from, 0, from, to);
  let result = cells;
  let rows = from;
  for (let pass = 0; pass < 2; pass++) {
    // Rows are resized and become columns; so do those, and all is as it was.
    const next = new Float32Array(to * rows);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < to; i++) {
        const { first, weights } = parts[i];
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * result[row * from + first + k];
        next[i * rows + row] = sum;
      }
    }
    result = next;
    rows = to;
  }
  return result;
}
