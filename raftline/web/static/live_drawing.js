// Draws what moves over the picture.
import { colors, wheel } from "./flow_colors.js";

const LARGEST = 1280; // px of the canvas; a larger one costs time and shows no more
const SMALLEST = 960; // a smaller one blurs lines and letters
const COLORS = ["#ffcc00", "#00beff", "#ff505f", "#78dc3c", "#f078ff", "#ff911e", "#46ebbe", "#9696ff"];
const MASK = "rgb(255 80 95 / 45%)";
const UNCERTAIN = "rgb(255 204 0 / 40%)";
const ARROW = "rgb(0 230 255 / 90%)";
const CAMERA = "#ffffff";
const LEAST_ARROW = 0.3; // px of motion that is drawn
const LONGER = 3; // an arrow, as a multiple of the motion from one frame to the next
const LONGEST = 1.5; // of it, in distances between arrows

/**
 * @param {HTMLCanvasElement} canvas
 * @param {object | null} overlay as the server told it; null clears the canvas
 * @param {Set<string>} shown kinds to draw
 */
export function draw(canvas, overlay, shown) {
  const context = canvas.getContext("2d");
  if (!overlay) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  const scale = Math.min(LARGEST, Math.max(SMALLEST, overlay.width)) / overlay.width;
  const [width, height] = [Math.round(overlay.width * scale), Math.round(overlay.height * scale)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  if (shown.has("colors") && overlay.colors) colors(context, overlay, width, height);
  if (shown.has("mask") && overlay.mask) mask(context, overlay, width, height);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  const pen = Math.max(2.5, height / 160) / scale;
  if (shown.has("flow") && overlay.flow) flow(context, overlay.flow, pen);
  if (shown.has("boxes") && overlay.boxes) boxes(context, overlay.boxes, pen, Math.max(16, height / 22) / scale);
  if (shown.has("camera") && overlay.camera) camera(context, overlay, pen);
  if (shown.has("colors") && overlay.colors) wheel(context, width, height);
}

/** Before on the left, after on the right, from a video that has one above the other; `split`: where, 0-1. */
export function drawCompared(canvas, video, split) {
  const [width, height] = [video.videoWidth, video.videoHeight / 2];
  if (!width) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  const seam = Math.round(split * width);
  context.drawImage(video, 0, height, width, height, 0, 0, width, height);
  if (seam > 0) context.drawImage(video, 0, 0, seam, height, 0, 0, seam, height);
  context.fillStyle = "#fff";
  context.fillRect(seam - 1, 0, 2, height);
  title(context, "before", 8, seam > 70);
  title(context, "after", width - 60, width - seam > 70);
}

function title(context, text, x, there) {
  if (!there) return;
  context.font = "600 14px system-ui, sans-serif";
  context.fillStyle = "#000a";
  context.fillRect(x, 8, context.measureText(text).width + 12, 22);
  context.fillStyle = "#fff";
  context.fillText(text, x + 6, 24);
}

function mask(context, { mask: { size, runs }, uncertain }, width, height) {
  context.setTransform(width / size[0], 0, 0, height / size[1], 0, 0);
  context.beginPath();
  for (let at = 0; at < runs.length; at += 2) {
    context.rect(runs[at] % size[0], Math.floor(runs[at] / size[0]), runs[at + 1], 1);
  }
  context.fillStyle = uncertain ? UNCERTAIN : MASK;
  context.fill();
}

function boxes(context, found, pen, letters) {
  context.lineWidth = pen;
  context.font = `600 ${letters}px system-ui, sans-serif`;
  for (const [id, x, y, width, high, moves] of found) {
    context.strokeStyle = context.fillStyle = COLORS[id % COLORS.length];
    context.setLineDash(moves ? [] : [3 * pen, 3 * pen]);
    context.strokeRect(x, y, width, high);
    const text = String(id);
    const wide = context.measureText(text).width + letters * 0.6;
    const top = y >= letters * 1.3 ? y - letters * 1.3 : y;
    context.fillRect(x - pen / 2, top, wide, letters * 1.3);
    context.fillStyle = "#14161a";
    context.fillText(text, x + letters * 0.3 - pen / 2, top + letters * 1.02);
  }
  context.setLineDash([]);
}

function flow(context, { size: [columns, rows], step, uv }, pen) {
  context.lineWidth = pen * 0.8;
  context.strokeStyle = ARROW;
  context.beginPath();
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = 2 * (row * columns + column);
      const [u, v] = [uv[at] / 4, uv[at + 1] / 4];
      if (Math.hypot(u, v) < LEAST_ARROW) continue;
      const longer = Math.min(LONGER, (LONGEST * step) / Math.hypot(u, v));
      arrow(context, (column + 0.5) * step, (row + 0.5) * step, u * longer, v * longer);
    }
  }
  context.stroke();
}

// How the content at the center moved because the camera did.
function camera(context, { camera: m, width, height }, pen) {
  const [x, y] = [width / 2, height / 2];
  const depth = m[6] * x + m[7] * y + m[8];
  const [u, v] = [(m[0] * x + m[1] * y + m[2]) / depth - x, (m[3] * x + m[4] * y + m[5]) / depth - y];
  context.lineWidth = pen * 1.2;
  context.strokeStyle = CAMERA;
  context.beginPath();
  context.arc(x, y, 4 * pen, 0, 2 * Math.PI);
  if (Math.hypot(u, v) >= LEAST_ARROW) arrow(context, x, y, u * LONGER, v * LONGER);
  context.stroke();
}

function arrow(context, x, y, u, v) {
  context.moveTo(x, y);
  context.lineTo(x + u, y + v);
  context.lineTo(x + 0.7 * u - 0.2 * v, y + 0.7 * v + 0.2 * u);
  context.moveTo(x + u, y + v);
  context.lineTo(x + 0.7 * u + 0.2 * v, y + 0.7 * v - 0.2 * u);
}
