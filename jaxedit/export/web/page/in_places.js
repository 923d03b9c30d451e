// One image of several latents, each at its own place. Up to 16 × 16 the features of all latents are mixed at their
// places; behind that the mixed features are drawn in the styles of all of them, mixed at what each colors. So beyond the
// places everything stays as it was, and the later layers heal the seams.

import { resizedCells, GRID } from "./cells.js";
import { release } from "./runtime.js";

const SMALLEST = 8; // side of the smallest feature maps that are mixed
const LAST_MIXED = 16; // side of the largest ones. What comes behind draws textures and colors.

// All latents through one stage of the network.
// `before` are the features of each, and `masks` the places of all latents but the first. `run` gives what the stage
// makes of latents and features; `mixed` lays one tensor over another, as `laidOver` does. The result has the features of
// each latent, and image and small image of all together.
export async function throughInPlaces(side, before, masks, { run, mixed }) {
  if (side <= LAST_MIXED && before.length > 1) {
    const outs = [];
    for (const [number, features] of before.entries()) outs.push(await run(number, features));
    const after = outs.map((out) => out.next_features);
    for (let i = 1; i < after.length && side >= SMALLEST; i++) {
      after[i] = await mixed(after[i - 1], after[i], resizedCells(masks[i - 1].place, GRID, side));
    }
    return { after };
  }
  const features = before.at(-1);
  const total = {};
  for (let number = firstSeen(masks); number <= masks.length; number++) {
    if (number > 0 && isNowhere(masks[number - 1].colors)) continue;
    const out = await run(number, features);
    for (const [name, value] of Object.entries(out)) {
      const below = total[name];
      total[name] = below ? await mixed(below, value, resizedCells(masks[number - 1].colors, GRID, value.dims[2])) : value;
      release(below);
    }
  }
  const { next_features, small, image } = total;
  return { after: [next_features], small, image };
}

// Latents below one that colors everything are not seen.
function firstSeen(masks) {
  for (let i = masks.length; i > 0; i--) if (masks[i - 1].colors.every((value) => value === 1)) return i;
  return 0;
}

function isNowhere(mask) {
  return mask.every((value) => value === 0);
}

// One tensor [1, channels, side, side] laid over another where the weights [side, side] say so. It is changed.
export function laidOver(below, above, weights) {
  const [lower, upper] = [below.data, above.data];
  for (let start = 0; start < upper.length; start += weights.length) {
    for (let i = 0; i < weights.length; i++) upper[start + i] = lower[start + i] + weights[i] * (upper[start + i] - lower[start + i]);
  }
  return above;
}
