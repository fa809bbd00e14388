// What a picture shows, as far as it can be counted: a PNG as Chromium takes it (8 bits, RGB or RGBA, not interlaced), undone by
// the rules of its rows (PNG, second edition, 9).

import { inflateSync } from 'node:zlib';

/** How much of it is neither white nor nearly so, from 0 to 1. */
export function inked(png) {
  const { width, height, channels, pixels } = decode(png);
  let dark = 0;
  for (let at = 0; at < pixels.length; at += channels) {
    if (pixels[at] < 200 || pixels[at + 1] < 200 || pixels[at + 2] < 200) dark += 1;
  }
  return dark / (width * height);
}

function decode(png) {
  const parts = [];
  let [width, height, channels] = [0, 0, 0];
  for (let at = 8; at < png.length;) {
    const [length, kind] = [png.readUInt32BE(at), png.toString('latin1', at + 4, at + 8)];
    const data = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') {
      [width, height] = [data.readUInt32BE(0), data.readUInt32BE(4)];
      channels = { 2: 3, 6: 4 }[data[9]];
      if (data[8] !== 8 || !channels || data[12] !== 0) throw new Error('a picture of another kind');
    } else if (kind === 'IDAT') {
      parts.push(data);
    }
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * channels;
  const pixels = Buffer.alloc(line * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (line + 1)];
    for (let x = 0; x < line; x += 1) {
      const here = y * line + x;
      const left = x >= channels ? pixels[here - channels] : 0;
      const above = y > 0 ? pixels[here - line] : 0;
      const corner = x >= channels && y > 0 ? pixels[here - line - channels] : 0;
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter];
      pixels[here] = (raw[y * (line + 1) + 1 + x] + guess) & 255;
    }
  }
  return { width, height, channels, pixels };
}

/** Whichever of the three is nearest to left + above - corner. */
function paeth(left, above, corner) {
  const [a, b, c] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}
