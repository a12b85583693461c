"""The same for Chromium: many documents in one page, parsed as in a frame without scripts and as the contents of an element."""

import json
import subprocess
import tempfile
from pathlib import Path

from reading import HIDING, MACHINES, MARK, SHOWN

PAGE = """<!doctype html><meta charset=utf-8><pre id=out></pre><script>
const documents = %s, shown = new Set(%s), machines = new Set(%s), hiding = new Set(%s), mark = %s;
const HTML = "http://www.w3.org/1999/xhtml";
function read(root) {
  let problems = [], shape = "";
  const value = (text, where) => { if ((text || "").toLowerCase().includes(mark)) problems.push(where); };
  function walk(node, hidden) {
    if (node.nodeType === 3) { if (hidden) value(node.data, "text of " + hidden); return; }
    if (node.nodeType === 8) { shape += "<!>"; value(node.data, "a comment"); return; }
    if (node.nodeType === 1) {
      const name = node.localName;
      shape += "<" + name + " " + node.getAttributeNames().sort().join(" ") + ">";
      value(name, "a tag");
      for (const a of node.attributes) {
        value(a.name, "an attribute's name");
        if (!(node.namespaceURI === HTML && shown.has(a.name) && !machines.has(name))) value(a.value, a.name + " of " + name);
      }
      if (!hidden && (node.namespaceURI !== HTML || hiding.has(name))) hidden = name;
      if (node.content) for (const child of node.content.childNodes) walk(child, hidden);
    }
    for (const child of node.childNodes) walk(child, hidden);
    shape += ">";
  }
  walk(root, null);
  return [shape, problems];
}
const out = documents.map(pair => pair.map(text => {
  const [shape, problems] = read(new DOMParser().parseFromString(text, "text/html"));
  const template = document.createElement("template");
  template.innerHTML = text;
  const [inner, more] = read(template.content);
  return [shape + inner, problems.concat(more)];
}));
document.getElementById("out").textContent = btoa(unescape(encodeURIComponent(JSON.stringify(out))));
</script>"""


def read(chromium, pairs):
    """For each pair of documents two shapes with their problems."""
    import base64

    def literal(value):
        return json.dumps(value).replace("<", "\\u003c")

    page = PAGE % (literal(pairs), literal(sorted(SHOWN)), literal(sorted(MACHINES)), literal(sorted(HIDING)), literal(MARK))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                   "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}/profile", "--dump-dom", file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    start = done.stdout.find('<pre id="out">')
    if start < 0:
        raise SystemExit(f"Chromium gave nothing: {done.stderr[-500:]}")
    encoded = done.stdout[start + len('<pre id="out">'):].partition("</pre>")[0]
    return json.loads(base64.b64decode(encoded))
