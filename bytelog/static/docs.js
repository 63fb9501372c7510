// Optional features of the page: shows the URL that the browser uses, remembers choices, copies
// samples, searches, and marks the current section in the table of contents.

const main = document.querySelector("main");
// The server may not know the URL under which a proxy offers it.
for (const node of main.querySelectorAll(".url")) {
  node.textContent = new URL(".", location).href.slice(0, -1);
}
const sections = [...main.querySelectorAll("section")];
const texts = new Map(sections.map((section) => [section, section.textContent.toLowerCase()]));
const headings = [...main.querySelectorAll("h2, h3")];
const links = new Map(
  headings.map((heading) => [heading, document.querySelector(`nav a[href="#${heading.id}"]`)]),
);
const menu = document.querySelector("#menu");
const search = document.querySelector("#search");
const status = document.querySelector("nav [role=status]");
let current = { heading: headings[0], top: 0 }; // the heading being read, and where it is

const topOf = (node) => node.getBoundingClientRect().top;

function markCurrentSection() {
  const top = document.querySelector("header").offsetHeight + 40;
  const visible = headings.filter((heading) => heading.offsetParent);
  const heading = visible.findLast((each) => topOf(each) < top) ?? visible[0];
  current = { heading, top: heading && topOf(heading) };
  for (const [other, link] of links) {
    if (other !== heading) {
      link.removeAttribute("aria-current");
    } else if (!link.ariaCurrent) {
      link.ariaCurrent = "location";
      link.scrollIntoView({ block: "nearest" });
    }
  }
}

// Samples in another language are longer or shorter: keep the current section where it is.
function restorePosition() {
  if (current.heading) scrollBy(0, topOf(current.heading) - current.top);
}

function searchPage() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [section, text] of texts) {
    section.hidden = !words.every((word) => text.includes(word));
  }
  for (const [heading, link] of links) {
    link.parentElement.hidden = heading.closest("section").hidden;
  }
  const count = sections.filter((section) => !section.hidden).length;
  status.textContent = words.length ? `${count} of ${sections.length} sections` : "";
  highlight(words);
  markCurrentSection();
}

function highlight(words) {
  const ranges = [];
  const nodes = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (words.length && nodes.nextNode()) {
    const node = nodes.currentNode;
    for (const word of words) {
      const start = node.data.toLowerCase().indexOf(word);
      const end = start + word.length;
      if (start >= 0) {
        ranges.push(new StaticRange({ startContainer: node, startOffset: start, endContainer: node, endOffset: end }));
      }
    }
  }
  CSS.highlights?.set("found", new Highlight(...ranges));
}

function followLink() {
  menu.checked = false;
  const target = document.getElementById(location.hash.slice(1));
  if (target?.closest("section[hidden]")) {
    search.value = "";
    searchPage();
    target.scrollIntoView();
  }
}

function copy(code, button) {
  // navigator.clipboard is missing over plain HTTP, which is common within a team's network.
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
  getSelection().empty();
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function addCopyButton(figure) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.ariaLive = "polite";
  button.addEventListener("click", () => copy(figure.querySelector("code"), button));
  figure.querySelector("figcaption").append(button);
}

function remember(name, controls) {
  const saved = localStorage.getItem(name);
  for (const control of controls) {
    if (control.type !== "radio") control.value = saved ?? control.value;
    else if (control.value === saved) control.checked = true;
    control.addEventListener("change", () => localStorage.setItem(name, control.value));
  }
}

main.querySelectorAll(".sample:not(.output)").forEach(addCopyButton);
search.closest("search").hidden = false;
search.addEventListener("input", searchPage);
document.querySelector(".languages").addEventListener("change", restorePosition);
addEventListener("scroll", markCurrentSection, { passive: true });
addEventListener("hashchange", followLink);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select")) {
    event.preventDefault();
    menu.checked = true;
    search.focus();
  }
});
markCurrentSection();
remember("bytelog.language", document.querySelectorAll("[name=language]"));
remember("bytelog.colours", document.querySelectorAll("#theme"));
