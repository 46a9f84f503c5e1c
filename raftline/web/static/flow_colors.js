// Flow in color: direction is hue, speed is saturation, still is white, as raftline/flow/color.py has it.

// Steps from each color of the wheel to the next; from Middlebury's colorcode.cpp.
const SEGMENTS = [[15, [255, 0, 0]], [6, [255, 255, 0]], [4, [0, 255, 0]], [11, [0, 255, 255]], [13, [0, 0, 255]], [6, [255, 0, 255]]];
const STEPS = SEGMENTS.reduce((sum, [count]) => sum + count, 0);
const BEYOND = 0.75; // brightness of what is faster than full saturation
const UNITS = 4; // of a px, in which the server tells
const LEAST_PX = 1; // of full saturation: below it the noise of a still camera would be in full color
const OFTEN = 0.99; // share of the cells that are slower than full saturation
const KEPT = 0.97; // of the scale from frame to frame, once motion gets slower
const OPACITY = 0.8;
const RADIUS = 0.09; // of the wheel, of the picture's height

let scalePx = LEAST_PX;
const small = new OffscreenCanvas(1, 1);
const wheels = new Map();

function hue(angle) {
  let at = ((angle / (2 * Math.PI) + 1) % 1) * STEPS;
  for (let index = 0; index < SEGMENTS.length; index++) {
    const [count, from] = SEGMENTS[index];
    if (at < count) return from.map((value, channel) => value + (at / count) * (SEGMENTS[(index + 1) % SEGMENTS.length][1][channel] - value));
    at -= count;
  }
  return SEGMENTS[0][1];
}

/** Of a flow (u, v), [red, green, blue]; at `full` and beyond it is saturated. */
export function colorOf(u, v, full) {
  const speed = Math.hypot(u, v);
  const full_hue = hue(Math.atan2(v, u));
  if (speed > full) return full_hue.map((value) => value * BEYOND);
  return full_hue.map((value) => 255 - (speed / full) * (255 - value));
}

function follow(uv) {
  const speeds = [];
  for (let at = 0; at < uv.length; at += 8) speeds.push(Math.hypot(uv[at], uv[at + 1]) / UNITS);
  speeds.sort((a, b) => a - b);
  const fast = speeds[Math.floor(OFTEN * (speeds.length - 1))] ?? 0;
  scalePx = Math.max(LEAST_PX, fast, KEPT * scalePx + (1 - KEPT) * fast);
}

export function colors(context, { colors: { size: [columns, rows], uv: text } }, width, height) {
  const uv = Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  follow(uv);
  const image = new ImageData(columns, rows);
  for (let cell = 0; cell < columns * rows; cell++) {
    image.data.set(colorOf(uv[2 * cell] / UNITS, uv[2 * cell + 1] / UNITS, scalePx), 4 * cell);
    image.data[4 * cell + 3] = 255;
  }
  Object.assign(small, { width: columns, height: rows });
  small.getContext("2d").putImageData(image, 0, 0);
  context.globalAlpha = OPACITY;
  context.drawImage(small, 0, 0, width, height);
  context.globalAlpha = 1;
}

function wheelOf(radius) {
  if (!wheels.has(radius)) {
    const made = new OffscreenCanvas(2 * radius, 2 * radius);
    const image = new ImageData(2 * radius, 2 * radius);
    for (let at = 0; at < 4 * radius * radius; at++) {
      const [u, v] = [(at % (2 * radius)) - radius + 0.5, Math.floor(at / (2 * radius)) - radius + 0.5];
      if (Math.hypot(u, v) > radius) continue;
      image.data.set(colorOf(u, v, radius), 4 * at);
      image.data[4 * at + 3] = 255;
    }
    made.getContext("2d").putImageData(image, 0, 0);
    wheels.set(radius, made);
  }
  return wheels.get(radius);
}

/** The wheel in the upper right corner, and the speed of its rim. */
export function wheel(context, width, height) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  const radius = Math.round(RADIUS * height);
  const [x, y] = [width - 2.4 * radius, 0.4 * radius];
  context.drawImage(wheelOf(radius), x, y);
  context.font = `600 ${Math.round(radius * 0.36)}px system-ui, sans-serif`;
  context.textAlign = "right";
  context.lineWidth = 4;
  context.strokeStyle = "#000c";
  context.fillStyle = "#fff";
  const text = `rim: ${scalePx.toFixed(1)} px/frame`;
  context.strokeText(text, width - 0.4 * radius, y + 2.5 * radius);
  context.fillText(text, width - 0.4 * radius, y + 2.5 * radius);
  context.textAlign = "left";
}
