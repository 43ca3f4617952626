"use strict";

const AT_ONCE = 8, TRIES = 20;
const answers = document.getElementById("answers");
const files = document.getElementById("files");
const waiting = [];
let asked = 0;

/** Makes an element with text, which is never read as HTML. */
function made(name, style, text = "") {
  const one = document.createElement(name);
  one.className = style;
  one.textContent = text;
  return one;
}

/** Shows a file as the browser does; the server may know formats that the browser does not. */
function pictured(file) {
  const image = made("img", "picture");
  image.alt = "";
  image.addEventListener("load", () => {
    image.classList.toggle("small", image.naturalWidth < 64);
    URL.revokeObjectURL(image.src);
  });
  image.addEventListener("error", () => {
    URL.revokeObjectURL(image.src);
    image.replaceWith(made("span", "picture", "no preview"));
  });
  image.src = URL.createObjectURL(file);
  return image;
}

function bar(row) {
  const one = made("div", "bar"), name = made("b", ""), length = made("i", "");
  const percent = 100 * row.probability;
  length.style.backgroundSize = `${percent}% 100%`;
  // where a long name may be broken
  for (const part of row.class.split(/(?<=[_.-])/)) name.append(part, document.createElement("wbr"));
  one.append(name, made("span", "", `${percent.toFixed(1)}%`), length);
  return one;
}

/** Asks the server about a file, again where it is busy; returns what to show. */
async function ask(file) {
  const headers = { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" };
  for (let tries = 1; ; tries += 1) {
    const reply = await fetch("predict", { method: "POST", body: file, headers });
    if (reply.status === 503 && tries < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      continue;
    }
    const said = await reply.json();
    return reply.ok ? said.images[0].classes.map(bar) : [made("span", "fault", said.error)];
  }
}

async function answer({ file, caption, wait }) {
  let shown;
  try {
    shown = await ask(file);
  } catch {
    shown = [made("span", "fault", "the server does not answer; see whether it still runs")];
  }
  wait.remove();
  caption.append(...shown);
}

/** Keeps some requests under way, so that the server has several images to name at once. */
async function askNext() {
  if (asked >= AT_ONCE || waiting.length === 0) return;
  asked += 1;
  await answer(waiting.shift());
  asked -= 1;
  askNext();
}

function take(list) {
  const figures = [...list].map((file) => {
    const figure = made("figure", ""), caption = made("figcaption", ""), wait = made("span", "waiting", "waiting");
    caption.append(made("code", "", file.name), wait);
    figure.append(pictured(file), caption);
    waiting.push({ file, caption, wait });
    return figure;
  });
  answers.prepend(...figures);
  figures.forEach(askNext);
}

files.addEventListener("change", () => { take(files.files); files.value = ""; });
addEventListener("paste", (event) => take(event.clipboardData.files));
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});
const address = new URL("predict", location).href;
document.querySelectorAll(".commands pre").forEach((one) => { one.textContent = one.textContent.replaceAll("ADDRESS", address); });
