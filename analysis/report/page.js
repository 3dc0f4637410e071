for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last
        const numeric = !isNaN(x) && !isNaN(y);
        return (ascending ? 1 : -1) * (numeric ? x - y : x.localeCompare(y));
      };
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

// Names may break after an underscore, and are copied as they are.
for (const each of document.querySelectorAll("h1, h2, .sentence span, .verdict, td:first-child, th button")) {
  const walker = document.createTreeWalker(each, NodeFilter.SHOW_TEXT), texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts.filter((one) => one.data.includes("_")))
    text.replaceWith(...text.data.split(/(?<=_)/).flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])));
}

// Methods that are not ticked leave the lines and points of the figures, and the rows of the tables.
const picked = document.querySelectorAll(".pick input");
for (const box of picked) {
  box.checked = true; // some browsers remember
  box.addEventListener("change", () => {
    for (const each of document.querySelectorAll("main [data-method], header [data-method]"))
      if (each.dataset.method === box.value) each.classList.toggle("off", !box.checked);
    const missing = [...picked].filter((each) => !each.checked).length;
    document.querySelector(".pick summary").textContent = missing ? `Methods (${picked.length - missing} of ${picked.length})` : "Methods";
  });
}

// A picture that is shown again is stored once.
for (const each of document.querySelectorAll("img[data-like]")) each.src = document.getElementById(each.dataset.like).src;

// A table or figure that is wider than its box says so.
function hint() {
  for (const box of document.querySelectorAll(".scroll")) box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
}
addEventListener("resize", hint);
document.addEventListener("toggle", hint, true); // what was folded had no width

// Files are made of what the page holds: figures from their SVG, tables from their packed CSV.
function hand_over(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}
function stand_alone(svg) {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink");
  copy.removeAttribute("style");
  const text = new XMLSerializer().serializeToString(copy).replace(/var\(--fig-\w+,\s*(#\w+)\)/g, "$1");
  return new Blob([text], { type: "image/svg+xml" });
}
for (const button of document.querySelectorAll("button.save")) {
  button.addEventListener("click", async () => {
    const packed = button.dataset.gzip;
    const svg = button.closest("figure")?.querySelector("svg[role=img]");
    hand_over(packed ? await unpacked(packed) : stand_alone(svg), button.dataset.name);
  });
}

// On a narrow screen the panels of a figure stand below one another, each a view of the one drawing.
const narrow = matchMedia("screen and (max-width: 760px)");
function stack(svg) {
  const [drawing, panels] = [svg.querySelector("g[id]"), JSON.parse(svg.dataset.panels)];
  const stacked = document.createElement("div");
  stacked.className = "stacked";
  for (const text of panels.axis_labels) stacked.append(Object.assign(document.createElement("p"), { textContent: text }));
  for (const views of panels.views) {
    const width = views.reduce((sum, view) => sum + view[2], 0);
    const panel = document.createElementNS(svg.namespaceURI, "svg");
    panel.setAttribute("viewBox", `0 0 ${width} ${views[0][3]}`);
    panel.style.maxWidth = `${width * 1.9}px`;
    let left = 0;
    for (const [x, y, w, h] of views) {
      const view = document.createElementNS(svg.namespaceURI, "svg");
      for (const [name, value] of Object.entries({ x: left, y: 0, width: w, height: h, viewBox: `${x} ${y} ${w} ${h}` }))
        view.setAttribute(name, value);
      const use = document.createElementNS(svg.namespaceURI, "use");
      use.setAttribute("href", `#${drawing.id}`);
      view.append(use);
      panel.append(view);
      left += w;
    }
    stacked.append(panel);
  }
  svg.after(stacked);
}
function fit() {
  for (const svg of document.querySelectorAll("svg[data-panels]"))
    if (narrow.matches && !svg.nextElementSibling?.matches(".stacked")) stack(svg);
}
narrow.addEventListener("change", fit);
fit();

// Chapters: one is shown; a link into another opens it, and paper has all of them.
const chapters = [...document.querySelectorAll(".chapter")];
const links = [...document.querySelectorAll("nav a[href^='#']")];
function show(chapter) {
  for (const each of chapters) each.hidden = each !== chapter;
  for (const link of links) {
    if (link.hash === `#${chapter.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  hint();
}
function follow() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return show(chapters[0]);
  for (let each = target; each; each = each.parentElement) {
    if (each.matches("details")) each.open = true;
    if (each.matches(".chapter")) show(each);
  }
  target.scrollIntoView();
}
if (chapters.length) {
  addEventListener("hashchange", follow);
  follow();
}
hint();
