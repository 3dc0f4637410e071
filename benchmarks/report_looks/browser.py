"""A page in headless Chromium: what it measures at several widths, its console, pictures of it, and its paper."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TRIES = 3  # on a busy machine its clock, which does not wait for the processor, may run out before the page is done
VIEW_PX = {390: 844, 1024: 768, 1440: 900}  # width -> height of a screen
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
          "--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND",
          "--enable-logging=stderr")  # fmt: skip
_SHOWN = 'each.checkVisibility() && !each.closest(".scroll, nav ul, pre, svg")'

# Chromium has no window narrower than 500 px, so the page stands in a frame.
PROBE = (
    """<!doctype html><title>probe</title><script>
const results = [];
async function look(width, height) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:${height}px;border:0`;
  frame.src = "PAGE";
  await new Promise((done) => { frame.onload = done; document.documentElement.append(frame); });
  await new Promise((done) => setTimeout(done, 200));
  const page = frame.contentDocument, root = page.documentElement, chapters = {};
  const names = [...page.querySelectorAll(".chapter")].map((each) => each.id);
  const seen = { wide: [], unhinted: [], cut: [] };
  for (const name of names.length ? names : [""]) {
    frame.contentWindow.location.hash = name;
    await new Promise((done) => setTimeout(done, 50));
    chapters[name] = root.scrollHeight;
    for (const each of page.querySelectorAll("body *")) {
      if (SHOWN && each.getBoundingClientRect().right > width + 1) seen.wide.push(each.tagName + "." + each.className);
    }
    for (const box of page.querySelectorAll(".scroll")) {
      const wider = box.checkVisibility() && box.scrollWidth > box.clientWidth + 1;
      if (wider && getComputedStyle(box, "::after").content === "none") seen.unhinted.push(box.ariaLabel);
    }
  }
  frame.contentWindow.location.hash = names[0] ?? "";
  await new Promise((done) => setTimeout(done, 50));
  frame.contentWindow.scrollTo({ top: 0, behavior: "instant" });
  const bottom = (name) => page.querySelector(name)?.getBoundingClientRect().bottom ?? null;
  const box = page.querySelector("#table-first .scroll"), whole = page.querySelector(".first");
  const narrow = Boolean(box) && box.scrollWidth > box.clientWidth + 1 && box.clientWidth < whole.clientWidth - 1;
  const first = { narrow, answer: bottom("#answer"), headline: bottom("#answer h1"), table: bottom("#table-first") };
  const requests = frame.contentWindow.performance.getEntriesByType("resource").map((each) => each.name);
  results.push({ width, height, overflow: root.scrollWidth - width, ...seen, first, chapters,
    requests: requests.filter((each) => !each.startsWith("data:")), extra: await (EXTRA)(page) });
}
(async () => { for (const [width, height] of SIZES) await look(width, height);
  const out = document.createElement("pre"); out.textContent = JSON.stringify(results);
  document.documentElement.replaceChildren(out); })();
</script>"""
).replace("SHOWN", _SHOWN)


@dataclass(frozen=True)
class Looks:
    """What a browser says of a page.

    Args:
        results: One per width: `overflow` of the page in pixels, elements that stick out (`wide`), boxes that scroll
            without a hint (`unhinted`), where the first screen ends and whether its table is cut beside free
            room (`first`), heights of the `chapters`, `requests`.
        console: Lines of the console.
    """

    results: list[dict[str, Any]]
    console: list[str]


def look_at(page: Path, folder: Path, *, extra: str = "() => null") -> Looks:
    """Open a page at every width of VIEW_PX.

    Args:
        page: The page.
        folder: An empty folder for the browser.
        extra: A JavaScript function of the document (it may be async), whose JSON is `extra` of each result.
    """
    probe = folder / "probe.html"
    sizes = json.dumps([[width, height] for width, height in VIEW_PX.items()])
    text = PROBE.replace("PAGE", page.resolve().as_uri()).replace("SIZES", sizes).replace("EXTRA", extra)
    probe.write_text(text, encoding="utf-8")
    done, found = _measured(folder, probe)
    for _ in range(TRIES - 1):
        if found is None:
            done, found = _measured(folder, probe)
    if found is None:
        raise RuntimeError(f"Chromium measured nothing: {done.stderr[-2000:]}")
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Looks(json.loads(html.unescape(found.group(1))), console)


def _measured(folder: Path, probe: Path) -> tuple[subprocess.CompletedProcess[str], re.Match[str] | None]:
    done = _chromium(folder, "--virtual-time-budget=60000", "--dump-dom", probe.as_uri())
    return done, re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)


def faults(looks: Looks) -> list[str]:
    """Name what a page must not have."""
    found = [f"console: {line[-120:]}" for line in looks.console]
    for each in looks.results:
        at = f"at {each['width']} px"
        found += [f"{what} {at}" for what in ("wide", "unhinted", "requests") if each[what]]
        found += [f"first table cut although there is room {at}"] if each["first"]["narrow"] else []
        found += [f"overflow of {each['overflow']} px {at}"] if each["overflow"] > 0 else []
        below = each["first"]["headline"] > each["height"] or (
            each["width"] >= max(VIEW_PX) and each["first"]["table"] > each["height"]
        )
        found += [f"answer or table below the first screen {at}"] if below else []
    return found


def photograph(page: Path, out: Path, folder: Path, *, width: int, height: int, at: str = "") -> Path:
    """Save a PNG of a page; `at` is the id of the chapter that is shown."""
    frame = folder / "frame.html"
    style = f"width:{width}px;height:{height}px;border:0;display:block"
    source = page.resolve().as_uri() + (f"#{at}" if at else "")
    frame.write_text(f"<!doctype html><body style='margin:0'><iframe style='{style}' src='{source}'></iframe>")
    _chromium(folder, "--virtual-time-budget=8000", f"--window-size={width},{height}", f"--screenshot={out}",
              frame.as_uri())  # fmt: skip
    return out


def paper_pages(page: Path, folder: Path, out: Path | None = None) -> int:
    """Print a page to PDF and count its pages."""
    target = out or folder / "page.pdf"
    _chromium(folder, "--virtual-time-budget=8000", "--no-pdf-header-footer", f"--print-to-pdf={target}",
              page.resolve().as_uri())  # fmt: skip
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", target.read_bytes()))


def _chromium(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if CHROMIUM is None:
        raise RuntimeError("Chromium is not installed.")
    command = [CHROMIUM, "--headless=new", *_QUIET, f"--user-data-dir={folder / 'profile'}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
